/** What speech needs of a device: the reference against published numbers, every variant against the reference. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpuVariants, createCpuDevice, type CpuDevice } from '../../src/device/cpu/device.js';
import type { Device } from '../../src/device/device.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { erfc } from '../../src/erfc.js';
import { randomFloats, relativeError, Rig } from './cases.js';

const reference = createReferenceDevice();

async function geluErf(device: Device, values: Float32Array): Promise<Float32Array> {
  const rig = new Rig(device);
  const x = rig.data(values);
  await rig.run({ op: 'geluErf', x, out: x, count: values.length });
  const out = await rig.floats(x, values.length);
  rig.free();
  return out;
}

interface Unfolding {
  readonly length: number;
  readonly width: number;
  readonly rows: number;
  readonly taps: number;
  readonly stride: number;
  readonly pad: number;
}

async function unfold(device: Device, shape: Unfolding, values: Float32Array): Promise<Float32Array> {
  const rig = new Rig(device);
  const elements = shape.rows * shape.taps * shape.width;
  const out = rig.data(new Float32Array(elements).fill(7));
  await rig.run({ op: 'unfold', x: rig.data(values), out, ...shape });
  const result = await rig.floats(out, elements);
  rig.free();
  return result;
}

describe('the reference', () => {
  it('knows erfc', () => {
    // Abramowitz and Stegun, tables 7.1 and 7.3; the last two from arbitrary-precision arithmetic.
    const table: [number, number][] = [
      [0, 1],
      [0.5, 0.4795001222],
      [1, 0.1572992071],
      [2, 0.004677734981],
      [-1, 1.8427007929],
      [3, 2.2090497e-5],
      [5, 1.5374597944e-12],
      [10, 2.0884875838e-45],
    ];
    for (const [x, value] of table) expect(Math.abs(erfc(x) / value - 1), String(x)).toBeLessThan(1e-8);
    // Both ways of computing it meet where they change.
    expect(Math.abs(erfc(2 - 1e-12) / erfc(2) - 1)).toBeLessThan(1e-10);
    expect([erfc(Infinity), erfc(-Infinity), erfc(Number.NaN)]).toEqual([0, 2, Number.NaN]);
  });

  it('computes gelu of the values that PyTorch documents it by', async () => {
    const got = await geluErf(reference, Float32Array.of(-3, -1, 0, 1, 3));
    expect([...got].map((value) => Number(value.toFixed(5)))).toEqual([-0.00405, -0.15866, 0, 0.84134, 2.99595]);
  });

  it('lays a convolution out, with zeros before and behind', async () => {
    const got = await unfold(reference, { length: 3, width: 2, rows: 2, taps: 3, stride: 2, pad: 1 }, Float32Array.of(1, 2, 3, 4, 5, 6));
    expect([...got]).toEqual([0, 0, 1, 2, 3, 4, 3, 4, 5, 6, 0, 0]);
  });
});

describe.each(cpuVariants())('%s', (isa) => {
  let device: CpuDevice;
  beforeAll(() => {
    const opened = createCpuDevice({ isa, threads: 2 });
    if ('unavailable' in opened) throw new Error(opened.unavailable);
    device = opened;
  });
  afterAll(() => device.close());

  it.each([1, 16, 37, 40_001])('computes gelu of %i numbers', async (count) => {
    const values = randomFloats(count, 1, 8);
    expect(relativeError(await geluErf(device, values), await geluErf(reference, values))).toBeLessThan(5e-7);
  });

  it('keeps small results of gelu, and what is no number', async () => {
    const values = Float32Array.of(-1e-6, -4, -6, -8, 1e30, -1e30, Number.NaN);
    const [got, want] = [await geluErf(device, values), await geluErf(reference, values)];
    for (let i = 0; i < 4; i++) expect(Math.abs(got[i]! / want[i]! - 1), String(values[i])).toBeLessThan(1e-5);
    expect([...got].slice(4)).toEqual([Math.fround(1e30), -0, Number.NaN]);
  });

  it.each([
    { length: 3000, width: 7, rows: 1500, taps: 3, stride: 2, pad: 1 },
    { length: 101, width: 80, rows: 101, taps: 3, stride: 1, pad: 1 },
    { length: 2, width: 5, rows: 6, taps: 4, stride: 1, pad: 3 },
    { length: 9, width: 3, rows: 3, taps: 1, stride: 3, pad: 0 },
  ])('unfolds $length rows of $width by $stride', async (shape) => {
    const values = randomFloats(shape.length * shape.width, 2);
    expect(await unfold(device, shape, values)).toEqual(await unfold(reference, shape, values));
  });

  it('refuses a result on top of its input', async () => {
    const rig = new Rig(device);
    const x = rig.empty(12);
    await expect(rig.run({ op: 'unfold', x, out: x, length: 4, width: 1, rows: 4, taps: 3, stride: 1, pad: 1 })).rejects.toThrow(/overlaps/);
    rig.free();
  });
});
