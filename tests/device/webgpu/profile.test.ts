/** The times of kernels: by timestamps where the adapter has them, and one at a time else. */
import { expect, it } from 'vitest';
import { Profile } from '../../../src/device/profile.js';
import { openDevice } from '../../../src/device/webgpu/dawn.js';
import { KernelTimer } from '../../../src/device/webgpu/kernel-timer.js';
import { randomFloats, Rig } from '../cases.js';
import { openWebGpu, webgpuAvailable } from './adapter.js';

it.skipIf(!webgpuAvailable)('times each kernel of a list, in its format, and computes as before', async () => {
  const device = await openWebGpu();
  const rig = new Rig(device);
  const [x, out] = [rig.data(randomFloats(2 * 64, 1)), rig.empty(2 * 10)];
  const weight = await rig.weight(randomFloats(640, 2), 10, 64, 'q4_0');
  const product = { op: 'matMul', x, rows: 2, parts: [{ weight, out }] } as const;
  await rig.run(product);
  const before = await rig.floats(out, 20);
  const profile = new Profile();
  device.profileInto(profile);
  await rig.run({ op: 'add', x: out, y: out, count: 20 }, product, product);
  expect(await rig.floats(out, 20)).toEqual(before);
  const calls = Object.fromEntries(profile.kernels.map((kernel) => [kernel.kernel, kernel.calls]));
  expect(calls).toEqual({ add: 1, quantize_rows: 2, 'mat_vec_q8 q4_0': 2 });
  const products = profile.kernels.find(({ kernel }) => kernel.startsWith('mat_vec'))!;
  expect(products.operations).toBe(2 * 2 * 2 * 64 * 10);
  // The matrix in both: 36 bytes for 64 numbers of each of 10 rows.
  expect(products.bytes).toBeGreaterThanOrEqual(2 * 360);
  for (const { ms } of profile.kernels) expect(ms).toBeGreaterThan(0);
  await device.close();
});

it.skipIf(!webgpuAvailable)('reads a time for every dispatch, also of more than one query set holds', async () => {
  const opened = await openDevice({ software: true });
  if ('unavailable' in opened) throw new Error(opened.unavailable);
  const { device } = opened;
  for (const trusted of [true, false]) {
    let passes = 0;
    const times = await new KernelTimer(device, trusted).time(Array.from({ length: 300 }, () => () => void passes++));
    expect(passes).toBe(300);
    expect(times).toHaveLength(300);
    // Drivers that compute on the processor may say 0.
    for (const ms of times) expect(ms).toBeGreaterThanOrEqual(0);
  }
  device.destroy();
});
