/** Where sessions are kept, and how much of them, as the environment says. */
import { ExitCode, LodestoneError } from '../errors.js';
import { cacheFolder } from '../models/places.js';
import type { CacheOptions } from '../sessions/open.js';
import { parseBytes } from './numbers.js';

const defaultSessionBytes = 10 * 2 ** 30;

/** Errors: LodestoneError(usage) where LODESTONE_SESSION_BYTES is no size. */
export function cacheOptions(): CacheOptions {
  const set = process.env['LODESTONE_SESSION_BYTES'] || undefined;
  const sessionBytes = set === undefined ? defaultSessionBytes : parseBytes(set);
  if (sessionBytes === null) throw new LodestoneError(ExitCode.usage, `LODESTONE_SESSION_BYTES is "${set}", not a size such as 500M or 10G`);
  return { folder: cacheFolder(), sessionBytes };
}
