/** Models and devices that the runtime's tests share. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import type { Command, Device, View } from '../../src/device/device.js';
import { kvPlanes } from '../../src/device/kvLayout.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { selectDevice } from '../../src/device/select.js';
import type { GemmaConfig } from '../../src/gemma/config.js';
import { loadGemmaWeights, type GemmaWeights } from '../../src/gemma/weights.js';
import type { KvFormats } from '../../src/runtime/kv.js';
import { openConfig } from '../../src/runtime/model.js';
import { openCheckpoint } from '../../src/weights/safetensors.js';
import { withSubmit } from '../../src/device/with-submit.js';

export const fixtureDir = fileURLToPath(new URL('../../fixtures/gemma3-tiny', import.meta.url));
export const tinyDir = fileURLToPath(new URL('../../models/lodestone-tiny', import.meta.url));

/** For comparisons with exact values. */
export const exactKv: KvFormats = { local: 'f32', global: 'f32' };

/** Every format in layers of both kinds. */
export const kvChoices: KvFormats[] = [exactKv, { local: 'q8_0', global: 'f16' }, { local: 'f16', global: 'q8_0' }];

export interface Golden {
  readonly ids: number[];
  readonly hidden_states_f32: number[][];
  readonly logits_f32: number[];
}

export function readGolden(): Golden {
  return JSON.parse(readFileSync(join(fixtureDir, 'golden.json'), 'utf8')) as Golden;
}

export interface TestDevice {
  readonly name: Device['name'];
  /** Largest error against the golden values. */
  readonly tolerance: number;
  readonly create: () => Promise<Device>;
}

const reference: TestDevice = { name: 'reference', tolerance: 2e-4, create: async () => createReferenceDevice() };
const cpu: TestDevice = { name: 'cpu', tolerance: 1e-3, create: async () => (await selectDevice('cpu')).device };

/** The devices that work here. */
export async function workingDevices(): Promise<TestDevice[]> {
  try {
    await (await cpu.create()).close();
    return [reference, cpu];
  } catch (error) {
    const why = (error as Error).message.split('\n', 1)[0];
    console.warn(`SKIPPED: the cpu device does not load, so only the reference is tested (${why})`);
    return [reference];
  }
}

export interface TestModel {
  readonly device: Device;
  readonly config: GemmaConfig;
  readonly weights: GemmaWeights;
}

/**
 * The fixture's model, or one with the same tensors in another layer pattern: its first layers with the kinds given
 * (any tensor shape fits any kind). The weights are loaded once per device and pattern.
 */
export async function openFixture(device: Device, kinds?: readonly ('local' | 'global')[]): Promise<TestModel> {
  const published = await openConfig(fixtureDir);
  const { tensors, files } = await openCheckpoint(fixtureDir);
  if (!kinds) return { device, config: published, weights: await loadGemmaWeights(device, { tensors, files }, published) };
  const config = { ...published, layers: kinds.map((kind) => ({ kind })) };
  const kept = new Map([...tensors].filter(([name]) => Number(/layers\.(\d+)/.exec(name)?.[1] ?? 0) < kinds.length));
  return { device, config, weights: await loadGemmaWeights(device, { tensors: kept, files }, config) };
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

/**
 * A device whose submit number `submit` (from 0) breaks off after `kept` commands, as an abort may: what the commands
 * after those would have written is NaN then.
 */
export function interruptedDevice(device: Device, submit: number, kept: number): Device {
  let count = 0;
  const spoil = (view: View, elements: number): void => device.write(view, new Float32Array(elements).fill(Number.NaN));
  return withSubmit(device, async (commands, signal) => {
    if (count++ !== submit) return device.submit(commands, signal);
    await device.submit(commands.slice(0, kept), signal);
    for (const command of commands.slice(kept)) spoilOutputs(command, spoil);
    throw new Error('interrupted');
  });
}

/** Overwrites everything that a command writes: its results, its scratch, its cache slots. */
function spoilOutputs(command: Command, spoil: (view: View, elements: number) => void): void {
  switch (command.op) {
    case 'embed':
      return spoil(command.out, command.rows * command.weight.inputs);
    case 'rmsNorm':
      return spoil(command.out, command.rows * command.width);
    case 'addNorm':
      spoil(command.x, command.rows * command.width);
      if (command.next) spoil(command.next.out, command.rows * command.width);
      return;
    case 'matMul':
      for (const { weight, out } of command.parts) spoil(out, command.rows * weight.outputs);
      return;
    case 'normRope':
      return spoil(command.q, command.rows * command.heads * command.headDim);
    case 'attention':
      return spoil(command.out, command.rows * command.heads * command.cache.headDim);
    case 'geGlu':
    case 'gelu':
      return spoil(command.out, command.count);
    case 'layerNorm':
      return spoil(command.out, command.rows * command.width);
    case 'add':
      return spoil(command.x, command.count);
    case 'averagePool':
      return spoil(command.out, (command.side / command.size) ** 2 * command.width);
    case 'storeKv': {
      const { rows, start, cache } = command;
      const { kvHeads, pageSlots } = cache;
      for (let position = start; position < start + rows; position++) {
        const page = cache.pages[cache.ring ? 0 : Math.floor(position / pageSlots)]!;
        for (let head = 0; head < kvHeads; head++) {
          for (const { offset, rowBytes } of kvPlanes(cache)) {
            const at = offset + (head * pageSlots + (position % pageSlots)) * rowBytes;
            spoil({ buffer: page.k, offset: at }, rowBytes / 4);
            spoil({ buffer: page.v, offset: at }, rowBytes / 4);
          }
        }
      }
    }
  }
}

/** Pseudo-random ids below 512 that no test depends on in particular. */
export function someIds(count: number, seed = 1): number[] {
  return Array.from({ length: count }, (_, i) => (Math.imul(i + 7 * seed, 2654435761) >>> 8) % 512);
}

/** A directory that is gone after `use`. */
export async function withTempDir<T>(use: (dir: string) => T | Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'lodestone-test-'));
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
