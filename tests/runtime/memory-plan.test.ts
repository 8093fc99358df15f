/** A plan against what is really allocated: the same labels and bytes, before and after. */
import { describe, expect, it } from 'vitest';
import { randomModel, type Shape } from '../../src/bench/random-model.js';
import type { Device, DeviceBuffer } from '../../src/device/device.js';
import { publishedConfig, sizeNames } from '../../src/gemma/sizes.js';
import { gemmaStorage, plannedGemmaPlaces, type GemmaStorage } from '../../src/gemma/weights.js';
import { Context } from '../../src/runtime/context.js';
import { KvCaches, type KvFormats } from '../../src/runtime/kv.js';
import { thisMachine } from '../../src/runtime/machine.js';
import { comparePatterns, planMemory, type MemoryPlan } from '../../src/runtime/memory-plan.js';
import { formatMemoryPlan } from '../../src/ui/plan.js';
import { kvChoices, workingDevices } from './fixture.js';

const devices = await workingDevices();
const machine = { memory_bytes: 16 * 2 ** 30, available_bytes: 8 * 2 ** 30 };

/** Every buffer that the device makes from now on, with the largest first. */
function watch(device: Device): DeviceBuffer[] {
  const made: DeviceBuffer[] = [];
  const create = device.createBuffer.bind(device);
  device.createBuffer = (bytes, label) => {
    const buffer = create(bytes, label);
    made.push(buffer);
    return buffer;
  };
  return made;
}

function plan(config: Parameters<typeof planMemory>[0]['config'], storage: GemmaStorage, context: number, chunk: number, kv: KvFormats, rate?: number): MemoryPlan {
  return planMemory({ id: 'test', config, storage, context, chunk, kv, machine, ...(rate === undefined ? {} : { rate }) });
}

describe.each(devices)('$name device', ({ create }) => {
  // The caches' shape of 4B (34 layers, 4 KV heads of 256, a window of 1,024), and little else.
  const shape: Shape = { name: '4B, thin', layers: 34, hiddenSize: 32, intermediateSize: 32, heads: 4, kvHeads: 4, headDim: 256, vocabSize: 64, window: 1024 };

  it.each(kvChoices)('allocates the planned bytes, local $local and global $global', async (kv) => {
    const device = await create();
    const model = await randomModel(device, shape, 'q8_0');
    const before = device.allocatedBytes;
    const made = watch(device);
    const context = new Context(model, { chunk: 4, kv });
    await context.prefill(Array.from({ length: 6 }, (_, i) => i));
    // Nothing of the weights: they have been loaded.
    const planned = plan(model.config, { quantization: 'q8_0', bytes: 0, parameters: 0, largest: { label: '', bytes: 0 } }, 6, 4, kv);
    expect(context.kvBytes).toBe(planned.kv.bytes);
    expect(device.allocatedBytes - before).toBe(planned.total_bytes);
    expect(planned.kv.bytes + planned.scratch.bytes).toBe(planned.total_bytes);
    expect(planned.largest_buffer.bytes).toBe(Math.max(...made.map(({ bytes }) => bytes)));
    await device.close();
  });
});

it.skipIf(!devices.some(({ name }) => name === 'cpu'))('4B holds 131,072 positions in 2,676 MiB of f16, and a chunk of 512 adds what the plan says', async () => {
  const device = await devices.find(({ name }) => name === 'cpu')!.create();
  const config = publishedConfig('4b');
  const storage = gemmaStorage(plannedGemmaPlaces(config), 'none');
  const f16: KvFormats = { local: 'f16', global: 'f16' };
  for (const [chunk, mebibytes] of [[1, 2676], [512, 2734]] as const) {
    const caches = new KvCaches(device, config, chunk, f16);
    caches.grow(131_072);
    expect(device.allocatedBytes).toBe(mebibytes * 2 ** 20);
    expect(plan(config, storage, 131_072, chunk, f16).kv.bytes).toBe(device.allocatedBytes);
    caches.close();
  }
  const { kv } = plan(config, storage, 131_072, 512, f16);
  expect([kv.local.slots, kv.global.slots, kv.local_ring_of_window_alone]).toEqual([1536, 131_072, 116 * 2 ** 20]);
  await device.close();
});

it('compares patterns as the Gemma 3 report does', () => {
  const config = publishedConfig('4b');
  const rows = comparePatterns(config, 131_072, 'f16', 2 ** 33);
  const mebibytes = (local: number, window: number | null): number => rows.find((row) => row.local === local && row.window === window)!.bytes / 2 ** 20;
  // 34 layers of 4,096 bytes a position: all global; 17 of them; 8; 5; 4.
  expect([mebibytes(0, null), mebibytes(1, 1024), mebibytes(3, 1024), mebibytes(5, 1024), mebibytes(7, 1024)]).toEqual([17_408, 8772, 4200, 2676, 2168]);
  expect(mebibytes(1, 4096)).toBe(17 * 512 + 17 * 16);
  expect(rows[0]!.share_of_weights).toBe((17_408 * 2 ** 20) / 2 ** 33);
  expect(comparePatterns({ ...config, layers: config.layers.slice(0, 6) }, 4096, 'f16', 1).map(({ local }) => local)).not.toContain(7);
});

it.each(sizeNames)('%s: grows to what the pattern of its own says', (size) => {
  const config = publishedConfig(size);
  const { comparison, fits } = plan(config, gemmaStorage(plannedGemmaPlaces(config), 'q4_0'), 20_000, 512, kvChoices[0]!);
  const { growth, patterns } = comparison;
  expect(growth.map(({ context }) => context)).toEqual([1024, 2048, 4096, 8192, 16_384, 20_000]);
  expect(growth.at(-1)!.bytes).toBe(patterns.find(({ local, window }) => local === 5 && window === config.window)!.bytes);
  expect(growth.at(-1)!.bytes_if_all_global).toBe(patterns[0]!.bytes);
  expect(fits.context).toBe(true);
});

it('says what does not fit, and the time only where a rate is given', () => {
  const config = publishedConfig('27b');
  const storage = gemmaStorage(plannedGemmaPlaces(config), 'none');
  const large = plan(config, storage, 200_000, 512, kvChoices[0]!);
  expect(large.fits).toEqual({ context: false, memory: false });
  expect(large.reading).toBeUndefined();
  expect(formatMemoryPlan(large)).toMatch(/does not fit the model's context of 131,072 positions\ndoes not fit the memory/);
  const timed = plan(config, storage, 120_000, 512, kvChoices[0]!, 100);
  expect(timed.reading).toEqual({ tokens_per_second: 100, source: 'given', seconds: 1200 });
  expect(formatMemoryPlan(timed)).toContain('reading it all: 20.0 min, at the 100 tokens per second given');
  expect(() => plan({ ...config, headDim: 40 }, storage, 1, 1, { local: 'f32', global: 'q8_0' })).toThrow(/multiple of 32/);
});

it('knows a machine with memory', () => {
  const { memory_bytes: memory, available_bytes: available } = thisMachine();
  expect(memory).toBeGreaterThan(2 ** 27);
  expect(available).toBeGreaterThan(0);
  expect(available).toBeLessThanOrEqual(memory);
});

it('makes no ring longer than the context, whatever the window', () => {
  const config = { ...publishedConfig('270m'), window: 2 ** 30, maxPositions: 2048 };
  const { kv } = plan(config, gemmaStorage(plannedGemmaPlaces(config), 'none'), 8, 512, kvChoices[0]!);
  // 2,047 positions before a chunk of 8.
  expect(kv.local.slots).toBe(2080);
});
