/** The WebGPU device: the kernels of kernels/wgsl behind the Device interface. */
import { abortError, ExitCode, LodestoneError } from '../../errors.js';
import { checkCommands, type Ownership } from '../checkCommands.js';
import type { Command, Device, DeviceBuffer, View, Weight, WeightSource } from '../device.js';
import type { Profile } from '../profile.js';
import { openDevice, type AdapterSummary, type Opened, type OpenOptions, type Unavailable } from './dawn.js';
import type { Bound, Dispatch, GpuMemory } from './dispatch.js';
import { Encoder } from './encoder.js';
import { KernelTimer } from './kernel-timer.js';
import { Pipelines } from './pipelines.js';
import { record } from './record.js';
import type { Recorder } from './recorder.js';
import { kernelsHash } from './shaders.js';
import type { Tier } from './tier.js';
import { formatSuffix } from './weight-layout.js';
import { loadGpuWeight, type GpuWeight } from './weights.js';

/** The device, or why there is none. Errors: LodestoneError(outOfMemory) where there is an adapter that can't be opened. */
export async function createWebGpuDevice(options: OpenOptions): Promise<WebGpuDevice | Unavailable> {
  const opened = await openDevice(options);
  return 'unavailable' in opened ? opened : new WebGpuDevice(opened);
}

/** A buffer of this device; it holds whole words. */
class GpuBuffer implements DeviceBuffer, GpuMemory {
  constructor(
    readonly id: number,
    readonly bytes: number,
    readonly label: string,
    readonly handle: GPUBuffer,
  ) {}
}

/** Long lists are submitted in pieces of about so many milliseconds, so that an abort is seen soon and no driver gives up. */
const pieceTime = 100;

/** Multiply-adds that the first piece may have, before anything is known of the adapter's speed. */
const firstPieceWork = 2 ** 26;

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

export class WebGpuDevice implements Device, Ownership {
  readonly name = 'webgpu';
  readonly description: string;
  readonly kernels: string;
  readonly kvPageSlots = 16_384;
  readonly decodeSteps = 4;
  readonly adapter: AdapterSummary;
  readonly tier: Tier;
  readonly #device: GPUDevice;
  readonly #largestBinding: number;
  readonly #pipelines: Pipelines;
  readonly #encoder: Encoder;
  readonly #recorder: Recorder;
  readonly #buffers = new Map<number, GpuBuffer>();
  readonly #weights = new Map<number, GpuWeight>();
  readonly #scratch = new Map<string, GpuBuffer>();
  #retired: GpuMemory[] = [];
  /** Everything that reaches the queue does so in the order of calls. `#pending` tasks have not done so yet. */
  #tail: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #nextId = 1;
  #bytes = 0;
  #pieceWork = firstPieceWork;
  #profile: { readonly profile: Profile; readonly timer: KernelTimer } | null = null;
  /** What ended the device: it is lost, out of memory, or was misused. */
  #failure: Error | null = null;
  readonly #failed: Promise<never>;
  #fail!: (error: Error) => void;
  #closing: Promise<void> | null = null;

