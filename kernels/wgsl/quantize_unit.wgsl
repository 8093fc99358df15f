// The scale and the int8 of 32 numbers, as in quantize_rows.wgsl and store_kv.wgsl.

// The scale's bits: as a float, NaN might be lost on the way.
fn scale_of(values: ptr<function, array<f32, 32>>) -> u32 {
  var largest = 0u;
  for (var i = 0u; i < 32u; i++) {
    // Magnitudes are ordered as their bits are; NaN and infinities are above all numbers.
    largest = max(largest, bitcast<u32>((*values)[i]) & 0x7fffffffu);
  }
  if (largest >= 0x7f800000u) {
    return 0x7fc00000u;
  }
  let scale = bitcast<f32>(largest) / 127.0;
  return select(0u, bitcast<u32>(scale), scale >= 1.1754944e-38);
}

// Four numbers from `from` on, in the bytes of a word; 0 where the scale is 0 or NaN.
fn quantized(values: ptr<function, array<f32, 32>>, begin: u32, scale: f32) -> u32 {
  if (!(scale > 0.0)) {
    return 0u;
  }
  let four = vec4((*values)[begin], (*values)[begin + 1u], (*values)[begin + 2u], (*values)[begin + 3u]);
  return pack4xI8(vec4<i32>(round(four / scale)));
}
