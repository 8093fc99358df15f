/** What images need of a device: the reference against numbers worked out by hand, every variant against the reference. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuVariants, createCpuDevice, type CpuDevice } from '../../src/device/cpu/device.js';
import type { Command, Device, KvCache, Span, View, WeightFormat } from '../../src/device/device.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { randomFloats, relativeError, Rig, type CacheShape } from './cases.js';

const reference = createReferenceDevice();
const eps = 1e-6;

async function result(device: Device, record: (rig: Rig) => Promise<[View, number]>): Promise<Float32Array> {
  const rig = new Rig(device);
  const [view, elements] = await record(rig);
  const floats = await rig.floats(view, elements);
  rig.free();
  return floats;
}

interface AttentionCase extends CacheShape {
  readonly heads: number;
  readonly window: number;
  readonly end: number;
  readonly start: number;
  readonly blocks: readonly Span[];
}

/** Keys and values as they are at positions 0 .. end - 1, queries from start on, `chunk` of them at a time. */
async function attend(rig: Rig, at: AttentionCase, chunks: readonly number[] = [at.end - at.start]): Promise<[View, number]> {
  const { heads, window, end, start, blocks, kvHeads, headDim } = at;
  const cache: KvCache = rig.cache(at);
  const k = randomFloats(end * kvHeads * headDim, 15, 2);
  const v = randomFloats(end * kvHeads * headDim, 16, 3);
  const q = rig.data(randomFloats((end - start) * heads * headDim, 18, 4));
  const out = rig.empty((end - start) * heads * headDim);
  const kv = kvHeads * headDim;
  const store = (from: number, rows: number): Command => ({
    op: 'storeKv',
    k: rig.data(k.subarray(from * kv, (from + rows) * kv)),
    v: rig.data(v.subarray(from * kv, (from + rows) * kv)),
    rows,
    start: from,
    gain: null,
    eps,
    rope: null,
    cache,
  });
  for (let p = 0; p < start; p += 50) await rig.run(store(p, Math.min(50, start - p)));
  let p = start;
  for (const rows of chunks) {
    const offset = (p - start) * heads * headDim * 4;
    const scale = headDim ** -0.5;
    await rig.run(store(p, rows), { op: 'attention', q: { ...q, offset }, out: { ...out, offset }, rows, start: p, heads, window, scale, logScale: null, blocks, cache });
    p += rows;
  }
  expect(p).toBe(end);
  return [out, (end - start) * heads * headDim];
}

describe('reference', () => {
  const rig = new Rig(reference);
  const data = (...numbers: number[]): View => rig.data(Float32Array.from(numbers));
  const close = (got: Float32Array, ...want: number[]): void => {
    expect(got).toHaveLength(want.length);
    for (const [i, value] of want.entries()) expect(got[i], `element ${i}`).toBeCloseTo(value, 6);
  };

  it('layerNorm: the mean taken away, divided by the deviation, times the gain, plus the bias', async () => {
    const out = rig.empty(6);
    // Means 2 and 5; variances 2/3 and 0.
    await rig.run({ op: 'layerNorm', x: data(1, 2, 3, 5, 5, 5), gain: data(1, 1, 2), bias: data(0, 10, -1), out, rows: 2, width: 3, eps: 1 / 3 });
    close(await rig.floats(out, 6), -1, 10, 1, 0, 10, -1);
  });

  it('matMul: a bias for every row', async () => {
    const weight = await rig.weight(Float32Array.of(1, 2, 3, 4), 2, 2, 'f32');
    const [out, plain] = [rig.empty(4), rig.empty(4)];
    await rig.run({ op: 'matMul', x: data(1, 1, 0, 1), rows: 2, parts: [{ weight, out, bias: data(0.5, -7) }, { weight, out: plain }] });
    close(await rig.floats(out, 4), 3.5, 0, 2.5, -3);
    close(await rig.floats(plain, 4), 3, 7, 2, 4);
  });

  it('gelu, add and averagePool', async () => {
    const x = data(1, -2, 0);
    await rig.run({ op: 'gelu', x, out: x, count: 3 });
    close(await rig.floats(x, 3), 0.841192, -0.0454023, 0);
    await rig.run({ op: 'add', x, y: data(1, 2, 3), count: 2 });
    close(await rig.floats(x, 3), 1.841192, 1.9545977, 0);
    // Cells of two numbers, [row][column].
    const cells = Float32Array.from({ length: 32 }, (_, i) => (i % 2 === 0 ? Math.floor(i / 2) : 100));
    const out = rig.empty(8);
    await rig.run({ op: 'averagePool', x: rig.data(cells), out, side: 4, size: 2, width: 2 });
    close(await rig.floats(out, 8), 2.5, 100, 4.5, 100, 10.5, 100, 12.5, 100);
  });

  it('attention: both ways inside a block, and causal around it', async () => {
    const cache = rig.cache({ ring: false, pageSlots: 8, kvHeads: 1, headDim: 2, pages: 1 });
    // All logits are 0, so that each query gives the mean of the values that it sees.
    const v = data(1, 0, 2, 0, 4, 0, 8, 0, 16, 0);
    const out = rig.empty(10);
    const zeros = rig.empty(10);
    const attention = { op: 'attention', q: zeros, out, rows: 5, start: 0, heads: 1, scale: 1, logScale: null, cache } as const;
    await rig.run({ op: 'storeKv', k: rig.empty(10), v, rows: 5, start: 0, gain: null, eps, rope: null, cache });
    const seen = async (window: number): Promise<number[]> => {
      await rig.run({ ...attention, window, blocks: [{ from: 1, to: 4 }] });
      return [...(await rig.floats(out, 10))].filter((_, i) => i % 2 === 0);
    };
    expect(await seen(0)).toEqual([1, 15 / 4, 15 / 4, 15 / 4, 31 / 5].map(Math.fround));
    // A window of 2 hides what is two positions back, in the block too, and nothing that is ahead.
    expect(await seen(2)).toEqual([1, 15 / 4, 14 / 3, 12 / 2, 24 / 2].map(Math.fround));
    await expect(rig.run({ op: 'storeKv', k: zeros, v, rows: 1, start: 0, gain: null, eps, rope: zeros, cache })).rejects.toThrow(/not rotated/);
  });
});

