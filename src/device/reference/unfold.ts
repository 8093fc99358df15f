import type { UnfoldCommand } from '../device.js';
import { floats } from './memory.js';

/** out[r] = the `taps` rows of x from r stride - pad on, zeros outside. */
export function* unfold({ x, out, length, width, rows, taps, stride, pad }: UnfoldCommand): Generator<void> {
  const from = floats(x, length * width);
  const to = floats(out, rows * taps * width);
  for (let r = 0; r < rows; r++) {
    for (let tap = 0; tap < taps; tap++) {
      const at = r * stride - pad + tap;
      const target = (r * taps + tap) * width;
      if (at < 0 || at >= length) to.fill(0, target, target + width);
      else to.set(from.subarray(at * width, (at + 1) * width), target);
    }
    yield;
  }
}
