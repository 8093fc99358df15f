/** The CPU device: kernels/cpu behind the Device interface. All arithmetic runs on threads of its own. */
import { LodestoneError, ExitCode, abortError } from '../../errors.js';
import type { Command, Device, DeviceBuffer, View, Weight, WeightFormat, WeightSource } from '../device.js';
import type { Ownership } from '../checkCommands.js';
import { encodeCommands } from './commands.js';
import { addonHash, loadNative, type Native, type NativeDevice, type NativeVariant } from './native.js';
import { refuseConversion, storedBytes } from '../../weights/blocks.js';

export interface CpuOptions {
  /** Instruction-set variant; default: the environment's LODESTONE_ISA, else the best that the processor has. */
  readonly isa?: NativeVariant['name'];
  /** Default: the environment's LODESTONE_THREADS, else the physical cores that this process may run on. */
  readonly threads?: number;
  /**
   * Round the activations that meet bf16 weights to bf16 as well: faster, less exact, and not the arithmetic that the
   * Device interface promises. Default false. LodestoneError(usage) where the processor has no instruction for it.
   */
  readonly bf16Activations?: boolean;
}

/** In the order of `Format` in kernels/cpu/kernels.h. */
const formats: readonly WeightFormat[] = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k'];

/** Instruction-set variants that this machine can run, best first. Empty where the addon is missing. */
export function cpuVariants(): NativeVariant['name'][] {
  const native = loadNative();
  return 'unavailable' in native ? [] : native.variants().filter((variant) => variant.supported).map((variant) => variant.name);
}

/**
 * `unavailable` says why there is none: no addon that fits, or no thread for it. Throws LodestoneError(usage) where an
 * option or LODESTONE_ISA, LODESTONE_THREADS asks for what there isn't.
 */
export function createCpuDevice(options: CpuOptions = {}): CpuDevice | { readonly unavailable: string } {
  const native = loadNative();
  if ('unavailable' in native) return native;
  const supported = native.variants().filter((variant) => variant.supported);
  const isa = options.isa ?? (process.env['LODESTONE_ISA'] || undefined);
  const variant = isa === undefined ? supported[0] : supported.find(({ name }) => name === isa);
  if (!variant) {
    const names = supported.map(({ name }) => name).join(', ');
    throw new LodestoneError(ExitCode.usage, `${options.isa === undefined ? 'LODESTONE_ISA' : 'the option isa'} is "${isa}", but this processor has: ${names}`);
  }
  const set = process.env['LODESTONE_THREADS'] || undefined;
  const threads = options.threads ?? (set === undefined ? Math.min(mostThreads, native.defaultThreads()) : Number(set));
  if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads) {
    const asked = options.threads === undefined ? `LODESTONE_THREADS is "${set}", but` : `--threads is ${threads}, but`;
    throw new LodestoneError(ExitCode.usage, `${asked} it must be a whole number from 1 to ${mostThreads}`);
  }
  const { bf16Activations = false } = options;
  if (bf16Activations && !variant.bf16) {
    throw new LodestoneError(ExitCode.usage, `${variant.title} has no dot product of bf16 numbers, which bf16 activations need`);
  }
  try {
    return new CpuDevice(native, variant, threads, bf16Activations);
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
}

const mostThreads = 1024;

/** What the addon failed with; LodestoneError(outOfMemory) naming `what` where it is that. */
function withMemoryNamed(error: unknown, what: string): unknown {
  if ((error as { code?: unknown }).code !== 'OUT_OF_MEMORY') return error;
  return new LodestoneError(ExitCode.outOfMemory, `not enough memory for ${what}`, { cause: error });
}

export class CpuDevice implements Device, Ownership {
  readonly name = 'cpu';
  readonly description: string;
  readonly kernels: string;
  readonly kvPageSlots = 1024;
  readonly decodeSteps = 1;
  readonly isa: NativeVariant['name'];
  /** At work: fewer than asked for where the system would start no more. */
  readonly threads: number;
  private readonly handle: NativeDevice;
  private readonly buffers = new Map<number, DeviceBuffer>();
  private readonly weights = new Map<number, Weight>();
  private readonly inFlight = new Set<Promise<unknown>>();
  private nextId = 1;
  private bytes = 0;
  private closing: Promise<void> | null = null;

  constructor(
    private readonly native: Native,
    variant: NativeVariant,
    threads: number,
    bf16Activations: boolean,
  ) {
    this.handle = native.open(variant.name, threads, bf16Activations);
    this.isa = variant.name;
    this.kernels = `${variant.name}${bf16Activations ? ' bf16' : ''} ${addonHash()}`;
    this.threads = native.threads(this.handle);
    this.description = `cpu (${this.threads} thread${this.threads === 1 ? '' : 's'}, ${variant.title}${bf16Activations ? ', bf16 activations' : ''})`;
  }

  get allocatedBytes(): number {
    return this.bytes;
  }