describe.each(cpuVariants())('%s', (isa) => {
  let device: CpuDevice;
  let alone: CpuDevice;
  beforeAll(() => {
    const open = (threads: number): CpuDevice => {
      const opened = createCpuDevice({ isa, threads });
      if ('unavailable' in opened) throw new Error(opened.unavailable);
      return opened;
    };
    device = open(2);
    alone = open(1);
  });
  afterAll(async () => {
    await device.close();
    await alone.close();
  });
  const errorOf = async (record: (rig: Rig) => Promise<[View, number]>): Promise<number> =>
    relativeError(await result(device, record), await result(reference, record));

  it.each([
    [1, 1152, 1, 0],
    [5, 48, 300, 0],
    [33, 7, 1, 0],
    // A mean far from 0: E[x^2] - mean^2 would be all rounding error in f32.
    [9, 1000, 1, 300],
  ])('normalises %i rows of %i, magnitude %f, around %f', async (rows, width, magnitude, around) => {
    const error = await errorOf(async (rig) => {
      const x = rig.data(randomFloats(rows * width, 2, magnitude).map((value) => value + around));
      await rig.run({ op: 'layerNorm', x, gain: rig.data(randomFloats(width, 3, 2)), bias: rig.data(randomFloats(width, 4)), out: x, rows, width, eps });
      return [x, rows * width];
    });
    expect(error).toBeLessThan(1e-6);
  });

  it.each(['f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as WeightFormat[])('adds a bias to products with %s', async (format) => {
    for (const [rows, inputs, outputs] of [[1, 64, 17], [70, 32, 45], [130, 96, 33]] as const) {
      const error = await errorOf(async (rig) => {
        const weight = await rig.weight(randomFloats(outputs * inputs, 5, 0.2), outputs, inputs, format);
        const [out, other] = [rig.empty(rows * outputs), rig.empty(rows * outputs)];
        const bias = rig.data(randomFloats(outputs, 6, 10));
        await rig.run({ op: 'matMul', x: rig.data(randomFloats(rows * inputs, 7)), rows, parts: [{ weight, out: other }, { weight, out, bias }] });
        return [out, rows * outputs];
      });
      expect(error, `${rows} x ${inputs} x ${outputs}`).toBeLessThan(3e-6);
    }
  });

  it('computes gelu, sums and means of ragged lengths', async () => {
    for (const count of [1, 16, 37, 20_001]) {
      const error = await errorOf(async (rig) => {
        const x = rig.data(randomFloats(count, 8, 8));
        await rig.run({ op: 'gelu', x, out: x, count }, { op: 'add', x, y: rig.data(randomFloats(count, 9)), count });
        return [x, count];
      });
      expect(error).toBeLessThan(5e-7);
    }
    for (const [side, size, width] of [[8, 4, 48], [6, 3, 5], [3, 1, 20], [10, 5, 1152]] as const) {
      const error = await errorOf(async (rig) => {
        const elements = (side / size) ** 2 * width;
        const out = rig.empty(elements);
        await rig.run({ op: 'averagePool', x: rig.data(randomFloats(side * side * width, 10)), out, side, size, width });
        return [out, elements];
      });
      expect(error).toBeLessThan(1e-6);
    }
  });

  const cases: AttentionCase[] = [
    // One image: everything sees everything, heads of 72.
    { ring: false, pageSlots: 100, pages: 1, kvHeads: 3, headDim: 72, heads: 3, window: 0, start: 0, end: 100, blocks: [{ from: 0, to: 100 }] },
    { ring: false, pageSlots: 600, pages: 1, kvHeads: 2, headDim: 12, heads: 2, window: 0, start: 0, end: 577, blocks: [{ from: 0, to: 577 }] },
    // Two images in text, across key blocks, partitions and pages.
    { ring: false, pageSlots: 64, pages: 10, kvHeads: 1, headDim: 32, heads: 4, window: 0, start: 200, end: 620, blocks: [{ from: 210, to: 466 }, { from: 470, to: 600 }] },
    // A window larger than an image, and windows smaller than one, in rings.
    { ring: true, pageSlots: 200, pages: 1, kvHeads: 2, headDim: 16, heads: 4, window: 70, start: 90, end: 210, blocks: [{ from: 100, to: 150 }, { from: 152, to: 202 }] },
    { ring: true, pageSlots: 257, pages: 1, kvHeads: 1, headDim: 20, heads: 2, window: 8, start: 100, end: 330, blocks: [{ from: 101, to: 301 }, { from: 302, to: 330 }] },
    // Blocks before and after the queries, and an image that ends the list.
    { ring: false, pageSlots: 400, pages: 1, kvHeads: 1, headDim: 32, heads: 1, window: 30, start: 300, end: 340, blocks: [{ from: 5, to: 40 }, { from: 310, to: 340 }, { from: 700, to: 800 }] },
    { format: 'f16', ring: false, pageSlots: 128, pages: 3, kvHeads: 1, headDim: 32, heads: 2, window: 0, start: 60, end: 300, blocks: [{ from: 64, to: 256 }] },
    { format: 'q8_0', ring: true, pageSlots: 320, pages: 1, kvHeads: 2, headDim: 32, heads: 2, window: 40, start: 60, end: 300, blocks: [{ from: 63, to: 257 }] },
  ];
  it.each(cases)('attends both ways in blocks: $headDim, window $window, $start to $end, $format $blocks', async (at) => {
    expect(await errorOf((rig) => attend(rig, at))).toBeLessThan(at.format === 'q8_0' ? 2e-2 : at.format === 'f16' ? 2e-3 : 3e-6);
  });

  it('gives the same bits whatever stands beside an image, and on one thread', async () => {
    const at: AttentionCase = { ...cases[3]!, start: 90, end: 210 };
    const whole = await result(device, (rig) => attend(rig, at));
    expect(await result(alone, (rig) => attend(rig, at))).toEqual(whole);
    for (const chunks of [[10, 50, 2, 50, 8], [1, 9, 50, 1, 1, 50, 7, 1], [60, 60], [112, 8]]) {
      expect(await result(device, (rig) => attend(rig, at, chunks)), String(chunks)).toEqual(whole);
    }
  });

  it('refuses blocks that are none, that overlap, or that reach beyond the cache', async () => {
    const rig = new Rig(device);
    const cache = rig.cache({ ring: false, pageSlots: 8, kvHeads: 1, headDim: 16, pages: 1 });
    const attention = { op: 'attention', q: rig.empty(16), out: rig.empty(16), rows: 1, start: 3, heads: 1, window: 0, scale: 1, logScale: null, cache } as const;
    await expect(rig.run({ ...attention, blocks: [{ from: 3, to: 3 }] })).rejects.toThrow(/empty, or overlaps/);
    await expect(rig.run({ ...attention, blocks: [{ from: 2, to: 5 }, { from: 4, to: 6 }] })).rejects.toThrow(/empty, or overlaps/);
    await expect(rig.run({ ...attention, blocks: [{ from: 2, to: 9 }] })).rejects.toThrow(/9 positions need 2 pages/);
    const ring = { ...cache, ring: true };
    await expect(rig.run({ ...attention, window: 4, blocks: [{ from: 3, to: 9 }], cache: ring })).rejects.toThrow(/ring/);
    await rig.run({ ...attention, window: 3, blocks: [{ from: 3, to: 8 }], cache: ring });
    await expect(rig.run({ op: 'storeKv', k: attention.q, v: attention.q, rows: 1, start: 0, gain: null, eps, rope: attention.q, cache })).rejects.toThrow(/not rotated/);
    await expect(rig.run({ op: 'averagePool', x: attention.q, out: attention.out, side: 4, size: 3, width: 1 })).rejects.toThrow(/evenly/);
    rig.free();
  });
});
