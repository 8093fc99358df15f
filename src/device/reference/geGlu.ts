import type { GeGluCommand } from '../device.js';
import { floats } from './memory.js';

const sqrt2OverPi = Math.sqrt(2 / Math.PI);

/** out = gelu_tanh(gate) * up, with gelu_tanh(z) = z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))). */
export function* geGlu({ gate, up, out, count }: GeGluCommand): Generator<void> {
  const z = floats(gate, count);
  const u = floats(up, count);
  const y = floats(out, count);
  for (let i = 0; i < count; i++) {
    const v = z[i]!;
    y[i] = 0.5 * v * (1 + Math.tanh(sqrt2OverPi * (v + 0.044715 * v ** 3))) * u[i]!;
    if (i % 4096 === 0) yield;
  }
}
