/** Every kernel of the WebGPU device against the reference, on whatever adapter there is, if only a software one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../../src/device/reference/device.js';
import type { Device, View, WeightFormat } from '../../../src/device/device.js';
import { attend, compare, packedFormats, randomFloats, randomPacked, relativeError, Rig, ropeTable, stepsApart } from '../cases.js';
import { openWebGpu, webgpuAvailable } from './adapter.js';

const eps = 1e-6;
const formats = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as const;
const blockFormats: readonly WeightFormat[] = ['q8_0', 'q4_0'];

describe.skipIf(!webgpuAvailable)('webgpu', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openWebGpu();
  });
  afterAll(() => device.close());

  it.each(formats)('embeds from %s', async (format) => {
    const [vocabulary, width] = [37, 96];
    const error = await compare(device, async (rig) => {
      const weight = await rig.weight(randomFloats(vocabulary * width, 1), vocabulary, width, format);
      const out = rig.empty(7 * width);
      await rig.run({ op: 'embed', ids: rig.data(Uint32Array.of(36, 0, 5, 17, 16, 15, 5)), weight, scale: Math.sqrt(width), out, rows: 7 });
      return [out, 7 * width];
    });
    expect(error).toBeLessThan(3e-7);
  });

  it.each([
    [1, 640, 1],
    [3, 1000, 1e5],
    [33, 7, 1e5],
    [50, 1152, 3e6],
  ])('normalises %i rows of %i, magnitude %f', async (rows, width, magnitude) => {
    const error = await compare(device, async (rig) => {
      const x = rig.data(randomFloats(rows * width, 2, magnitude));
      await rig.run({ op: 'rmsNorm', x, gain: rig.data(randomFloats(width, 3, 2)), out: x, rows, width, eps });
      return [x, rows * width];
    });
    expect(error).toBeLessThan(5e-7);
  });

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
    const ragged: typeof shapes = blockFormats.includes(format) ? [] : [[9, 1000, 31, 1], [1, 3, 5, 1], [1, 2501, 9, 1], [33, 45, 13, 1]];
    for (const [rows, inputs, outputs, magnitude] of [...shapes, ...ragged]) {
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
    const mixed: WeightFormat[] = ['bf16', 'bf16', 'q4_0', 'q8_0', 'q8_0', 'q8_0', 'q8_0'];
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

  it.each([32, 64, 256, 24, 10])('norms and rotates heads of %i', async (headDim) => {
    for (const rotated of [true, false]) {
      const [rows, heads] = [5, 3];
      const error = await compare(device, async (rig) => {
        const q = rig.data(randomFloats(rows * heads * headDim, 13, 50));
        const rope = rotated ? rig.data(ropeTable(1000, rows, headDim)) : null;
        await rig.run({ op: 'normRope', q, rows, heads, headDim, gain: rig.data(randomFloats(headDim, 14)), eps, rope });
        return [q, rows * heads * headDim];
      });
      expect(error).toBeLessThan(5e-7);
    }
  });

  it.each([
    // ring, slots, pages, KV heads, heads, head size, window, end, start
    [false, 64, 12, 1, 4, 32, 0, 700, 640],
    [false, 1000, 1, 2, 4, 64, 0, 300, 0],
    [false, 50, 8, 1, 1, 20, 0, 390, 389],
    [false, 300, 5, 1, 4, 256, 0, 1300, 1299],
    [true, 100, 1, 2, 2, 16, 40, 333, 280],
    [true, 57, 1, 1, 3, 32, 8, 120, 71],
    [false, 128, 3, 3, 6, 48, 70, 300, 230],
    [true, 640, 1, 1, 4, 256, 512, 600, 520],
  ] as const)('attends: ring %s, %i slots, %i pages, %i KV heads, %i heads of %i, window %i, rows to %i from %i', async (ring, pageSlots, pages, kvHeads, heads, headDim, window, end, start) => {
    const error = await compare(device, async (rig) => {
      const { out, elements } = await attend(rig, { ring, pageSlots, pages, kvHeads, headDim }, end, start, { heads, window });
      return [out, elements];
    });
    expect(error).toBeLessThan(2e-6);
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
});
