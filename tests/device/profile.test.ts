/** Where time goes: what is added up, what it is compared with, and how it is printed. */
import { expect, it } from 'vitest';
import { commandCost } from '../../src/device/command-cost.js';
import { measureLimits } from '../../src/device/limits.js';
import { formatProfile, Profile, profiled, profileReport } from '../../src/device/profile.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { createCpuDevice } from '../../src/device/cpu/device.js';
import { randomFloats, Rig } from './cases.js';

it('adds up what each kernel takes, of a device that is given one command at a time', async () => {
  const device = createReferenceDevice();
  const profile = new Profile();
  const rig = new Rig(profiled(device, profile));
  const x = rig.data(randomFloats(3 * 64, 1));
  const out = rig.empty(3 * 10);
  const weight = await rig.weight(randomFloats(640, 2), 10, 64, 'q8_0');
  const add = { op: 'add', x, y: x, count: 192 } as const;
  await rig.run(add, { op: 'matMul', x, rows: 3, parts: [{ weight, out }] }, add);
  // The results are those of the device.
  expect((await rig.floats(x, 1))[0]).toBe(4 * randomFloats(1, 1)[0]!);
  const { add: adds, matMul } = Object.fromEntries(profile.kernels.map((kernel) => [kernel.kernel.split(' ')[0]!, kernel]));
  expect(adds).toMatchObject({ calls: 2, bytes: 2 * 192 * 3 * 4 });
  expect(matMul).toMatchObject({ kernel: 'matMul q8_0', calls: 1, bytes: 10 * 2 * 34 + 3 * (64 + 10) * 4, operations: 2 * 3 * 64 * 10 });
  expect(matMul!.ms).toBeGreaterThan(0);
});

it('counts what attention reads: the window, and of a whole cache half of it on average', () => {
  const rig = new Rig(createReferenceDevice());
  const cache = rig.cache({ format: 'f16', ring: false, pageSlots: 1000, kvHeads: 2, headDim: 32, pages: 1 });
  const q = rig.empty(100 * 4 * 32);
  const attention = { op: 'attention', q, out: q, rows: 100, start: 900, heads: 4, scale: 1, logScale: null, cache } as const;
  expect(commandCost({ ...attention, window: 0 })).toEqual({ name: 'attention', bytes: 2 * 1000 * 2 * 64 + 2 * 100 * 4 * 32 * 4, operations: 4 * 100 * 4 * 32 * 950 });
  expect(commandCost({ ...attention, window: 50 }).bytes).toBe(2 * 149 * 2 * 64 + 2 * 100 * 4 * 32 * 4);
});

it('prints shares of what the device can do, what took longest first', () => {
  const profile = new Profile();
  profile.add('add', 1, 2e6, 1e6);
  profile.add('mat_vec_q8 q4_0', 2, 150e6, 1e9);
  profile.add('mat_vec_q8 q4_0', 1, 150e6, 1e9);
  const report = profileReport({ description: 'a GPU' }, profile, { copy: 200e9, matMul: 10e12 });
  expect(report.kernels.map(({ kernel, share_of_copy }) => [kernel, share_of_copy])).toEqual([['mat_vec_q8 q4_0', 0.5], ['add', 0.01]]);
  expect(formatProfile(report)).toMatchInlineSnapshot(`
    "a GPU: copies 200 GB/s, multiplies 10000 GFLOP/s, as measured here
    kernel                     calls         ms  of time       MiB     GB/s  of copy  GFLOP/s  of best
    mat_vec_q8 q4_0                2        3.0     75 %       286      100     50 %      667    6.7 %
    add                            1        1.0     25 %         2      2.0    1.0 %      1.0    0.0 %
    all                            3        4.0
    "
  `);
});

it('measures bandwidth and arithmetic', async () => {
  const device = createCpuDevice({ threads: 1 });
  if ('unavailable' in device) return;
  const { copy, matMul } = await measureLimits(device);
  // Of any machine that this runs on.
  expect(copy).toBeGreaterThan(1e8);
  expect(matMul).toBeGreaterThan(1e8);
  expect(device.allocatedBytes).toBe(0);
  await device.close();
});
