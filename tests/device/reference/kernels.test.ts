/** The reference kernels against numbers worked out by hand: they are the specification of all others. */
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { ExitCode } from '../../../src/errors.js';
import type { KvFormat, View } from '../../../src/device/device.js';
import { createReferenceDevice } from '../../../src/device/reference/device.js';
import { randomFloats, Rig } from '../cases.js';

const rig = new Rig(createReferenceDevice());
afterEach(() => {
  rig.free();
  expect(rig.device.allocatedBytes).toBe(0);
});
const data = (...numbers: number[]): ReturnType<Rig['data']> => rig.data(Float32Array.from(numbers));
/** Within float32 rounding. */
function close(got: Float32Array, ...want: number[]): void {
  expect(got).toHaveLength(want.length);
  for (const [i, value] of want.entries()) expect(Math.abs(got[i]! - value), `element ${i}`).toBeLessThanOrEqual(2e-7 * Math.max(1, Math.abs(value)));
}

it('embed: scaled rows of the matrix', async () => {
  const weight = await rig.weight(Float32Array.of(1, 2, 3, 4, 5, 6), 3, 2, 'f32');
  const out = rig.empty(4);
  await rig.run({ op: 'embed', ids: rig.data(Uint32Array.of(2, 0)), weight, scale: 0.5, out, rows: 2 });
  close(await rig.floats(out, 4), 2.5, 3, 0.5, 1);
  await expect(rig.run({ op: 'embed', ids: rig.data(Uint32Array.of(3)), weight, scale: 1, out, rows: 1 })).rejects.toThrow('token 3 is outside');
});

it('rmsNorm: divided by the root of the mean square, times the gain', async () => {
  const out = rig.empty(4);
  // Mean squares: (9 + 16) / 2 + 0.5 = 13 and 0 + 0.5.
  await rig.run({ op: 'rmsNorm', x: data(3, 4, 0, 0), gain: data(1, 2), out, rows: 2, width: 2, eps: 0.5 });
  close(await rig.floats(out, 4), 3 / Math.sqrt(13), 8 / Math.sqrt(13), 0, 0);
});

it('addNorm: the normed branch is added, and the sum is normed', async () => {
  const x = data(1, 1);
  const next = rig.empty(2);
  // branch / sqrt((1 + 49) / 2) = (0.2, 1.4), times (5, 5) = (1, 7); x = (2, 8); its mean square is 34.
  const command = { op: 'addNorm', x, branch: data(1, 7), gain: data(5, 5), rows: 1, width: 2, eps: 0 } as const;
  await rig.run({ ...command, next: { gain: data(1, 0.5), out: next } });
  close(await rig.floats(x, 2), 2, 8);
  close(await rig.floats(next, 2), 2 / Math.sqrt(34), 4 / Math.sqrt(34));
  await rig.run({ ...command, next: null });
  close(await rig.floats(x, 2), 3, 15);
});

describe('matMul', () => {
  it('every part has all rows of x', async () => {
    const a = await rig.weight(Float32Array.of(1, 2, 3, 4, 5, 6), 3, 2, 'f32');
    const b = await rig.weight(Float32Array.of(-1, 1), 1, 2, 'bf16');
    const [outA, outB] = [rig.empty(6), rig.empty(2)];
    await rig.run({ op: 'matMul', x: data(1, 10, -2, 0.5), rows: 2, parts: [{ weight: a, out: outA }, { weight: b, out: outB }] });
    close(await rig.floats(outA, 6), 21, 43, 65, -1, -4, -7);
    close(await rig.floats(outB, 2), 9, 2.5);
  });

  it('q8_0: both sides quantised, integers summed, scaled once per block', async () => {
    // Weight block: 127 and -64 (scale 1); x: 2, 1 of scale 2 / 127, so q = 127 and 64 (63.5 to even).
    const weight = await rig.weight(Float32Array.from({ length: 32 }, (_, i) => [127, -64][i] ?? 0), 1, 32, 'q8_0');
    const out = rig.empty(1);
    await rig.run({ op: 'matMul', x: rig.data(Float32Array.from({ length: 32 }, (_, i) => [2, 1][i] ?? 0)), rows: 1, parts: [{ weight, out }] });
    close(await rig.floats(out, 1), (127 * 127 - 64 * 64) * Math.fround(2 / 127));
  });
});

