/** Tests of kernels that every device passes alike, beside the reference; each device's own tests call them. */
import { expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { attend, attentionCases, compare, randomFloats, ropeTable } from './cases.js';

const eps = 1e-6;

/** @param device is there once the tests run */
export function testKernels(device: () => Device): void {
  it.each([
    [1, 640, 1],
    [3, 1000, 1e5],
    [33, 7, 1e5],
    [50, 1152, 3e6],
  ])('normalises %i rows of %i, magnitude %f', async (rows, width, magnitude) => {
    const error = await compare(device(), async (rig) => {
      const x = rig.data(randomFloats(rows * width, 2, magnitude));
      await rig.run({ op: 'rmsNorm', x, gain: rig.data(randomFloats(width, 3, 2)), out: x, rows, width, eps });
      return [x, rows * width];
    });
    expect(error).toBeLessThan(5e-7);
  });

  it.each([32, 64, 256, 24, 10])('norms and rotates heads of %i', async (headDim) => {
    for (const rotated of [true, false]) {
      const [rows, heads] = [5, 3];
      const error = await compare(device(), async (rig) => {
        const q = rig.data(randomFloats(rows * heads * headDim, 13, 50));
        const rope = rotated ? rig.data(ropeTable(1000, rows, headDim)) : null;
        await rig.run({ op: 'normRope', q, rows, heads, headDim, gain: rig.data(randomFloats(headDim, 14)), eps, rope });
        return [q, rows * heads * headDim];
      });
      expect(error).toBeLessThan(5e-7);
    }
  });

  it.each(attentionCases)('attends: ring %s, %i slots, %i pages, %i KV heads, %i heads of %i, window %i, rows to %i from %i', async (ring, pageSlots, pages, kvHeads, heads, headDim, window, end, start) => {
    const error = await compare(device(), async (rig) => {
      const { out, elements } = await attend(rig, { ring, pageSlots, pages, kvHeads, headDim }, end, start, { heads, window });
      return [out, elements];
    });
    expect(error).toBeLessThan(2e-6);
  });
}
