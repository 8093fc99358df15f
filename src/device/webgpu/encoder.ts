/**
 * Dispatches into GPU command buffers. Parameters of a whole list are written at once, into one buffer of which each
 * dispatch has the same place whenever the same list comes again; so bind groups are made once and found again.
 */
import { bindsAlike, type Dispatch, type GpuMemory } from './dispatch.js';
import type { KernelTimer } from './kernel-timer.js';
import type { Pipeline, Pipelines } from './pipelines.js';

/** Offsets of bindings are multiples of this, on all adapters. */
const alignment = 256;

/** More bind groups than any list needs: all are dropped then. */
const mostBindGroups = 8192;

export interface EncoderMemory {
  allocate(bytes: number, label: string, usage: GPUBufferUsageFlags): GpuMemory;
  /** When what was submitted so far is done. */
  retire(memory: GpuMemory): void;
}

/** A list whose parameters have been written. */
export interface PlacedList {
  /** Encodes and submits a part of it. */
  run(from: number, to: number): void;
  /** Runs all of it, and gives the milliseconds that each dispatch takes by itself. */
  time(timer: KernelTimer): Promise<readonly number[]>;
}

interface Placed {
  readonly dispatch: Dispatch;
  readonly pipeline: Pipeline;
  /** Bytes from the beginning of the buffer of parameters. */
  readonly params: number;
  readonly extras: number;
  /** Made when it is first encoded. */
  group: GPUBindGroup | null;
}

/** Lists that are remembered: those of decoding come by turns of a few lengths. */
const mostLists = 8;

export class Encoder {
  readonly #device: GPUDevice;
  readonly #memory: EncoderMemory;
  readonly #groups = new Map<string, GPUBindGroup>();
  /** By the number of dispatches: the last list that had so many. */
  readonly #last = new Map<number, readonly Placed[]>();
  readonly #unread: GpuMemory;
  /** By the number of the binding: no two of a kernel may be the same. */
  readonly #unwritten = new Map<number, GpuMemory>();
  #params: GpuMemory;
  #words: Uint32Array<ArrayBuffer>;
  #floats: Float32Array<ArrayBuffer>;

  constructor(device: GPUDevice, memory: EncoderMemory) {
    this.#device = device;
    this.#memory = memory;
    // For bindings that a variant of a kernel does not use.
    this.#unread = memory.allocate(alignment, 'nothing to read', GPUBufferUsage.STORAGE);
    this.#words = new Uint32Array(16 * 1024);
    this.#floats = new Float32Array(this.#words.buffer);
    this.#params = this.#allocateParams();
  }

  /** Bind groups that hold a buffer keep it from being freed. */
  forgetBindGroups(): void {
    this.#groups.clear();
    this.#last.clear();
  }

