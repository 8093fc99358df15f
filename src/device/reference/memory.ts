import { ExitCode, LodestoneError } from '../../errors.js';
import type { DeviceBuffer, View } from '../device.js';

/** A buffer of the reference device: ordinary memory. */
export class ReferenceBuffer implements DeviceBuffer {
  readonly memory: ArrayBuffer;

  constructor(
    readonly id: number,
    readonly bytes: number,
    readonly label: string,
  ) {
    try {
      this.memory = new ArrayBuffer(bytes);
    } catch (cause) {
      throw new LodestoneError(ExitCode.outOfMemory, `not enough memory for ${label}: ${bytes} bytes`, { cause });
    }
  }
}

/** `count` float32 elements at a view. Throws (a bug in the caller) where they don't lie inside the buffer. */
export function floats(view: View, count: number): Float32Array<ArrayBuffer> {
  return new Float32Array(memoryOf(view, count * 4), view.offset, count);
}

/** `count` u32 elements at a view. */
export function words(view: View, count: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array(memoryOf(view, count * 4), view.offset, count);
}

/** The memory behind a view, after checking that `bytes` from its offset on lie inside. */
export function memoryOf(view: View, bytes: number): ArrayBuffer {
  const { buffer, offset } = view;
  if (!(buffer instanceof ReferenceBuffer)) throw new TypeError(`${buffer.label} is not a buffer of this device`);
  if (offset < 0 || offset % 4 !== 0 || bytes < 0 || offset + bytes > buffer.bytes) {
    throw new RangeError(`${bytes} bytes at ${offset} are outside ${buffer.label} (${buffer.bytes} bytes)`);
  }
  return buffer.memory;
}
