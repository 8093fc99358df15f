import type { GeGluCommand } from '../device.js';
import { geluTanh } from './arithmetic.js';
import { floats } from './memory.js';

/** out = gelu_tanh(gate) * up. */
export function* geGlu({ gate, up, out, count }: GeGluCommand): Generator<void> {
  const z = floats(gate, count);
  const u = floats(up, count);
  const y = floats(out, count);
  for (let i = 0; i < count; i++) {
    y[i] = geluTanh(z[i]!) * u[i]!;
    if (i % 4096 === 0) yield;
  }
}
