// For attention.wgsl and attention_merge.wgsl: softmax put together from parts, each with its own maximum.

// Below any logit; finite, so that differences stay numbers.
const NO_MAX = -1e30;

// e^x for x <= 0; 0 where that is no normal float.
fn decay(x: f32) -> f32 {
  return select(exp(max(x, -87.0)), 0.0, x < -87.0);
}

// Two sums of exponentials of logits less a maximum, as one: `maximum` of both, `total` of exponentials less that, and what
// the weighted values of each are to be multiplied by.
struct Merged {
  maximum: f32,
  total: f32,
  a: f32,
  b: f32,
}
fn merge(max_a: f32, total_a: f32, max_b: f32, total_b: f32) -> Merged {
  let maximum = max(max_a, max_b);
  let a = decay(max_a - maximum);
  let b = decay(max_b - maximum);
  return Merged(maximum, fma(total_b, b, total_a * a), a, b);
}
