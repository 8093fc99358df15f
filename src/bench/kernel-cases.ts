/** Random inputs for tests of kernels and for the GPU bench's check of them, and one rig that records the same case on two devices. */
import type { Command, Device, DeviceBuffer, KvCache, KvFormat, View, Weight, WeightFormat } from '../device/device.js';
import { kvPageBytes } from '../device/kvLayout.js';
import { createReferenceDevice } from '../device/reference/device.js';
import type { Sampling } from '../device/sampling.js';
import { isDenseFormat, layouts, storedBytes, type BlockFormat, type PackedFormat } from '../weights/blocks.js';

/** Uniform numbers in [-1, 1), the same for the same seed. */
export function randomizer(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 31 - 1;
  };
}

export function randomFloats(count: number, seed: number, magnitude = 1): Float32Array {
  const next = randomizer(seed);
  return Float32Array.from({ length: count }, () => next() * magnitude);
}

/** Of a cache; the format is f32 where none is given. */
export interface CacheShape {
  readonly format?: KvFormat;
  readonly ring: boolean;
  readonly pageSlots: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly pages: number;
}

/** Where each packed format keeps its scales in a block. */
const scalePlaces: Readonly<Record<PackedFormat, readonly number[]>> = { q4_1: [0, 2], q5_0: [0], q5_1: [0, 2], q4_k: [0, 2], q5_k: [0, 2], q6_k: [208] };
export const packedFormats = Object.keys(scalePlaces) as PackedFormat[];
export const blockFormats: readonly (BlockFormat | PackedFormat)[] = ['q8_0', 'q4_0', ...packedFormats];

function isPacked(format: WeightFormat): format is PackedFormat {
  return format in scalePlaces;
}

/** Random blocks whose scales are f16 numbers between 2^-8 and 2^-4, of either sign. */
export function randomPacked(format: PackedFormat, elements: number, seed: number): Uint8Array {
  const next = randomizer(seed);
  const bytes = new Uint8Array(storedBytes(format, elements)).map(() => Math.floor((next() + 1) * 128));
  for (let block = 0; block < bytes.length; block += layouts[format].bytes) {
    for (const place of scalePlaces[format]) bytes[block + place + 1] = (bytes[block + place + 1]! & 0x8f) | 0x20;
  }
  return bytes;
}

/** Buffers, weights and results of one test on one device. */
export class Rig {
  readonly buffers: DeviceBuffer[] = [];
  constructor(readonly device: Device) {}

  /** A buffer holding the numbers. */
  data(numbers: Float32Array | Uint32Array): View {
    const view = this.empty(numbers.length);
    this.device.write(view, numbers);
    return view;
  }

  /** A buffer of zeros. */
  empty(elements: number): View {
    const buffer = this.device.createBuffer(elements * 4, 'test');
    this.buffers.push(buffer);
    return { buffer, offset: 0 };
  }

  cache(shape: CacheShape): KvCache {
    const { pages, ...rest } = { format: 'f32' as const, ...shape };
    const page = (): DeviceBuffer => this.empty(kvPageBytes(rest) / 4).buffer;
    return { ...rest, pages: Array.from({ length: pages }, () => ({ k: page(), v: page() })) };
  }

  /** The values in this format; of packed formats, which nothing here quantises to, random blocks. */
  async weight(values: Float32Array, outputs: number, inputs: number, format: WeightFormat): Promise<Weight> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    if (isPacked(format)) {
      return this.device.loadWeight({ label: 'w', format, outputs, inputs, data: { memory: randomPacked(format, outputs * inputs, outputs) } });
    }
    if (format === 'f32' || !isDenseFormat(format)) {
      return this.device.loadWeight({ label: 'w', format: 'f32', outputs, inputs, data: { memory: bytes } }, format);
    }
    const halves = Uint16Array.from(values, format === 'bf16' ? bf16Bits : f16Bits);
    const memory = new Uint8Array(halves.buffer);
    return this.device.loadWeight({ label: 'w', format, outputs, inputs, data: { memory } });
  }

  async floats(view: View, elements: number): Promise<Float32Array> {
    const bytes = await this.device.read(view, elements * 4);
    return new Float32Array(bytes.buffer);
  }

  async run(...commands: Command[]): Promise<void> {
    await this.device.submit(commands);
  }

  free(): void {
    for (const buffer of this.buffers.splice(0)) this.device.destroyBuffer(buffer);
  }
}