  createBuffer(bytes: number, label: string): DeviceBuffer {
    this.checkOpen();
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`a buffer "${label}" of ${bytes} bytes`);
    const buffer: DeviceBuffer = { id: this.nextId++, bytes, label };
    if (!this.native.createBuffer(this.handle, buffer.id, bytes)) {
      throw new LodestoneError(
        ExitCode.outOfMemory,
        `not enough memory for ${label}: ${(bytes / 2 ** 20).toFixed(0)} MiB could not be allocated (${(this.bytes / 2 ** 20).toFixed(0)} MiB are in use)`,
      );
    }
    this.buffers.set(buffer.id, buffer);
    this.bytes += bytes;
    return buffer;
  }

  mapBuffer(file: number, offset: number, bytes: number, label: string): DeviceBuffer | null {
    this.checkOpen();
    if (![file, offset, bytes].every((value) => Number.isSafeInteger(value) && value >= 0)) throw new RangeError(`a buffer "${label}" of ${bytes} bytes at ${offset} of file ${file}`);
    const buffer: DeviceBuffer = { id: this.nextId++, bytes, label };
    if (!this.native.mapBuffer(this.handle, buffer.id, file, offset, bytes)) return null;
    this.buffers.set(buffer.id, buffer);
    this.bytes += bytes;
    return buffer;
  }

  destroyBuffer(buffer: DeviceBuffer): void {
    this.checkOpen();
    if (!this.ownsBuffer(buffer)) throw new RangeError(`"${buffer.label}" is destroyed already, or of another device`);
    this.native.destroyBuffer(this.handle, buffer.id);
    this.buffers.delete(buffer.id);
    this.bytes -= buffer.bytes;
  }

  write(to: View, data: ArrayBufferView): void {
    this.checkRange('write', to, data.byteLength);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    try {
      this.native.write(this.handle, to.buffer.id, to.offset, bytes);
    } catch (error) {
      throw withMemoryNamed(error, `what is written to ${to.buffer.label}`);
    }
  }

  async read(from: View, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    this.checkRange('read', from, bytes);
    const out = new Uint8Array(bytes);
    if (bytes > 0) await this.track(this.native.read(this.handle, from.buffer.id, from.offset, out));
    return out;
  }

  async loadWeight(source: WeightSource, as = source.format): Promise<Weight> {
    this.checkOpen();
    const { label, format, outputs, inputs, data } = source;
    const bad = (why: string): LodestoneError => new LodestoneError(ExitCode.badModel, `${label}: ${why}`);
    if (!Number.isSafeInteger(outputs) || !Number.isSafeInteger(inputs) || outputs <= 0 || inputs <= 0) {
      throw bad(`a matrix of ${outputs} x ${inputs}`);
    }
    const refusal = refuseConversion(format, as, inputs);
    if (refusal !== null) throw bad(refusal);
    const bytes = 'path' in data ? data.bytes : data.memory.byteLength;
    const wanted = storedBytes(format, outputs * inputs);
    if (bytes !== wanted) throw bad(`${outputs} x ${inputs} in ${format} takes ${wanted} bytes, not ${bytes}`);
    if ('path' in data && (!Number.isSafeInteger(data.offset) || data.offset < 0)) throw bad(`an offset of ${data.offset} bytes`);

    const id = this.nextId++;
    let held: number;
    try {
      const job = this.native.loadWeight(
        this.handle,
        id,
        formats.indexOf(format),
        formats.indexOf(as),
        outputs,
        inputs,
        'path' in data ? data.path : '',
        'path' in data ? data.offset : 0,
        bytes,
        'path' in data ? null : data.memory,
      );
      held = await this.track(job);
    } catch (cause) {
      const error = withMemoryNamed(cause, `the weight ${label}`);
      if (error instanceof LodestoneError) throw error;
      throw new LodestoneError(ExitCode.badModel, `${'path' in data ? `${data.path}: ` : ''}${label}: ${(cause as Error).message}`, { cause });
    }
    const weight: Weight = { id, label, format: as, outputs, inputs, bytes: held };
    this.weights.set(id, weight);
    return weight;
  }

  async submit(commands: readonly Command[], signal?: AbortSignal): Promise<void> {
    this.checkOpen();
    if (signal?.aborted) throw abortError(signal);
    const serial = this.nextId++;
    const numbers = encodeCommands(commands, this);
    const cancel = (): void => this.native.cancel(this.handle, serial);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      await this.track(this.native.submit(this.handle, serial, numbers));
    } catch (error) {
      throw withMemoryNamed(error, 'the results between kernels');
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
    if (signal?.aborted) throw abortError(signal);
  }

  close(): Promise<void> {
    this.closing ??= (async () => {
      await Promise.allSettled(this.inFlight);
      this.native.close(this.handle);
      this.buffers.clear();
      this.weights.clear();
      this.bytes = 0;
    })();
    return this.closing;
  }

  ownsBuffer(buffer: DeviceBuffer): boolean {
    return this.buffers.get(buffer.id) === buffer;
  }

  ownsWeight(weight: Weight): boolean {
    return this.weights.get(weight.id) === weight;
  }

  private checkOpen(): void {
    if (this.closing) throw new Error('the cpu device is closed');
  }

  private checkRange(what: string, view: View, bytes: number): void {
    this.checkOpen();
    if (!this.ownsBuffer(view.buffer)) throw new RangeError(`${what}: "${view.buffer.label}" is destroyed or of another device`);
    if (!Number.isSafeInteger(view.offset) || view.offset < 0 || view.offset + bytes > view.buffer.bytes) {
      throw new RangeError(`${what}: bytes ${view.offset} to ${view.offset + bytes} of "${view.buffer.label}", which has ${view.buffer.bytes}`);
    }
  }

  private track<T>(job: Promise<T>): Promise<T> {
    this.inFlight.add(job);
    job.then(
      () => this.inFlight.delete(job),
      () => this.inFlight.delete(job),
    );
    return job;
  }
}
