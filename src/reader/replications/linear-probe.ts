/** Ridge regression on frozen features. */

interface Row {
  readonly x: Float32Array;
  readonly y: number;
}

/** Keeps the equations solvable where a feature is dead. */
const ridge = 1e-3;

/** Share of the variance of `test`'s y that a linear fit of `fit` explains. */
export function linearProbe(fit: readonly Row[], test: readonly Row[]): number {
  const weights = solve(fit);
  const mean = test.reduce((sum, { y }) => sum + y, 0) / test.length;
  let [left, all] = [0, 0];
  for (const { x, y } of test) {
    left += (y - predict(weights, x)) ** 2;
    all += (y - mean) ** 2;
  }
  return 1 - left / all;
}

/** The bias is the last weight. */
function predict(weights: Float64Array, x: Float32Array): number {
  return x.reduce((sum, value, i) => sum + value * weights[i]!, weights[x.length]!);
}

/** Normal equations by Gaussian elimination; they are positive definite, so no pivot is needed. */
function solve(rows: readonly Row[]): Float64Array {
  const size = rows[0]!.x.length + 1;
  const a = Array.from({ length: size }, (_, i) => new Float64Array(size + 1).fill(ridge * rows.length, i, i + 1));
  for (const { x, y } of rows) {
    const values = [...x, 1, y];
    for (let i = 0; i < size; i++) for (let j = 0; j <= size; j++) a[i]![j]! += values[i]! * values[j]!;
  }
  for (let i = 0; i < size; i++) {
    for (let k = i + 1; k < size; k++) {
      const factor = a[k]![i]! / a[i]![i]!;
      for (let j = i; j <= size; j++) a[k]![j]! -= factor * a[i]![j]!;
    }
  }
  const weights = new Float64Array(size);
  for (let i = size - 1; i >= 0; i--) {
    let value = a[i]![size]!;
    for (let j = i + 1; j < size; j++) value -= a[i]![j]! * weights[j]!;
    weights[i] = value / a[i]![i]!;
  }
  return weights;
}