const scratch = new DataView(new ArrayBuffer(4));

/** Truncated: any bf16 number will do. */
export function bf16Bits(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint16(0);
}

/** Truncated, for values whose magnitude lies in f16's normal range or is 0; smaller ones become 0. */
export function f16Bits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const exponent = ((bits >>> 23) & 255) - 112;
  if (exponent <= 0) return 0;
  return ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}

/** Rotary tables of positions start .. start + rows - 1. */
export function ropeTable(start: number, rows: number, headDim: number, base = 10_000): Float32Array {
  const out = new Float32Array(rows * headDim);
  const half = headDim / 2;
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < half; j++) {
      const angle = (start + r) * base ** (-j / half);
      out[r * headDim + j] = Math.cos(angle);
      out[r * headDim + half + j] = Math.sin(angle);
    }
  }
  return out;
}

/** The largest difference, over the largest magnitude of `want`. NaN anywhere gives NaN. */
export function relativeError(got: Float32Array, want: ArrayLike<number>): number {
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i]! - want[i]!);
    if (Number.isNaN(difference)) return Number.NaN;
    if (difference > worst) worst = difference;
    largest = Math.max(largest, Math.abs(want[i]!));
  }
  return largest === 0 ? worst : worst / largest;
}

/** Runs a case on the reference and on `device`; gives the relative error of its output. */
export async function compare(device: Device, record: (rig: Rig) => Promise<[View, number]>): Promise<number> {
  const [want, got] = await Promise.all(
    [createReferenceDevice(), device].map(async (each) => {
      const rig = new Rig(each);
      const [view, elements] = await record(rig);
      const floats = await rig.floats(view, elements);
      rig.free();
      return floats;
    }),
  );
  return relativeError(got!, want!);
}


/** Fills a cache with positions 0 .. end - 1 in chunks, and attends from `start` on. */
export async function attend(
  rig: Rig,
  shape: CacheShape,
  end: number,
  start: number,
  options: { heads: number; window: number; logScale?: boolean; chunk?: number; magnitude?: number },
): Promise<{ out: View; elements: number; cache: KvCache }> {
  const { kvHeads, headDim } = shape;
  const { heads, window, logScale = false, chunk = end - start, magnitude = 3 } = options;
  const cache = rig.cache(shape);
  const k = randomFloats(end * kvHeads * headDim, 15);
  const v = randomFloats(end * kvHeads * headDim, 16, magnitude);
  const gain = rig.data(randomFloats(headDim, 17));
  const q = rig.data(randomFloats((end - start) * heads * headDim, 18, 4));
  const out = rig.empty((end - start) * heads * headDim);
  const scales = logScale ? rig.data(randomFloats(heads, 19)) : null;
  const perRow = heads * headDim * 4;
  const kv = kvHeads * headDim;
  const store = (from: number, rows: number): Command => ({
    op: 'storeKv',
    k: rig.data(k.subarray(from * kv, (from + rows) * kv)),
    v: rig.data(v.subarray(from * kv, (from + rows) * kv)),
    rows,
    start: from,
    gain,
    eps: 1e-6,
    rope: null,
    cache,
  });
  for (let p = 0; p < start; p += 50) await rig.run(store(p, Math.min(50, start - p)));
  for (let p = start; p < end; p += chunk) {
    const rows = Math.min(chunk, end - p);
    const offset = (p - start) * perRow;
    await rig.run(store(p, rows), {
      op: 'attention',
      q: { buffer: q.buffer, offset },
      out: { buffer: out.buffer, offset },
      rows,
      start: p,
      heads,
      window,
      scale: headDim ** -0.5,
      logScale: scales,
      cache,
    });
  }
  return { out, elements: (end - start) * heads * headDim, cache };
}