it('normRope: each head normed, then turned; element j goes with j + headDim / 2', async () => {
  const q = data(3, 0, 4, 0, 0, 1, 0, 1);
  // One position, two heads of 4. Pair (0, 2) turns by 90 degrees, pair (1, 3) not at all.
  const rope = data(0, 1, 1, 0);
  await rig.run({ op: 'normRope', q, rows: 1, heads: 2, headDim: 4, gain: data(1, 2, 1, 3), eps: 0, rope });
  // Head 0: (3, 0, 4, 0) / 2.5 -> (1.2, 0, 1.6, 0) -> (-1.6, 0, 1.2, 0). Head 1: (0, 1, 0, 1) sqrt 2 -> times gain.
  close(await rig.floats(q, 8), -1.6, 0, 1.2, 0, 0, 2 * Math.SQRT2, 0, 3 * Math.SQRT2);
  const plain = data(3, 0, 4, 0);
  await rig.run({ op: 'normRope', q: plain, rows: 1, heads: 1, headDim: 4, gain: data(1, 1, 1, 1), eps: 0, rope: null });
  close(await rig.floats(plain, 4), 1.2, 0, 1.6, 0);
});

it('storeKv: normed and turned keys, values as they are, at their slots of ring and pages', async () => {
  const store = async (ring: boolean, pages: number, start: number): Promise<{ k: number[]; v: number[] }[]> => {
    const cache = rig.cache({ ring, pageSlots: 3, kvHeads: 2, headDim: 2, pages });
    const common = { op: 'storeKv', rows: 2, gain: data(1, 1), eps: 0, rope: data(0, 1, 1, 0), cache } as const;
    // Keys (1, 0), (0, 2) at the first position, turned by 90 degrees; (2, 2), (1, 1) at the second, not turned.
    await rig.run({ ...common, start, k: data(1, 0, 0, 2, 2, 2, 1, 1), v: data(1, 2, 3, 4, 5, 6, 7, 8) });
    const round = async (view: Parameters<Rig['floats']>[0]): Promise<number[]> =>
      [...(await rig.floats(view, 12))].map((value) => Math.round(value * 100) / 100 + 0);
    return Promise.all(cache.pages.map(async ({ k, v }) => ({ k: await round({ buffer: k, offset: 0 }), v: await round({ buffer: v, offset: 0 }) })));
  };
  // [head][slot][2]: position 5 lies in slot 2, position 6 in slot 0 of the ring.
  expect(await store(true, 1, 5)).toEqual([{ k: [1, 1, 0, 0, 0, 1.41, 1, 1, 0, 0, -1.41, 0], v: [5, 6, 0, 0, 1, 2, 7, 8, 0, 0, 3, 4] }]);
  expect(await store(false, 3, 5)).toEqual([
    { k: Array(12).fill(0), v: Array(12).fill(0) },
    { k: [0, 0, 0, 0, 0, 1.41, 0, 0, 0, 0, -1.41, 0], v: [0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 3, 4] },
    { k: [1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0], v: [5, 6, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0] },
  ]);
});

describe('formats of keys and values', () => {
  /** What attention reads of one stored value vector: its only key's weight is 1. */
  const through = async (format: KvFormat, ...values: number[]): Promise<Float32Array> => {
    const headDim = values.length;
    const cache = rig.cache({ format, ring: false, pageSlots: 3, kvHeads: 1, headDim, pages: 1 });
    const [k, gain, q, out] = [new Float32Array(headDim).fill(1), new Float32Array(headDim).fill(1), new Float32Array(headDim), new Float32Array(headDim)].map((floats) => rig.data(floats)) as [View, View, View, View];
    await rig.run(
      { op: 'storeKv', k, v: data(...values), rows: 1, start: 0, gain, eps: 0, rope: null, cache },
      { op: 'attention', q, out, rows: 1, start: 0, heads: 1, window: 0, scale: 1, logScale: null, cache },
    );
    return rig.floats(out, headDim);
  };
  const block = (...first: number[]): number[] => Array.from({ length: 32 }, (_, i) => first[i] ?? 0);

  it('f16 rounds to nearest even, and holds the largest half instead of infinity', async () => {
    close(await through('f16', 1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -24), 1, 1, 1 + 2 ** -9, 2 ** -24);
    close(await through('f16', 65_504, 1e5, -1e5, 3e38), 65_504, 65_504, -65_504, 65_504);
    expect([...(await through('f16', Number.NaN, Infinity, -Infinity, 1))]).toEqual([Number.NaN, Infinity, -Infinity, 1]);
  });

  it('q8_0 has 127 steps from 0 to the largest of 32', async () => {
    // Steps of 2: 3 lies between two and goes to the even one, 4 = 2 * 2.
    close(await through('q8_0', ...block(254, 3, 5, -254, 0.9)), ...block(254, 4, 4, -254, 0));
    close(await through('q8_0', ...block(1e5, -3.2e4), ...block(1)), ...block(1e5, Math.round((-3.2e4 * 127) / 1e5) * (1e5 / 127)), ...block(1));
    expect([...(await through('q8_0', ...block(3e38, 1, Number.NaN), ...block(1)))]).toEqual([...Array<number>(32).fill(Number.NaN), ...block(1)]);
  });

  it('refuses heads that do not fit', async () => {
    await expect(through('q8_0', 1, 2, 3, 4)).rejects.toThrow("heads of 4 elements can't be stored as q8_0");
    await expect(through('f16', 1, 2, 3)).rejects.toThrow("heads of 3 elements can't be stored as f16");
  });
});

