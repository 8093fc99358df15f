/** The terminal draws and hears keys while chunks are computed: computing is never on the event loop. */
import { expect, it } from 'vitest';
import { createCpuDevice } from '../../src/device/cpu/device.js';
import { embeddedModelDir } from '../../src/paths.js';
import { Context } from '../../src/runtime/context.js';
import { openModel } from '../../src/runtime/model.js';
import { someIds } from './fixture.js';

const device = createCpuDevice();

it.skipIf('unavailable' in device)('lets the event loop turn while a chunk is computed', async () => {
  if ('unavailable' in device) return;
  const context = new Context(await openModel(embeddedModelDir, device), { chunk: 512 });
  /** Turns of the loop during each chunk, which takes very much longer than a turn. */
  const turns: number[] = [];
  let computing = false;
  let ended = false;
  const submit = device.submit.bind(device);
  device.submit = async (...args) => {
    turns.push(0);
    computing = true;
    await submit(...args);
    computing = false;
  };
  const turn = (): void => {
    if (computing) turns.push(turns.pop()! + 1);
    if (!ended) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    await context.prefill(someIds(1024));
  } finally {
    ended = true;
    context.close();
    await device.close();
  }
  expect(turns).toHaveLength(2);
  for (const [i, count] of turns.entries()) expect(count, `chunk ${i}`).toBeGreaterThan(0);
});
