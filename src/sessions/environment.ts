/** All that keys and values depend on beside the tokens. */
import { createHash } from 'node:crypto';
import type { Device } from '../device/device.js';
import type { GemmaConfig } from '../gemma/config.js';
import type { KvFormats } from '../runtime/kv.js';
import { codeVersion } from './code-version.js';

export interface Environment {
  /** sha256 of the weight files, the vision part's included. */
  readonly weights: string;
  readonly config: GemmaConfig;
  /** What matrices become when they are loaded. */
  readonly quantize: string;
  readonly kv: KvFormats;
  readonly device: Pick<Device, 'name' | 'kernels'>;
}

/** Folders of the code whose results are stored. */
const computing = ['device', 'encode', 'gemma', 'runtime', 'weights'];

/**
 * Equal hashes: equal tokens give equal keys and values, bit for bit. The tokenizer is not in it, since sessions are
 * found by the ids that it gives.
 */
export function environmentHash({ weights, config, quantize, kv, device }: Environment): string {
  const all = [weights, config, quantize, [kv.local, kv.global], device.name, device.kernels, codeVersion(computing)];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}