/** How many steps of the format, at most, the elements of two pages are apart; Infinity where scales differ by more than rounding. */
export function stepsApart(format: 'f16' | 'q8_0', a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>, elements: number): number {
  let worst = 0;
  if (format === 'f16') {
    // Halves of one sign are ordered as integers are.
    const ordered = (half: number): number => (half & 0x8000 ? -(half & 0x7fff) : half);
    const [x, y] = [new Uint16Array(a.buffer), new Uint16Array(b.buffer)];
    for (const [i, half] of x.entries()) worst = Math.max(worst, Math.abs(ordered(half) - ordered(y[i]!)));
    return worst;
  }
  const [x, y] = [new Int8Array(a.buffer, 0, elements), new Int8Array(b.buffer, 0, elements)];
  for (const [i, q] of x.entries()) worst = Math.max(worst, Math.abs(q - y[i]!));
  const [d, e] = [new Float32Array(a.buffer, elements), new Float32Array(b.buffer, elements)];
  for (const [i, scale] of d.entries()) if (Math.abs(scale - e[i]!) > 1e-6 * e[i]!) return Infinity;
  return worst;
}

/** ring, slots, pages, KV heads, heads, head size, window, end, start */
export const attentionCases = [
  [false, 64, 12, 1, 4, 32, 0, 700, 640],
  [false, 1000, 1, 2, 4, 64, 0, 300, 0],
  [false, 50, 8, 1, 1, 20, 0, 390, 389],
  [false, 300, 5, 1, 4, 256, 0, 1300, 1299],
  [true, 100, 1, 2, 2, 16, 40, 333, 280],
  [true, 57, 1, 1, 3, 32, 8, 120, 71],
  [false, 128, 3, 3, 6, 48, 70, 300, 230],
  [true, 640, 1, 1, 4, 256, 512, 600, 520],
] as const;

/** Ways to draw, one for each kernel and filter. */
export const samplings: readonly Sampling[] = [
  { temperature: 0 },
  { temperature: 1, seed: 5 },
  { temperature: 0.8, topK: 64, topP: 0.95, seed: 6 },
  { temperature: 1.3, topP: 0.6, seed: 7 },
  { temperature: 2, topK: 7, seed: 8 },
  { temperature: 1, minP: 0.05, seed: 9 },
  { temperature: 1, topK: 1, seed: 10 },
];

const drawSteps = 8;

/**
 * Tokens drawn from the same logits by a device and by the reference, and how far their log-probabilities are apart: peaked
 * logits and flat ones, of few and many ids, with ties.
 */
export async function drawBoth(device: Device, sampling: Sampling): Promise<{ id: number; want: number; difference: number }[]> {
  const results = [];
  for (const [count, magnitude] of [[5, 3], [8192, 12], [9001, 0.5], [20_000, 20]] as const) {
    const logits = randomFloats(count, count, magnitude);
    // The same number twice, masked ids, and zeros of both signs.
    logits.set([logits[3]!, 0, -0], 0);
    if (count > 100) logits.set([-Infinity, -1e30], 50);
    // Of a NaN among them the sum is NaN, but the draw goes on.
    if (count === 9001) logits[60] = Number.NaN;
    const drawn = await Promise.all(
      [createReferenceDevice(), device].map(async (each) => {
        const rig = new Rig(each);
        const [view, out] = [rig.data(logits), rig.empty(2 * drawSteps)];
        await rig.run(...Array.from({ length: drawSteps }, (_, step) => ({ op: 'sample' as const, logits: view, count, sampling, step, out: { ...out, offset: step * 8 } })));
        const floats = await rig.floats(out, 2 * drawSteps);
        rig.free();
        return { ids: new Uint32Array(floats.buffer), floats };
      }),
    );
    const [want, got] = drawn as [(typeof drawn)[number], (typeof drawn)[number]];
    for (let step = 0; step < drawSteps; step++) {
      const [logProb, wantedLogProb] = [got.floats[2 * step + 1]!, want.floats[2 * step + 1]!];
      results.push({ id: got.ids[2 * step]!, want: want.ids[2 * step]!, difference: count === 9001 ? 0 : Math.abs(logProb - wantedLogProb) });
    }
  }
  return results;
}
