import type { SampleCommand } from '../device.js';
import { argmax, logProbability, sample as draw } from '../sampling.js';
import { floats, words } from './memory.js';

/** out = the id that is drawn, and ln of its probability. */
export function* sample({ logits, count, sampling, step, out }: SampleCommand): Generator<void> {
  const values = floats(logits, count);
  if (!(values[argmax(values)]! > -Infinity)) {
    words(out, 1)[0] = 2 ** 32 - 1;
    return;
  }
  const id = draw(values, sampling, step);
  yield;
  words(out, 1)[0] = id;
  floats(out, 2)[1] = logProbability(values, id);
}
