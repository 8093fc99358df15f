import { open } from 'node:fs/promises';
import { bf16ToF32, f16ToF32 } from './half.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { TensorEntry } from './safetensors.js';

/** A small tensor (a norm's gain, a scale), read as float32. Errors: LodestoneError(badModel). */
export async function readTensorF32({ name, dtype, path, offset, bytes }: TensorEntry): Promise<Float32Array> {
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new LodestoneError(ExitCode.badModel, `${path}: tensor ${name} is ${dtype}, not F32, F16 or BF16`);
  }
  const data = new Uint8Array(bytes);
  const file = await open(path);
  try {
    const { bytesRead } = await file.read(data, 0, bytes, offset);
    if (bytesRead < bytes) throw new LodestoneError(ExitCode.badModel, `${path}: ends inside tensor ${name}`);
  } finally {
    await file.close();
  }
  if (dtype === 'F32') return new Float32Array(data.buffer);
  return Float32Array.from(new Uint16Array(data.buffer), dtype === 'F16' ? f16ToF32 : bf16ToF32);
}
