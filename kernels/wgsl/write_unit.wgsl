// 32 activations into int8: what products with weights in blocks read. Of all rows the int8, two vec4<u32> a unit, then, from
// p.scales on (in vec4s), a f32 d for each unit. What includes it has `quants`, an array of words.
#include "quantize_unit.wgsl"

fn write_unit(unit: u32, values: ptr<function, array<f32, 32>>) {
  let unit_scale = scale_of(values);
  quants[p.scales * 4u + unit] = unit_scale;
  for (var word = 0u; word < 8u; word++) {
    quants[unit * 8u + word] = quantized(values, 4u * word, bitcast<f32>(unit_scale));
  }
}
