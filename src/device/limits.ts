/** How fast a device can be, measured on it: what shares of its bandwidth and arithmetic are shares of. */
import type { Command, Device, View, WeightFormat } from './device.js';
import { storedBytes } from '../weights/blocks.js';

export interface Limits {
  /** Bytes per second, read and written, of adding one long vector to another. */
  readonly copy: number;
  /** Multiplications and additions per second of the largest products, in the fastest format. */
  readonly matMul: number;
}

/** A measurement is repeated until it takes so many milliseconds. */
const enough = 60;

/** Sides of the products that are tried, until one takes longer than `enough`. */
const sides = [256, 512, 1024, 2048, 4096];

/** Takes about a second. */
export async function measureLimits(device: Device): Promise<Limits> {
  const rates = [];
  for (const format of ['bf16', 'q8_0'] as const) rates.push(await matMulRate(device, format));
  return { copy: await copyRate(device), matMul: Math.max(...rates) };
}

async function copyRate(device: Device): Promise<number> {
  // Larger than caches, but for software drivers, which are slow.
  let best = 0;
  for (const count of [2 ** 20, 2 ** 24]) {
    const views = ['x', 'y'].map((label): View => ({ buffer: device.createBuffer(count * 4, `bandwidth, ${label}`), offset: 0 }));
    const seconds = await secondsOf(device, { op: 'add', x: views[0]!, y: views[1]!, count });
    for (const { buffer } of views) device.destroyBuffer(buffer);
    best = (count * 12) / seconds;
    if (seconds * 1000 > enough / 4) break;
  }
  return best;
}

async function matMulRate(device: Device, format: WeightFormat): Promise<number> {
  let best = 0;
  for (const side of sides) {
    const memory = new Uint8Array(storedBytes(format, side * side));
    const weight = await device.loadWeight({ label: 'arithmetic', format, outputs: side, inputs: side, data: { memory } });
    const rows = Math.min(side, 512);
    const [x, out] = ['x', 'out'].map((label): View => ({ buffer: device.createBuffer(rows * side * 4, `arithmetic, ${label}`), offset: 0 }));
    const seconds = await secondsOf(device, { op: 'matMul', x: x!, rows, parts: [{ weight, out: out! }] });
    for (const { buffer } of [x!, out!]) device.destroyBuffer(buffer);
    best = Math.max(best, (2 * rows * side * side) / seconds);
    if (seconds * 1000 > enough / 4) break;
  }
  return best;
}

/** Of one command, of as many in one submit as take long enough for its own cost not to count. */
async function secondsOf(device: Device, command: Command): Promise<number> {
  await device.submit([command]);
  for (let repeats = 1; ; repeats *= 4) {
    const began = performance.now();
    await device.submit(Array.from({ length: repeats }, () => command));
    const ms = performance.now() - began;
    if (ms >= enough || repeats >= 4096) return ms / 1000 / repeats;
  }
}