describe('attention', () => {
  /** Four positions, one KV head: keys ln 1, ln 2, ln 3, ln 4 (second element 0), values 1, 10, 100, 1000. */
  const attend = async (start: number, rows: number, window: number, logScale: number | null): Promise<Float32Array> => {
    const cache = rig.cache({ ring: false, pageSlots: 3, kvHeads: 1, headDim: 2, pages: 2 });
    for (let p = 0; p < 4; p++) {
      const at = (p % 3) * 8;
      const page = cache.pages[Math.floor(p / 3)]!;
      rig.device.write({ buffer: page.k, offset: at }, Float32Array.of(Math.log(p + 1), 0));
      rig.device.write({ buffer: page.v, offset: at }, Float32Array.of(10 ** p, 0));
    }
    const out = rig.empty(rows * 4);
    // Two query heads: 2 and 4 with scale 1/2, so the weights are the position + 1 and its square.
    const q = rig.data(Float32Array.from({ length: rows * 4 }, (_, i) => [2, 0, 4, 0][i % 4]!));
    await rig.run({ op: 'attention', q, out, rows, start, heads: 2, window, scale: 0.5, logScale: logScale === null ? null : data(logScale, 0), cache });
    return (await rig.floats(out, rows * 4)).filter((_, i) => i % 2 === 0);
  };

  it('is causal, and shares a KV head among query heads', async () => {
    close(await attend(0, 2, 0, null), 1, 1, (1 + 20) / 3, (1 + 40) / 5);
    close(await attend(3, 1, 0, null), (1 + 20 + 300 + 4000) / 10, (1 + 40 + 900 + 16_000) / 30);
  });
  it('sees exactly the window, itself included', async () => {
    close(await attend(3, 1, 2, null), (300 + 4000) / 7, (900 + 16_000) / 25);
    close(await attend(3, 1, 1, null), 1000, 1000);
    close(await attend(3, 1, 4, null), (1 + 20 + 300 + 4000) / 10, (1 + 40 + 900 + 16_000) / 30);
  });
  it('sharpens with ln of the visible keys', async () => {
    // Factor ln 4 * (1 / ln 4) = 1 at position 3 for head 0; 0 for head 1: the plain mean.
    close(await attend(3, 1, 0, 1 / Math.log(4)), (1 + 20 + 300 + 4000) / 10, 1111 / 4);
  });
});

it('geGlu: gelu of the gate, times up', async () => {
  const out = rig.empty(4);
  await rig.run({ op: 'geGlu', gate: data(0, 1, -1, 20), up: data(5, 2, 1, 0.5), out, count: 4 });
  // gelu_tanh(1) = 0.841191990608..., gelu_tanh(-1) = that - 1.
  close(await rig.floats(out, 4), 0, 2 * 0.8411919906082768, 0.8411919906082768 - 1, 10);
});

