import { setImmediate as nextTurn } from 'node:timers/promises';
import { abortError } from '../../errors.js';
import type { Command, Device, DeviceBuffer, View, Weight, WeightSource } from '../device.js';
import { add } from './add.js';
import { addNorm } from './addNorm.js';
import { attention } from './attention.js';
import { averagePool } from './averagePool.js';
import { embed } from './embed.js';
import { geGlu } from './geGlu.js';
import { gelu } from './gelu.js';
import { geluErf } from './geluErf.js';
import { layerNorm } from './layerNorm.js';
import { matMul } from './matMul.js';
import { memoryOf, ReferenceBuffer } from './memory.js';
import { normRope } from './normRope.js';
import { rmsNorm } from './rmsNorm.js';
import { sample } from './sample.js';
import { storeKv } from './storeKv.js';
import { unfold } from './unfold.js';
import { loadReferenceWeight } from './weight.js';

/** How long the event loop may wait for a kernel, in milliseconds. */
const turn = 10;

/**
 * The specification of every kernel, and the device of last resort: TypeScript on the event loop, with sums in
 * float64 and results in float32. A kernel is a generator that pauses after each small piece of work; between pieces
 * the device lets the event loop turn and looks at the signal.
 */
export function createReferenceDevice(): Device {
  return new ReferenceDevice();
}

class ReferenceDevice implements Device {
  readonly name = 'reference';
  readonly description = 'reference (TypeScript, 1 thread)';
  readonly kernels = 'reference';
  readonly kvPageSlots = 1024;
  readonly decodeSteps = 1;
  #allocated = 0;
  #nextId = 1;
  #closed = false;
  /** Work under way and queued. Everything that touches memory goes through here, so calls take effect in order. */
  #queue: Promise<unknown> = Promise.resolve();
  #pending = 0;

  get allocatedBytes(): number {
    return this.#allocated;
  }

  createBuffer(bytes: number, label: string): DeviceBuffer {
    const buffer = new ReferenceBuffer(this.#nextId++, bytes, label);
    this.#allocated += bytes;
    return buffer;
  }

  destroyBuffer(buffer: DeviceBuffer): void {
    this.#allocated -= buffer.bytes;
  }

  write(to: View, data: ArrayBufferView): void {
    const memory = memoryOf(to, data.byteLength);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const target = new Uint8Array(memory, to.offset, data.byteLength);
    if (this.#pending === 0) {
      target.set(bytes);
      return;
    }
    const copy = bytes.slice();
    void this.#enqueue(async () => target.set(copy));
  }

  read(from: View, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const memory = memoryOf(from, bytes);
    return this.#enqueue(async () => new Uint8Array(memory.slice(from.offset, from.offset + bytes)));
  }

  loadWeight(source: WeightSource, as = source.format): Promise<Weight> {
    return loadReferenceWeight(this.#nextId++, source, as);
  }

  submit(commands: readonly Command[], signal?: AbortSignal): Promise<void> {
    return this.#enqueue(() => run(commands, signal));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
  }

  #enqueue<T>(task: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new Error('the device is closed'));
    this.#pending++;
    const result = this.#queue.then(task).finally(() => this.#pending--);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

async function run(commands: readonly Command[], signal: AbortSignal | undefined): Promise<void> {
  let turnEnds = performance.now() + turn;
  if (signal?.aborted) throw abortError(signal);
  for (const command of commands) {
    const pieces = kernel(command);
    while (!pieces.next().done) {
      if (performance.now() < turnEnds) continue;
      await nextTurn();
      if (signal?.aborted) throw abortError(signal);
      turnEnds = performance.now() + turn;
    }
  }
}

function kernel(command: Command): Generator<void> {
  switch (command.op) {
    case 'embed':
      return embed(command);
    case 'rmsNorm':
      return rmsNorm(command);
    case 'addNorm':
      return addNorm(command);
    case 'matMul':
      return matMul(command);
    case 'normRope':
      return normRope(command);
    case 'storeKv':
      return storeKv(command);
    case 'attention':
      return attention(command);
    case 'geGlu':
      return geGlu(command);
    case 'layerNorm':
      return layerNorm(command);
    case 'gelu':
      return gelu(command);
    case 'geluErf':
      return geluErf(command);
    case 'unfold':
      return unfold(command);
    case 'add':
      return add(command);
    case 'averagePool':
      return averagePool(command);
    case 'sample':
      return sample(command);
  }
}
