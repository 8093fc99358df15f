// gelu_tanh(z) = z/2 (1 + tanh u) = z / (1 + e^-2u) with u = sqrt(2/pi) (z + 0.044715 z^3). The second form needs no tanh,
// which is NaN for large arguments on some drivers, and keeps its relative precision where 1 + tanh u would cancel. The
// exponent is clamped, so that no infinity arises: e^87 is near the largest float.
fn gelu_tanh(z: f32) -> f32 {
  let inner = fma(z * z, z * 0.044715, z);
  return z / (1.0 + exp(clamp(inner * (-2.0 * 0.7978845608), -87.0, 87.0)));
}