  /**
   * Finds pipelines and places for a list, and writes its parameters. A list that binds as the last one of its length did, as
   * those of one token after another do, has the same pipelines and bind groups, and nothing is looked up.
   */
  place(dispatches: readonly Dispatch[], pipelines: Pipelines): PlacedList | Promise<PlacedList> {
    const last = this.#last.get(dispatches.length);
    const alike = dispatches.map((dispatch, i) => (last && bindsAlike(last[i]!.dispatch, dispatch) ? last[i]! : null));
    const found = pipelines.of(dispatches, alike.map((before) => before && before.pipeline));
    return found instanceof Promise ? found.then((compiled) => this.#place(dispatches, compiled, alike)) : this.#place(dispatches, found, alike);
  }

  /** @param alike for each dispatch, one that binds as it does, if there was one in its place */
  #place(dispatches: readonly Dispatch[], pipelines: readonly Pipeline[], alike: readonly (Placed | null)[]): PlacedList {
    let bytes = 0;
    const reserve = (size: number): number => {
      const at = bytes;
      bytes += Math.ceil(size / alignment) * alignment;
      return at;
    };
    const placed = dispatches.map((dispatch, i): Placed => {
      const [params, extras] = [reserve(alignment), reserve(dispatch.extras?.byteLength ?? 0)];
      const before = alike[i];
      const group = before && before.params === params && before.extras === extras ? before.group : null;
      return { dispatch, pipeline: pipelines[i]!, params, extras, group };
    });
    if (this.#reserve(bytes)) for (const each of placed) each.group = null;
    if (this.#last.size >= mostLists) this.#last.clear();
    this.#last.set(dispatches.length, placed);
    for (const each of placed) this.#write(each);
    this.#device.queue.writeBuffer(this.#params.handle, 0, this.#words, 0, bytes / 4);
    const encode = (pass: GPUComputePassEncoder, each: Placed): void => {
      pass.setPipeline(each.pipeline.handle);
      pass.setBindGroup(0, (each.group ??= this.#bindGroup(each)));
      pass.dispatchWorkgroups(...each.dispatch.groups);
    };
    return {
      run: (from, to) => {
        const encoder = this.#device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        for (const each of placed.slice(from, to)) encode(pass, each);
        pass.end();
        this.#device.queue.submit([encoder.finish()]);
      },
      time: (timer) => timer.time(placed.map((each) => (pass) => encode(pass, each))),
    };
  }

  #write({ dispatch, pipeline, params, extras }: Placed): void {
    let at = params / 4;
    for (const { name, type, offsetOf } of pipeline.shader.params) {
      const value = dispatch.params[name] ?? (offsetOf === null ? undefined : (dispatch.bind[offsetOf]?.offset ?? 0) / 4);
      if (value === undefined) throw new RangeError(`${pipeline.kernel}: no value for ${name}`);
      if (type === 'u32') this.#words[at++] = value;
      else this.#floats[at++] = value;
    }
    if (dispatch.extras) this.#words.set(dispatch.extras, extras / 4);
  }

  #bindGroup({ dispatch, pipeline, params, extras }: Placed): GPUBindGroup {
    let key = `${pipeline.id},${params},${extras},${dispatch.extras?.byteLength ?? 0}`;
    for (const { name } of pipeline.shader.bindings) key += `,${dispatch.bind[name]?.memory.id ?? ''}`;
    const known = this.#groups.get(key);
    if (known) return known;
    const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: this.#params.handle, offset: params, size: alignment } }];
    for (const { name, number, access } of pipeline.shader.bindings) {
      if (name === 'extras' && dispatch.extras && dispatch.extras.byteLength > 0) {
        entries.push({ binding: number, resource: { buffer: this.#params.handle, offset: extras, size: dispatch.extras.byteLength } });
        continue;
      }
      const memory = dispatch.bind[name]?.memory ?? (access === 'read' ? this.#unread : this.#unwrittenOf(number));
      entries.push({ binding: number, resource: { buffer: memory.handle } });
    }
    const group = this.#device.createBindGroup({ label: pipeline.kernel, layout: pipeline.layout, entries });
    if (this.#groups.size >= mostBindGroups) this.#groups.clear();
    this.#groups.set(key, group);
    return group;
  }

  #unwrittenOf(binding: number): GpuMemory {
    const known = this.#unwritten.get(binding);
    if (known) return known;
    const memory = this.#memory.allocate(alignment, 'nothing to write', GPUBufferUsage.STORAGE);
    this.#unwritten.set(binding, memory);
    return memory;
  }

  /** Whether the parameters lie in another buffer now. */
  #reserve(bytes: number): boolean {
    if (bytes <= this.#words.byteLength) return false;
    this.#words = new Uint32Array(2 ** Math.ceil(Math.log2(bytes / 4)));
    this.#floats = new Float32Array(this.#words.buffer);
    this.#memory.retire(this.#params);
    this.#params = this.#allocateParams();
    this.forgetBindGroups();
    return true;
  }

  #allocateParams(): GpuMemory {
    return this.#memory.allocate(this.#words.byteLength, 'parameters of kernels', GPUBufferUsage.UNIFORM | GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
  }
}