it('stays finite, and right, with activations of magnitude 1e5', async () => {
  const [rows, width] = [3, 64];
  const x = randomFloats(rows * width, 8, 1e5);
  const weight = await rig.weight(randomFloats(width * width, 9, 0.3), width, width, 'f32');
  const gain = rig.data(new Float32Array(width).fill(1));
  const [product, normed, residual] = [rig.empty(rows * width), rig.empty(rows * width), rig.data(x)];
  const cache = rig.cache({ ring: false, pageSlots: rows, kvHeads: 1, headDim: width, pages: 1 });
  await rig.run(
    { op: 'matMul', x: rig.data(x), rows, parts: [{ weight, out: product }] },
    { op: 'addNorm', x: residual, branch: product, gain, next: { gain, out: normed }, rows, width, eps: 1e-6 },
    // Queries and keys that were not normed: logits around 1e10.
    { op: 'storeKv', k: rig.data(x), v: rig.data(x), rows, start: 0, gain, eps: 1e-6, rope: null, cache },
    { op: 'attention', q: product, out: product, rows, start: 0, heads: 1, window: 0, scale: 1e3, logScale: null, cache },
    { op: 'geGlu', gate: residual, up: residual, out: residual, count: rows * width },
  );
  const all = await Promise.all([product, normed, residual].map((view) => rig.floats(view, rows * width)));
  for (const values of all) expect(values.every(Number.isFinite)).toBe(true);
  const norms = Array.from({ length: rows }, (_, r) => Math.hypot(...all[1]!.subarray(r * width, (r + 1) * width)));
  for (const norm of norms) expect(norm).toBeCloseTo(Math.sqrt(width), 4);
  expect(Math.max(...all[2]!)).toBeGreaterThan(1e9);
  // The first position sees itself alone.
  expect(all[0]!.subarray(0, width)).toEqual(x.subarray(0, width));
});

describe('the reference device', () => {
  it('runs commands of one submit in order, and reads what earlier submits wrote', async () => {
    const x = data(3, 4);
    const gain = data(1, 1);
    const first = rig.device.submit([{ op: 'addNorm', x, branch: data(1, 1), gain, next: null, rows: 1, width: 2, eps: 0 }]);
    const second = rig.device.submit([{ op: 'rmsNorm', x, gain, out: x, rows: 1, width: 2, eps: 0 }]);
    const read = rig.floats(x, 2);
    rig.device.write(x, Float32Array.of(9, 9));
    await Promise.all([first, second]);
    close(await read, 4 / Math.sqrt(20.5), 5 / Math.sqrt(20.5));
    close(await rig.floats(x, 2), 9, 9);
  });

  it('refuses formats it can not make, and sizes that are wrong', async () => {
    const memory = new Uint8Array(64 * 4);
    const source = { label: 'w', format: 'f32', outputs: 2, inputs: 32, data: { memory } } as const;
    const badModel = { exitCode: ExitCode.badModel };
    await expect(rig.device.loadWeight(source, 'bf16')).rejects.toMatchObject(badModel);
    await expect(rig.device.loadWeight({ ...source, outputs: 3 })).rejects.toMatchObject(badModel);
    await expect(rig.device.loadWeight({ ...source, outputs: 4, inputs: 16 }, 'q8_0')).rejects.toThrow('multiple of 32');
    await expect(rig.device.loadWeight({ ...source, format: 'q8_0' }, 'f32')).rejects.toThrow("q8_0 can't be loaded as f32");
    expect((await rig.device.loadWeight(source, 'q4_0')).format).toBe('q4_0');
  });

  it('refuses views outside their buffer', async () => {
    const x = data(1, 2);
    const gain = data(1, 1);
    await expect(rig.run({ op: 'rmsNorm', x, gain, out: x, rows: 2, width: 2, eps: 0 })).rejects.toThrow('outside');
    expect(() => rig.device.write({ buffer: x.buffer, offset: 4 }, new Float32Array(2))).toThrow('outside');
  });

  it('says which memory it could not have', async () => {
    expect(() => rig.device.createBuffer(2 ** 50, 'keys of layer 3')).toThrow(/not enough memory for keys of layer 3/);
    const data = { path: fileURLToPath(import.meta.url), offset: 0, bytes: 2 ** 50 };
    await expect(rig.device.loadWeight({ label: 'layer 3', format: 'f32', outputs: 2 ** 38, inputs: 2 ** 10, data })).rejects.toMatchObject({
      exitCode: ExitCode.outOfMemory,
      message: 'not enough memory for the weight layer 3',
    });
  });
});
