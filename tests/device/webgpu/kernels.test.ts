/** Every kernel of the WebGPU device against the reference, on whatever adapter there is, if only a software one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../../src/device/reference/device.js';
import type { Command, Span, View, WeightFormat } from '../../../src/device/device.js';
import type { WebGpuDevice } from '../../../src/device/webgpu/device.js';
import { attend, blockFormats, compare, drawBoth, randomFloats, relativeError, Rig, ropeTable, samplings, stepsApart } from '../cases.js';
import { testKernels } from '../kernel-tests.js';
import { openWebGpu, webgpuAvailable } from './adapter.js';

const reference = createReferenceDevice();
const eps = 1e-6;
const formats = ['f32', 'f16', 'bf16', ...blockFormats] as const;

// A software driver that has not seen the kernels before takes a second or two to compile each.
describe.skipIf(!webgpuAvailable)('webgpu', { timeout: 300_000 }, () => {
  let device: WebGpuDevice;
  beforeAll(async () => {
    device = await openWebGpu();
  });
  afterAll(() => device.close());

  it.each(formats)('embeds from %s', async (format) => {
    const [vocabulary, width] = [37, format.endsWith('k') ? 512 : 96];
    const error = await compare(device, async (rig) => {
      const weight = await rig.weight(randomFloats(vocabulary * width, 1), vocabulary, width, format);
      const out = rig.empty(7 * width);
      await rig.run({ op: 'embed', ids: rig.data(Uint32Array.of(36, 0, 5, 17, 16, 15, 5)), weight, scale: Math.sqrt(width), out, rows: 7 });
      return [out, 7 * width];
    });
    expect(error).toBeLessThan(3e-7);
  });

  testKernels(() => device);

  it.each([true, false])('adds a normed branch, followed by a norm: %s', async (followed) => {
    const [rows, width] = [17, 300];
    const result = (wanted: 'x' | 'next') => async (rig: Rig): Promise<[View, number]> => {
      const x = rig.data(randomFloats(rows * width, 4, 1e5));
      const next = followed ? { gain: rig.data(randomFloats(width, 7)), out: rig.empty(rows * width) } : null;
      const [branch, gain] = [rig.data(randomFloats(rows * width, 5, 300)), rig.data(randomFloats(width, 6, 5e4))];
      await rig.run({ op: 'addNorm', x, branch, gain, next, rows, width, eps });
      return [wanted === 'x' ? x : next!.out, rows * width];
    };
    expect(await compare(device, result('x'))).toBeLessThan(5e-7);
    if (followed) expect(await compare(device, result('next'))).toBeLessThan(1e-6);
  });

  const shapes: readonly [rows: number, inputs: number, outputs: number, magnitude: number][] = [
    [1, 640, 512, 1],
    [2, 64, 17, 1e5],
    [3, 32, 1, 1],
    [5, 192, 7, 1],
    [17, 1120, 16, 1e5],
    [33, 64, 130, 1],
    [130, 96, 49, 1],
  ];
  it.each(formats)('multiplies by %s', async (format) => {
    const ragged: typeof shapes = format.startsWith('q') ? [] : [[9, 1000, 31, 1], [1, 3, 5, 1], [1, 2501, 9, 1], [33, 45, 13, 1]];
    for (const [rows, width, outputs, magnitude] of [...shapes, ...ragged]) {
      const inputs = format.endsWith('k') ? Math.ceil(width / 256) * 256 : width;
      const error = await compare(device, async (rig) => {
        const weight = await rig.weight(randomFloats(outputs * inputs, 8, 0.1), outputs, inputs, format);
        const out = rig.empty(rows * outputs);
        await rig.run({ op: 'matMul', x: rig.data(randomFloats(rows * inputs, 9, magnitude)), rows, parts: [{ weight, out }] });
        return [out, rows * outputs];
      });
      expect(error, `${rows} x ${inputs} x ${outputs}`).toBeLessThan(1e-6);
    }
  });

  it.each([1, 6])('multiplies %i rows by parts of several formats, with and without a bias', async (rows) => {
    const inputs = 128;
    const mixed: WeightFormat[] = ['bf16', 'bf16', 'q4_0', 'q5_1', 'q5_1', 'q5_1', 'q5_1'];
    for (const which of mixed.keys()) {
      const error = await compare(device, async (rig) => {
        const parts = await Promise.all(
          mixed.map(async (format, i) => ({
            weight: await rig.weight(randomFloats((20 + i) * inputs, i + 1), 20 + i, inputs, format),
            out: rig.empty(rows * (20 + i)),
            ...(i % 2 === 1 && { bias: rig.data(randomFloats(20 + i, i, 10)) }),
          })),
        );
        await rig.run({ op: 'matMul', x: rig.data(randomFloats(rows * inputs, 9)), rows, parts });
        return [parts[which]!.out, rows * (20 + which)];
      });
      expect(error, `part ${which}`).toBeLessThan(1e-6);
    }
  });

  it.each([32, 64, 1])('adds gelu of a gate times up, %i', async (magnitude) => {
    for (const count of [1, 255, 70_001]) {
      const error = await compare(device, async (rig) => {
        const gate = rig.data(randomFloats(count, 20, magnitude));
        await rig.run({ op: 'geGlu', gate, up: rig.data(randomFloats(count, 21, 1e4)), out: gate, count });
        return [gate, count];
      });
      expect(error).toBeLessThan(1e-6);
    }
  });

  // What storeKv writes may differ by one step where the reference, in float64, is on the other side of a tie. So the
  // attention is compared on what the reference has stored.
  it.each([
    // ring, slots, pages, KV heads, heads, head size, window, end, start, magnitude of the values
    ['f16', false, 64, 5, 1, 4, 64, 0, 300, 290, 1e5],
    ['f16', true, 60, 1, 2, 2, 10, 40, 130, 119, 3],
    ['q8_0', false, 64, 5, 1, 4, 64, 0, 300, 290, 1e5],
    ['q8_0', true, 100, 1, 2, 2, 64, 40, 130, 100, 1e-3],
  ] as const)('stores and attends in %s: ring %s, %i slots, %i pages, %i KV heads, %i heads of %i, window %i, rows to %i from %i, values of %f', async (format, ring, pageSlots, pages, kvHeads, heads, headDim, window, end, start, magnitude) => {
    const shape = { format, ring, pageSlots, pages, kvHeads, headDim };
    const [theirs, ours] = [new Rig(reference), new Rig(device)];
    const want = await attend(theirs, shape, end, start, { heads, window, magnitude });
    const got = await attend(ours, shape, end, start, { heads, window, magnitude });
    for (const [i, page] of want.cache.pages.entries()) {
      for (const side of ['k', 'v'] as const) {
        const bytes = await reference.read({ buffer: page[side], offset: 0 }, page[side].bytes);
        const stored = await device.read({ buffer: got.cache.pages[i]![side], offset: 0 }, page[side].bytes);
        expect(stepsApart(format, stored, bytes, pageSlots * kvHeads * headDim), `page ${i}, ${side}`).toBeLessThanOrEqual(1);
        device.write({ buffer: got.cache.pages[i]![side], offset: 0 }, bytes);
      }
    }
    const q = ours.data(randomFloats(got.elements, 18, 4));
    await ours.run({ op: 'attention', q, out: got.out, rows: end - start, start, heads, window, scale: headDim ** -0.5, logScale: null, cache: got.cache });
    expect(relativeError(await ours.floats(got.out, got.elements), await theirs.floats(want.out, want.elements))).toBeLessThan(3e-6);
    theirs.free();
    ours.free();
  });

  it('gives the same bits whoever computes a partition: a workgroup all of them in turn, or one each', async () => {
    // So many queries and heads keep the GPU busy by themselves; of one query, the keys are shared out.
    const [heads, headDim, start, rows] = [16, 8, 520, 64];
    const alone = [0, 17, 63];
    const attended = async (rig: Rig): Promise<{ all: Float32Array; each: Float32Array[] }> => {
      const cache = rig.cache({ ring: false, pageSlots: start, pages: 2, kvHeads: heads, headDim });
      const perRow = heads * headDim;
      const [k, v, q] = [15, 16, 18].map((seed) => rig.data(randomFloats((start + rows) * perRow, seed)));
      const logScale = rig.data(randomFloats(heads, 19));
      const [out, single] = [rig.empty(rows * perRow), rig.empty(alone.length * perRow)];
      const attend = (from: number, count: number, to: View): Command => ({ op: 'attention', q: { ...q!, offset: from * perRow * 4 }, out: to, rows: count, start: start + from, heads, window: 0, scale: headDim ** -0.5, logScale, cache });
      await rig.run(
        { op: 'storeKv', k: k!, v: v!, rows: start + rows, start: 0, gain: null, eps, rope: null, cache },
        attend(0, rows, out),
        ...alone.map((row, i) => attend(row, 1, { ...single, offset: i * perRow * 4 })),
      );
      const [all, few] = [await rig.floats(out, rows * perRow), await rig.floats(single, alone.length * perRow)];
      rig.free();
      return { all, each: alone.map((_, i) => few.subarray(i * perRow, (i + 1) * perRow)) };
    };
    const { all, each } = await attended(new Rig(device));
    for (const [i, row] of alone.entries()) expect(each[i], `row ${row}`).toEqual(all.subarray(row * heads * headDim, (row + 1) * heads * headDim));
    expect(relativeError(all, (await attended(new Rig(reference))).all)).toBeLessThan(3e-6);
  });

  it('attends both ways in blocks, as images are read', async () => {
    const blocks: Span[] = [{ from: 63, to: 120 }, { from: 121, to: 180 }, { from: 900, to: 910 }];
    for (const [ring, window] of [[true, 40], [false, 0]] as const) {
      const error = await compare(device, async (rig) => {
        const [end, start, kvHeads, headDim, heads] = [200, 60, 2, 16, 4];
        const cache = rig.cache({ ring, pageSlots: 200, pages: 1, kvHeads, headDim });
        const [k, v] = [15, 16].map((seed) => rig.data(randomFloats(end * kvHeads * headDim, seed, 2)));
        const elements = (end - start) * heads * headDim;
        const out = rig.empty(elements);
        await rig.run(
          { op: 'storeKv', k: k!, v: v!, rows: end, start: 0, gain: null, eps, rope: null, cache },
          { op: 'attention', q: rig.data(randomFloats(elements, 18, 4)), out, rows: end - start, start, heads, window, scale: 0.25, logScale: null, blocks, cache },
        );
        return [out, elements];
      });
      expect(error).toBeLessThan(3e-6);
    }
  });

  it('computes what the vision tower needs: layer norms, gelu, sums, pooled cells', async () => {
    const errors = [
      await compare(device, async (rig) => {
        // A mean far from 0: E[x^2] - mean^2 would be all rounding error in f32.
        const x = rig.data(randomFloats(9 * 1000, 2).map((value) => value + 300));
        await rig.run({ op: 'layerNorm', x, gain: rig.data(randomFloats(1000, 3, 2)), bias: rig.data(randomFloats(1000, 4)), out: x, rows: 9, width: 1000, eps });
        return [x, 9000];
      }),
      await compare(device, async (rig) => {
        const x = rig.data(randomFloats(20_001, 8, 8));
        await rig.run({ op: 'gelu', x, out: x, count: 20_001 }, { op: 'add', x, y: rig.data(randomFloats(20_001, 9)), count: 20_001 });
        return [x, 20_001];
      }),
      await compare(device, async (rig) => {
        const out = rig.empty(4 * 5);
        await rig.run({ op: 'averagePool', x: rig.data(randomFloats(36 * 5, 10)), out, side: 6, size: 3, width: 5 });
        return [out, 4 * 5];
      }),
    ];
    for (const error of errors) expect(error).toBeLessThan(1e-6);
  });

  it('computes what speech needs: exact gelu, and the rows that a convolution reads', async () => {
    const gelu = async (rig: Rig): Promise<[View, number]> => {
      const x = rig.data(Float32Array.of(...randomFloats(700, 1, 8), -1e-6, -8, 1e30, -1e30));
      await rig.run({ op: 'geluErf', x, out: x, count: 702 });
      return [x, 702];
    };
    expect(await compare(device, gelu)).toBeLessThan(5e-7);
    for (const shape of [{ length: 300, width: 7, rows: 150, taps: 3, stride: 2, pad: 1 }, { length: 2, width: 5, rows: 6, taps: 4, stride: 1, pad: 3 }]) {
      const elements = shape.rows * shape.taps * shape.width;
      const error = await compare(device, async (rig) => {
        const out = rig.data(new Float32Array(elements).fill(7));
        await rig.run({ op: 'unfold', x: rig.data(randomFloats(shape.length * shape.width, 2)), out, ...shape });
        return [out, elements];
      });
      expect(error).toBe(0);
    }
  });

  it.each(samplings)('draws the tokens that the reference draws: %j', async (sampling) => {
    for (const { id, want, difference } of await drawBoth(device, sampling)) {
      expect(id).toBe(want);
      expect(difference).toBeLessThan(1e-5);
    }
  });

  it('says so where no logit is a number', async () => {
    const rig = new Rig(device);
    const out = rig.empty(2);
    await rig.run({ op: 'sample', logits: rig.data(new Float32Array(5000).fill(Number.NaN)), count: 5000, sampling: { temperature: 1, topK: 5 }, step: 0, out });
    expect(new Uint32Array((await rig.floats(out, 1)).buffer)[0]).toBe(2 ** 32 - 1);
    rig.free();
  });

  // What a product needs in int8 is written by the kernel before it where both come in one list.
  it.each(['rmsNorm', 'addNorm', 'geGlu', 'attention', 'attention of many keys'] as const)('quantises for a product what %s makes, to the bits of its own kernel', async (op) => {
    const [rows, width, outputs] = [3, 128, 20];
    const commands = async (rig: Rig): Promise<[Command[], View]> => {
      const [x, y, gain] = [rig.data(randomFloats(rows * width, 1, 1e4)), rig.data(randomFloats(rows * width, 2, 30)), rig.data(randomFloats(width, 3, 2))];
      const [made, out] = [rig.empty(rows * width), rig.empty(rows * outputs)];
      const product: Command = { op: 'matMul', x: made, rows, parts: [{ weight: await rig.weight(randomFloats(outputs * width, 4), outputs, width, 'q8_0'), out }] };
      if (op === 'rmsNorm') return [[{ op, x, gain, out: made, rows, width, eps }, product], out];
      if (op === 'addNorm') return [[{ op, x, branch: y, gain, next: { gain, out: made }, rows, width, eps }, product], out];
      if (op === 'geGlu') return [[{ op, gate: x, up: y, out: made, count: rows * width }, product], out];
      const end = op === 'attention' ? 40 : 700;
      const cache = rig.cache({ ring: false, pageSlots: 400, pages: 2, kvHeads: 2, headDim: 32 });
      const [k, v] = [5, 6].map((seed) => rig.data(randomFloats(end * 64, seed)));
      return [
        [
          { op: 'storeKv', k: k!, v: v!, rows: end, start: 0, gain: null, eps, rope: null, cache },
          { op: 'attention', q: y, out: made, rows, start: end - rows, heads: 4, window: 0, scale: 0.2, logScale: null, cache },
          product,
        ],
        out,
      ];
    };
    const result = async (rig: Rig, together: boolean): Promise<Float32Array> => {
      const [list, out] = await commands(rig);
      for (const part of together ? [list] : list.map((command) => [command])) await rig.run(...part);
      const floats = await rig.floats(out, rows * outputs);
      rig.free();
      return floats;
    };
    const together = await result(new Rig(device), true);
    expect(together).toEqual(await result(new Rig(device), false));
    expect(relativeError(together, await result(new Rig(reference), true))).toBeLessThan(1e-4);
  });

  it('normalises and rotates queries beside the keys, to the bits of their own kernel', async () => {
    const [rows, heads, kvHeads, headDim, start] = [5, 3, 1, 32, 70];
    const results = [true, false].map(async (together) => {
      const rig = new Rig(device);
      const cache = rig.cache({ ring: true, pageSlots: 64, pages: 1, kvHeads, headDim });
      const [q, gain, rope] = [rig.data(randomFloats(rows * heads * headDim, 1, 50)), rig.data(randomFloats(headDim, 2)), rig.data(ropeTable(start, rows, headDim))];
      const [k, v] = [3, 4].map((seed) => rig.data(randomFloats(rows * kvHeads * headDim, seed)));
      const list: Command[] = [
        { op: 'storeKv', k: k!, v: v!, rows, start, gain, eps, rope, cache },
        { op: 'normRope', q, rows, heads, headDim, gain: rig.data(randomFloats(headDim, 5)), eps, rope },
      ];
      for (const part of together ? [list] : list.map((command) => [command])) await rig.run(...part);
      return Promise.all([rig.floats(q, rows * heads * headDim), rig.floats({ buffer: cache.pages[0]!.k, offset: 0 }, 64 * headDim)]);
    });
    expect(await results[0]).toEqual(await results[1]);
  });

  it('copies a matrix into memory of its own, and gives memory of matrices back', async () => {
    const rig = new Rig(device);
    const [inputs, outputs] = [64, 40];
    const first = await rig.weight(randomFloats(outputs * inputs, 5), outputs, inputs, 'q4_0');
    const [x, out, again] = [rig.data(randomFloats(inputs, 6)), rig.empty(outputs), rig.empty(outputs)];
    const copy = await device.copyWeight(first);
    await rig.run({ op: 'matMul', x, rows: 1, parts: [{ weight: first, out }] });
    device.destroyWeight(first);
    await rig.run({ op: 'matMul', x, rows: 1, parts: [{ weight: copy, out: again }] });
    expect(await rig.floats(again, outputs)).toEqual(await rig.floats(out, outputs));
    await expect(rig.run({ op: 'matMul', x, rows: 1, parts: [{ weight: first, out }] })).rejects.toThrow('is not of this device');
    rig.free();
  });

  it('cuts a matrix that no binding holds into shards of rows', async () => {
    const small = await openWebGpu({ largestBinding: 128 * 1024 });
    for (const format of ['f32', 'q6_k'] as const) {
      const [inputs, outputs, rows] = [256, 1500, 3];
      const errors = ['embed', 'matMul'].map((op) =>
        compare(small, async (rig) => {
          const weight = await rig.weight(randomFloats(outputs * inputs, 5), outputs, inputs, format);
          const out = rig.empty(rows * outputs);
          if (op === 'embed') await rig.run({ op, ids: rig.data(Uint32Array.of(1499, 0, 700)), weight, scale: 2, out, rows });
          else await rig.run({ op: 'matMul', x: rig.data(randomFloats(rows * inputs, 6)), rows, parts: [{ weight, out }] });
          return [out, op === 'embed' ? rows * inputs : rows * outputs];
        }),
      );
      for (const error of errors) expect(await error).toBeLessThan(1e-6);
    }
    expect(() => small.createBuffer(2 ** 20, 'keys of layer 3')).toThrow(/not enough memory for keys of layer 3: it takes 1 MiB/);
    await small.close();
  });
});
