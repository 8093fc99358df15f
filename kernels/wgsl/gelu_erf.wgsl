// out = x/2 (1 + erf(x / sqrt 2)), element by element.
struct Params {
  count: u32,
  x_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let i = (group.x + group.y * groups.x) * 256u + thread;
  if (i < p.count) {
    out[p.out_at + i] = gelu_erf(x[p.x_at + i]);
  }
}

// x/2 erfc(-x / sqrt 2), with the polynomial of kernels/cpu/gelu_erf.cc: z = |x| / sqrt 2, t = 1 / (1 + z/2),
// erfc(z) = e^(-z^2) t q(t). Beyond |x| of 18, e^(-z^2) is 0 in float32.
fn gelu_erf(value: f32) -> f32 {
  let z = min(abs(value), 18.0) * 0.7071067812;
  let t = 1.0 / fma(0.5, z, 1.0);
  var q = 0.012285564;
  q = fma(q, t, -0.12326308);
  q = fma(q, t, 0.42894629);
  q = fma(q, t, -0.67004383);
  q = fma(q, t, 0.42128995);
  q = fma(q, t, -0.098324962);
  q = fma(q, t, 0.22554402);
  q = fma(q, t, 0.23864445);
  q = fma(q, t, 0.28285706);
  q = fma(q, t, 0.2820645);
  let tail = 0.5 * value * (exp(-z * z) * t * q);
  return select(value - tail, tail, value < 0.0);
}
