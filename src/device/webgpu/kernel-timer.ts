/** How long each of some dispatches takes by itself: by the GPU's timestamps where it has them, else by submitting one at a time. */

/** Where timestamps are written, and read. */
interface Stamps {
  readonly set: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly read: GPUBuffer;
}

type Encode = (pass: GPUComputePassEncoder) => void;

/** Dispatches that are timed in one submit. */
const mostTimed = 256;

export class KernelTimer {
  readonly #device: GPUDevice;
  readonly #stamps: Stamps | null;

  /** @param trusted the driver's timestamps tell time: those that compute on the processor give zeros */
  constructor(device: GPUDevice, trusted: boolean) {
    this.#device = device;
    const bytes = 2 * mostTimed * BigUint64Array.BYTES_PER_ELEMENT;
    this.#stamps =
      trusted && device.features.has('timestamp-query')
        ? {
            set: device.createQuerySet({ label: 'times of kernels', type: 'timestamp', count: 2 * mostTimed }),
            resolved: device.createBuffer({ label: 'times of kernels', size: bytes, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC }),
            read: device.createBuffer({ label: 'times of kernels', size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }),
          }
        : null;
  }

  /** Milliseconds of each, in order. */
  async time(dispatches: readonly Encode[]): Promise<number[]> {
    const times: number[] = [];
    if (!this.#stamps) {
      for (const dispatch of dispatches) times.push(await this.#timeAlone(dispatch));
      return times;
    }
    for (let from = 0; from < dispatches.length; from += mostTimed) times.push(...(await this.#timeStamped(dispatches.slice(from, from + mostTimed), this.#stamps)));
    return times;
  }

  async #timeAlone(dispatch: Encode): Promise<number> {
    const began = performance.now();
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    dispatch(pass);
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
    await this.#device.queue.onSubmittedWorkDone();
    return performance.now() - began;
  }

  async #timeStamped(dispatches: readonly Encode[], { set, resolved, read }: Stamps): Promise<number[]> {
    const encoder = this.#device.createCommandEncoder();
    // Stamps are of whole passes.
    for (const [i, dispatch] of dispatches.entries()) {
      const pass = encoder.beginComputePass({ timestampWrites: { querySet: set, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 } });
      dispatch(pass);
      pass.end();
    }
    encoder.resolveQuerySet(set, 0, 2 * dispatches.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, read, 0, read.size);
    this.#device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const stamps = new BigUint64Array(read.getMappedRange().slice(0));
    read.unmap();
    return dispatches.map((_, i) => Number(stamps[2 * i + 1]! - stamps[2 * i]!) / 1e6);
  }
}
