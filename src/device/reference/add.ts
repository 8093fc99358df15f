import type { AddCommand } from '../device.js';
import { floats } from './memory.js';

/** x += y. */
export function* add({ x, y, count }: AddCommand): Generator<void> {
  const to = floats(x, count);
  const from = floats(y, count);
  for (let i = 0; i < count; i++) {
    to[i]! += from[i]!;
    if (i % 65_536 === 0) yield;
  }
}