  constructor({ device, adapter, tier, largestBinding }: Opened) {
    this.#device = device;
    this.#largestBinding = largestBinding;
    this.adapter = adapter;
    this.tier = tier;
    this.description = `webgpu (${adapter.name}, ${tier.name})`;
    // An adapter's name has its driver's version.
    this.kernels = `${adapter.name} ${adapter.architecture} ${tier.name} ${kernelsHash()}`;
    this.#failed = new Promise((_, reject) => {
      this.#fail = (error) => {
        this.#failure ??= error;
        reject(this.#failure);
      };
    });
    this.#failed.catch(() => undefined);
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#fail(new Error(`${this.description}: ${event.error.message}`, { cause: event.error }));
    });
    void this.#watch(device.lost);
    this.#pipelines = new Pipelines(device, tier);
    this.#encoder = new Encoder(device, {
      allocate: (bytes, label, usage) => this.#allocate(bytes, label, usage),
      retire: (memory) => this.#retired.push(memory),
    });
    this.#recorder = {
      memoryOf: ({ buffer, offset }): Bound => ({ memory: buffer as GpuBuffer, offset }),
      weightOf: (weight) => weight as GpuWeight,
      scratch: (purpose, bytes) => this.#scratchOf(purpose, bytes),
      workgroupMemory: device.limits.maxComputeWorkgroupStorageSize,
      half: tier.half,
      software: adapter.software,
    };
  }

  get allocatedBytes(): number {
    return this.#bytes;
  }

  createBuffer(bytes: number, label: string): DeviceBuffer {
    this.#check();
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`a buffer "${label}" of ${bytes} bytes`);
    const buffer = this.#allocate(bytes, label, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST);
    this.#buffers.set(buffer.id, buffer);
    this.#bytes += bytes;
    return buffer;
  }

  destroyBuffer(buffer: DeviceBuffer): void {
    if (this.#closing) throw new Error('the webgpu device is closed');
    if (!this.ownsBuffer(buffer)) throw new RangeError(`"${buffer.label}" is destroyed already, or of another device`);
    const { handle } = buffer as GpuBuffer;
    this.#buffers.delete(buffer.id);
    this.#bytes -= buffer.bytes;
    this.#encoder.forgetBindGroups();
    void this.#inOrder(() => handle.destroy());
  }

  write(to: View, data: ArrayBufferView): void {
    this.#checkRange('write', to, data.byteLength);
    if (data.byteLength % 4 !== 0) throw new RangeError(`write: ${data.byteLength} bytes to "${to.buffer.label}" are not whole words`);
    if (data.byteLength === 0) return;
    const { handle } = to.buffer as GpuBuffer;
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    if (this.#pending === 0) {
      this.#device.queue.writeBuffer(handle, to.offset, bytes);
      return;
    }
    const copy = bytes.slice();
    void this.#inOrder(() => this.#device.queue.writeBuffer(handle, to.offset, copy));
  }

  async read(from: View, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkRange('read', from, bytes);
    if (bytes === 0) return new Uint8Array(0);
    const size = Math.ceil(bytes / 4) * 4;
    const { handle } = from.buffer as GpuBuffer;
    const staging = this.#device.createBuffer({ label: `read of ${from.buffer.label}`, size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    try {
      await this.#inOrder(() => {
        const encoder = this.#device.createCommandEncoder();
        encoder.copyBufferToBuffer(handle, from.offset, staging, 0, size);
        this.#device.queue.submit([encoder.finish()]);
      });
      await this.#unlessFailed(staging.mapAsync(GPUMapMode.READ));
      return new Uint8Array(staging.getMappedRange().slice(0, bytes));
    } finally {
      staging.destroy();
    }
  }

  async loadWeight(source: WeightSource, as = source.format): Promise<Weight> {
    this.#check();
    const weight = await loadGpuWeight(this.#nextId++, source, as, {
      largestBinding: this.#largestBinding,
      allocate: (bytes, label) => this.#allocate(bytes, label, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC),
      release: ({ handle }) => handle.destroy(),
      upload: ({ handle }, offset, data) => this.#device.queue.writeBuffer(handle, offset, data),
      arrived: () => this.#unlessFailed(this.#device.queue.onSubmittedWorkDone()),
    });
    this.#weights.set(weight.id, weight);
    return weight;
  }

  /** A matrix of the same numbers in memory of its own: what the bench fills a model with, many times faster than loading. */
  async copyWeight(weight: Weight): Promise<Weight> {
    this.#check();
    if (!this.ownsWeight(weight)) throw new RangeError(`"${weight.label}" is of another device`);
    const shards = (weight as GpuWeight).shards.map((shard) => ({ shard, memory: this.#allocate(shard.bytes, weight.label, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST) }));
    await this.#inOrder(() => {
      const encoder = this.#device.createCommandEncoder();
      for (const { shard, memory } of shards) encoder.copyBufferToBuffer(shard.memory.handle, 0, memory.handle, 0, shard.bytes);
      this.#device.queue.submit([encoder.finish()]);
    });
    const copy = { ...(weight as GpuWeight), id: this.#nextId++, shards: shards.map(({ shard, memory }) => ({ ...shard, memory })) };
    this.#weights.set(copy.id, copy);
    return copy;
  }

  /** Gives a matrix's memory back before the device is closed. */
  destroyWeight(weight: Weight): void {
    if (!this.ownsWeight(weight)) throw new RangeError(`"${weight.label}" is destroyed already, or of another device`);
    this.#weights.delete(weight.id);
    this.#encoder.forgetBindGroups();
    void this.#inOrder(() => {
      for (const { memory } of (weight as GpuWeight).shards) memory.handle.destroy();
    });
  }

  async submit(commands: readonly Command[], signal?: AbortSignal): Promise<void> {
    this.#check();
    if (signal?.aborted) throw abortError(signal);
    checkCommands(commands, this);
    await this.#inOrder(() => this.#issue(commands, signal));
    await this.#unlessFailed(this.#device.queue.onSubmittedWorkDone());
    if (signal?.aborted) throw abortError(signal);
  }

  profileInto(profile: Profile): void {
    this.#profile = { profile, timer: new KernelTimer(this.#device, !this.adapter.software) };
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#tail;
      if (!this.#failure) await this.#unlessFailed(this.#device.queue.onSubmittedWorkDone()).catch(() => undefined);
      this.#device.destroy();
      this.#buffers.clear();
      this.#weights.clear();
      this.#bytes = 0;
    })();
    return this.#closing;
  }

  ownsBuffer(buffer: DeviceBuffer): boolean {
    return this.#buffers.get(buffer.id) === buffer;
  }

  ownsWeight(weight: Weight): boolean {
    return this.#weights.get(weight.id) === weight;
  }

  /** Submits a list; where it is long, waits for its pieces, and stops between them when the signal aborts. */
  async #issue(commands: readonly Command[], signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw abortError(signal);
    if (this.#failure) throw this.#failure;
    const dispatches = record(commands, this.#recorder);
    const placing = this.#encoder.place(dispatches, this.#pipelines);
    const placed = placing instanceof Promise ? await this.#unlessFailed(placing) : placing;
    if (this.#profile) {
      const { profile, timer } = this.#profile;
      const times = await this.#unlessFailed(placed.time(timer));
      for (const [i, { kernel, constants, bytes, work }] of dispatches.entries()) profile.add(`${kernel}${formatSuffix(constants)}`, times[i]!, bytes, 2 * work);
      return;
    }
    for (const { from, to } of pieces(dispatches, this.#pieceWork)) {
      if (signal?.aborted) throw abortError(signal);
      const began = performance.now();
      placed.run(from, to);
      if (to === dispatches.length) break;
      await this.#unlessFailed(this.#device.queue.onSubmittedWorkDone());
      this.#pieceWork *= Math.min(2, Math.max(0.5, pieceTime / (performance.now() - began)));
    }
    for (const { handle } of this.#retired.splice(0)) handle.destroy();
  }

  #scratchOf(purpose: string, bytes: number): GpuMemory {
    const known = this.#scratch.get(purpose);
    if (known && known.bytes >= bytes) return known;
    const size = Math.min(2 ** Math.ceil(Math.log2(bytes)), Math.max(bytes, this.#largestBinding));
    const buffer = this.#allocate(size, purpose, GPUBufferUsage.STORAGE);
    if (known) this.#retired.push(known);
    this.#scratch.set(purpose, buffer);
    return buffer;
  }

  /** Errors: LodestoneError(outOfMemory), here or, where the driver says so later, from whatever is called next. */
  #allocate(bytes: number, label: string, usage: GPUBufferUsageFlags): GpuBuffer {
    const most = this.#largestBinding;
    if (bytes > most) {
      throw new LodestoneError(ExitCode.outOfMemory, `not enough memory for ${label}: it takes ${mib(bytes)}, and a buffer of ${this.adapter.name} holds ${mib(most)}`);
    }
    this.#device.pushErrorScope('out-of-memory');
    const handle = this.#device.createBuffer({ label, size: Math.max(16, Math.ceil(bytes / 4) * 4), usage });
    void this.#noteRefusal(this.#device.popErrorScope(), bytes, label);
    return new GpuBuffer(this.#nextId++, bytes, label, handle);
  }

  /** The driver's answer to an allocation comes later. */
  async #noteRefusal(answer: Promise<GPUError | null>, bytes: number, label: string): Promise<void> {
    const inUse = this.#bytes;
    const error = await answer.catch(() => null);
    if (!error) return;
    this.#fail(new LodestoneError(ExitCode.outOfMemory, `not enough memory for ${label}: ${mib(bytes)} could not be had on ${this.adapter.name} (${mib(inUse)} of buffers are in use, beside the weights)`));
  }

  async #watch(lost: Promise<GPUDeviceLostInfo>): Promise<void> {
    const { reason, message } = await lost;
    if (reason === 'destroyed') return;
    this.#fail(new LodestoneError(ExitCode.outOfMemory, `the GPU was lost (${message.split('\n', 1)[0] || reason}); try again, or --device cpu`));
  }

  /** Runs `task` after those before it. */
  #inOrder<T>(task: () => T | Promise<T>): Promise<T> {
    this.#pending++;
    const result = this.#tail.then(task).finally(() => this.#pending--);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #unlessFailed<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failed]);
  }

  #check(): void {
    if (this.#closing) throw new Error('the webgpu device is closed');
    if (this.#failure) throw this.#failure;
  }

  #checkRange(what: string, view: View, bytes: number): void {
    this.#check();
    if (!this.ownsBuffer(view.buffer)) throw new RangeError(`${what}: "${view.buffer.label}" is destroyed or of another device`);
    if (!Number.isSafeInteger(view.offset) || view.offset < 0 || view.offset % 4 !== 0 || view.offset + bytes > view.buffer.bytes) {
      throw new RangeError(`${what}: bytes ${view.offset} to ${view.offset + bytes} of "${view.buffer.label}", which has ${view.buffer.bytes}`);
    }
  }
}

/** Neighbours in the list that have no more than `work` together, or are one. The last piece ends the list, even where it is empty. */
function* pieces(dispatches: readonly Dispatch[], work: number): Generator<{ readonly from: number; readonly to: number }> {
  let from = 0;
  let sum = 0;
  for (const [i, dispatch] of dispatches.entries()) {
    if (i > from && sum + dispatch.work > work) {
      yield { from, to: i };
      from = i;
      sum = 0;
    }
    sum += dispatch.work;
  }
  yield { from, to: dispatches.length };
}
