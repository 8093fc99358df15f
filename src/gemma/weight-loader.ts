/** From places in a checkpoint to the device: what the text model and the vision tower share. */
import type { Device, DeviceBuffer, View, Weight, WeightFormat } from '../device/device.js';
import { storedBytes } from '../weights/blocks.js';
import { readTensorF32 } from '../weights/read.js';
import type { TensorEntry } from '../weights/safetensors.js';

/** A matrix in the checkpoint. Of a longer one (the embedding of image models), its first `outputs` rows. */
export interface MatrixPlace {
  readonly entry: TensorEntry;
  readonly format: WeightFormat;
  readonly outputs: number;
  readonly inputs: number;
}

/** Loads matrices and vectors; a matrix lives until the device is closed, a vector in one of `buffers`. */
export class WeightLoader {
  readonly buffers: DeviceBuffer[] = [];
  readonly #device: Device;
  readonly #signal: AbortSignal | undefined;

  constructor(device: Device, signal: AbortSignal | undefined) {
    this.#device = device;
    this.#signal = signal;
  }

  /** Errors: LodestoneError(badModel), LodestoneError(outOfMemory); the signal's reason. */
  async matrix({ entry, format, outputs, inputs }: MatrixPlace, as: WeightFormat): Promise<Weight> {
    this.#signal?.throwIfAborted();
    const data = { path: entry.path, offset: entry.offset, bytes: storedBytes(format, outputs * inputs) };
    return this.#device.loadWeight({ label: entry.name, format, outputs, inputs, data }, as);
  }

  /** In f32, `add` added to every element. Errors: as `matrix`. */
  async vector(entry: TensorEntry, add = 0): Promise<View> {
    const values = await readTensorF32(entry);
    for (let i = 0; i < values.length; i++) values[i]! += add;
    const buffer = this.#device.createBuffer(values.byteLength, entry.name);
    this.buffers.push(buffer);
    this.#device.write({ buffer, offset: 0 }, values);
    return { buffer, offset: 0 };
  }

  /** Gives the buffers back. */
  close(): void {
    for (const buffer of this.buffers) this.#device.destroyBuffer(buffer);
  }
}
