/**
 * The tiers of the kernels side by side, on whatever adapter there is, if only a software one: subgroups give the bits of plain, and
 * both are near the reference; f16 is as near as it says. The tests of all kernels are in kernels.test.ts, in the default tier.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../../src/device/reference/device.js';
import type { KvFormat, View, WeightFormat } from '../../../src/device/device.js';
import { openDevice } from '../../../src/device/webgpu/dawn.js';
import type { WebGpuDevice } from '../../../src/device/webgpu/device.js';
import { neighboursHold } from '../../../src/device/webgpu/subgroup-probe.js';
import { attend, compare, drawBoth, randomFloats, relativeError, Rig, ropeTable, samplings, type CacheShape } from '../cases.js';
import { offeredTiers, openWebGpu } from './adapter.js';

type Case = (rig: Rig) => Promise<[View, number]>;

interface Attention {
  readonly shape: CacheShape;
  readonly heads: number;
  readonly window: number;
  readonly end: number;
  readonly start: number;
}

const eps = 1e-6;

function product(format: WeightFormat, rows: number, inputs: number, outputs: number): Case {
  return async (rig) => {
    const weight = await rig.weight(randomFloats(outputs * inputs, 8, 0.1), outputs, inputs, format);
    const out = rig.empty(rows * outputs);
    await rig.run({ op: 'matMul', x: rig.data(randomFloats(rows * inputs, 9, 1e5)), rows, parts: [{ weight, out }] });
    return [out, rows * outputs];
  };
}

function attention(format: KvFormat, { shape, heads, window, end, start }: Attention): Case {
  return async (rig) => {
    const { out, elements } = await attend(rig, { ...shape, format }, end, start, { heads, window });
    return [out, elements];
  };
}

const manyRows: Attention = { shape: { ring: true, pageSlots: 57, pages: 1, kvHeads: 1, headDim: 32 }, heads: 3, window: 8, end: 120, start: 71 };
// Its keys are shared out.
const oneRow: Attention = { shape: { ring: false, pageSlots: 64, pages: 12, kvHeads: 1, headDim: 32 }, heads: 4, window: 0, end: 700, start: 699 };

/** Of every kernel that adds up over a workgroup one case or two, with numbers as large as the residual's. */
const cases: readonly [name: string, most: number, record: Case][] = [
  ['rmsNorm', 5e-7, async (rig) => {
    const x = rig.data(randomFloats(33 * 7, 2, 1e5));
    await rig.run({ op: 'rmsNorm', x, gain: rig.data(randomFloats(7, 3, 2)), out: x, rows: 33, width: 7, eps });
    return [x, 33 * 7];
  }],
  ['addNorm', 1e-6, async (rig) => {
    const [x, branch, gain, out] = [rig.data(randomFloats(5 * 300, 4, 1e5)), rig.data(randomFloats(5 * 300, 5, 300)), rig.data(randomFloats(300, 6, 5e4)), rig.empty(5 * 300)];
    await rig.run({ op: 'addNorm', x, branch, gain, next: { gain, out }, rows: 5, width: 300, eps });
    return [out, 5 * 300];
  }],
  ['layerNorm', 1e-6, async (rig) => {
    const x = rig.data(randomFloats(3 * 1000, 2).map((value) => value + 300));
    await rig.run({ op: 'layerNorm', x, gain: rig.data(randomFloats(1000, 3, 2)), bias: rig.data(randomFloats(1000, 4)), out: x, rows: 3, width: 1000, eps });
    return [x, 3000];
  }],
  ['normRope', 5e-7, async (rig) => {
    const q = rig.data(randomFloats(5 * 3 * 24, 13, 50));
    await rig.run({ op: 'normRope', q, rows: 5, heads: 3, headDim: 24, gain: rig.data(randomFloats(24, 14)), eps, rope: rig.data(ropeTable(1000, 5, 24)) });
    return [q, 5 * 3 * 24];
  }],
  // The last lanes have fewer inputs than the first, or none.
  ['matMul f32, one row', 1e-6, product('f32', 1, 2501, 9)],
  ['matMul q4_0, three rows', 1e-6, product('q4_0', 3, 640, 17)],
  ['matMul q6_k, one row', 1e-6, product('q6_k', 1, 256, 5)],
  ['matMul f16, many rows', 1e-6, product('f16', 9, 1000, 31)],
  ['attention f32, many rows', 2e-6, attention('f32', manyRows)],
  ['attention f32, one row', 2e-6, attention('f32', oneRow)],
];

async function floatsOf(device: WebGpuDevice, record: Case): Promise<Float32Array> {
  const rig = new Rig(device);
  const [view, elements] = await record(rig);
  const floats = await rig.floats(view, elements);
  rig.free();
  return floats;
}

describe.skipIf(!offeredTiers.includes('subgroups'))('subgroups and plain', { timeout: 300_000 }, () => {
  let subgroups: WebGpuDevice;
  let plain: WebGpuDevice;
  beforeAll(async () => {
    [subgroups, plain] = await Promise.all([openWebGpu({ tier: 'subgroups' }), openWebGpu({ tier: 'plain' })]);
  });
  afterAll(() => Promise.all([subgroups.close(), plain.close()]));

  it('are what the devices say they are, and their sessions are not each other\'s', () => {
    expect([subgroups.tier.name, plain.tier.name]).toEqual(['subgroups', 'plain']);
    expect(subgroups.kernels).not.toBe(plain.kernels);
  });

  it.each(cases)('give the same bits, near the reference: %s', async (_, most, record) => {
    const [ours, theirs] = [await floatsOf(subgroups, record), await floatsOf(plain, record)];
    expect(ours).toEqual(theirs);
    const reference = new Rig(createReferenceDevice());
    const [view, elements] = await record(reference);
    expect(relativeError(ours, await reference.floats(view, elements))).toBeLessThan(most);
  });

  it.each([samplings[0]!, samplings[2]!])('draw the same tokens as the reference, by the same log-probabilities: %j', async (sampling) => {
    const [ours, theirs] = [await drawBoth(subgroups, sampling), await drawBoth(plain, sampling)];
    expect(ours).toEqual(theirs);
    for (const { id, want, difference } of ours) {
      expect(id).toBe(want);
      expect(difference).toBeLessThan(1e-5);
    }
  });

  it('see whether neighbouring threads are in one subgroup', async () => {
    const opened = await openDevice({ software: true, tier: 'subgroups' });
    if ('unavailable' in opened) throw new Error(opened.unavailable);
    const { device, adapter, tier } = opened;
    expect(await neighboursHold(device, tier.subgroup)).toBe(true);
    expect(await neighboursHold(device, 2 * adapter.subgroups![1])).toBe(false);
    device.destroy();
  });
});

describe.skipIf(!offeredTiers.includes('f16'))('f16', { timeout: 300_000 }, () => {
  let device: WebGpuDevice;
  beforeAll(async () => {
    device = await openWebGpu({ tier: 'f16' });
  });
  afterAll(() => device.close());

  it('multiplies by f16 matrices as exactly as ever', async () => {
    expect(await compare(device, product('f16', 9, 1000, 31))).toBeLessThan(1e-6);
  });

  it.each([['many rows', manyRows], ['one row', oneRow]] as const)('attends to keys in f16 within 1e-3, and to those in f32 as ever: %s', async (_, shape) => {
    const error = await compare(device, attention('f16', shape));
    expect(error).toBeLessThan(1e-3);
    // Not more exact than its numbers are: it is the tier that was tested.
    expect(error).toBeGreaterThan(1e-6);
    expect(await compare(device, attention('f32', shape))).toBeLessThan(2e-6);
  });
});
