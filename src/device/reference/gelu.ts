import type { GeluCommand } from '../device.js';
import { geluTanh } from './arithmetic.js';
import { floats } from './memory.js';

/** out = gelu_tanh(x). */
export function* gelu({ x, out, count }: GeluCommand): Generator<void> {
  const z = floats(x, count);
  const y = floats(out, count);
  for (let i = 0; i < count; i++) {
    y[i] = geluTanh(z[i]!);
    if (i % 4096 === 0) yield;
  }
}
