/** Images to soft tokens: the vision tower and the projector, with memory for one image. */
import type { Device, DeviceBuffer, View } from '../device/device.js';
import { abortError } from '../errors.js';
import { channels, type VisionConfig } from '../gemma/vision-config.js';
import { recordTower, type VisionActivations, type VisionWeights } from '../gemma/vision-graph.js';
import { towerBuffers, towerCache } from './activations.js';

export interface EncodeOptions {
  readonly signal?: AbortSignal;
  /** After every layer: steps done and to do. */
  readonly onProgress?: (done: number, total: number) => void;
}

export class ImageEncoder {
  readonly #device: Device;
  readonly #config: VisionConfig;
  readonly #weights: VisionWeights;
  readonly #softEps: number;
  readonly #width: number;
  readonly #activations: VisionActivations;
  readonly #buffers: DeviceBuffer[] = [];

  /**
   * @param text of the text model: its width, and the eps of the projector's norm
   * Errors: LodestoneError(outOfMemory).
   */
  constructor(device: Device, config: VisionConfig, weights: VisionWeights, text: { readonly hiddenSize: number; readonly eps: number }) {
    this.#device = device;
    this.#config = config;
    this.#weights = weights;
    this.#softEps = text.eps;
    this.#width = text.hiddenSize;
    const planned = towerBuffers(config, text.hiddenSize);
    const made = {} as Record<keyof typeof planned, View>;
    try {
      for (const [name, { bytes, label }] of Object.entries(planned)) {
        const buffer = device.createBuffer(bytes, label);
        this.#buffers.push(buffer);
        made[name as keyof typeof planned] = { buffer, offset: 0 };
      }
      const { cacheK, cacheV, ...rows } = made;
      this.#activations = { ...rows, cache: { ...towerCache(config), pages: [{ k: cacheK.buffer, v: cacheV.buffer }] } };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * @param patches f32 [side^2, channels * patchSize^2] (`imagePatches`)
   * @returns soft tokens [tokensPerImage, the text model's hiddenSize]
   * Errors: the signal's reason.
   */
  async encode(patches: Float32Array, { signal, onProgress }: EncodeOptions = {}): Promise<Float32Array> {
    const { side, patchSize, tokensPerImage } = this.#config;
    const expected = side ** 2 * channels * patchSize ** 2;
    if (patches.length !== expected) throw new RangeError(`an image is ${expected} numbers here, not ${patches.length}`);
    this.#device.write(this.#activations.patches, patches);
    const steps = recordTower(this.#config, this.#weights, this.#activations, this.#softEps);
    for (const [done, commands] of steps.entries()) {
      if (signal?.aborted) throw abortError(signal);
      await this.#device.submit(commands, signal);
      onProgress?.(done + 1, steps.length);
    }
    return this.#read(this.#activations.soft, tokensPerImage * this.#width);
  }

  /** For tests: the tower's result for the image encoded last [side^2, hiddenSize], after the last norm. */
  tower(): Promise<Float32Array> {
    return this.#read(this.#activations.normed, this.#config.side ** 2 * this.#config.hiddenSize);
  }

  /** Gives the memory back. */
  close(): void {
    for (const buffer of this.#buffers.splice(0)) this.#device.destroyBuffer(buffer);
  }

  async #read(view: View, elements: number): Promise<Float32Array> {
    const bytes = await this.#device.read(view, elements * Float32Array.BYTES_PER_ELEMENT);
    return new Float32Array(bytes.buffer);
  }
}
