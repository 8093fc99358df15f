// gelu_erf(x) = x/2 (1 + erf(x / sqrt 2)) = x/2 erfc(-x / sqrt 2), with the polynomial of kernels/cpu/gelu_erf.cc: z = |x| / sqrt 2, t = 1 / (1 + z/2),
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
