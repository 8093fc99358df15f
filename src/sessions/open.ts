/** The session of a prompt, for the model and the device that will read it. */
import { join } from 'node:path';
import type { Device } from '../device/device.js';
import type { Prompt } from '../encode/prompt.js';
import type { KvFormats } from '../runtime/kv.js';
import type { ModelFiles } from '../runtime/model.js';
import { environmentHash } from './environment.js';
import { knownSha256 } from './known-hashes.js';
import { imageTokens } from './prefix.js';
import { Session } from './session.js';

/** Where what can be computed again is kept. */
export interface CacheOptions {
  readonly folder: string;
  /** The most bytes of sessions. */
  readonly sessionBytes: number;
}

export interface SessionRequest {
  readonly files: ModelFiles;
  /** The vision part of a GGUF file. */
  readonly mmproj?: string | undefined;
  readonly quantize: string;
  readonly kv: KvFormats;
  readonly device: Device;
  readonly prompt: Prompt;
  /** What the sources are called. */
  readonly sources: readonly string[];
}

export function sessionsFolder(cache: string): string {
  return join(cache, 'sessions');
}

export function hashesFolder(cache: string): string {
  return join(cache, 'hashes');
}

/** Errors: those of reading the model's files; the signal's reason. */
export async function openSession({ folder, sessionBytes }: CacheOptions, request: SessionRequest, signal: AbortSignal): Promise<Session> {
  const { files, mmproj, quantize, kv, device, prompt, sources } = request;
  const hash = (paths: readonly string[]): Promise<string> => knownSha256(paths, hashesFolder(folder), signal);
  const weights = [await hash(files.checkpoint.files), ...(mmproj === undefined ? [] : [await hash([mmproj])])];
  const environment = environmentHash({ weights: weights.join(' '), config: files.config, quantize, kv, device });
  const options = { folder: sessionsFolder(folder), environment, bytes: sessionBytes, model: files.id, sources, imageTokens: imageTokens(files.config) };
  return Session.open(options, prompt);
}
