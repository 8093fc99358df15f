import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { abortError } from '../errors.js';

/** sha256 of the files one after another, in hexadecimal. Errors: those of reading; the signal's reason. */
export async function sha256OfFiles(paths: readonly string[], signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    for (const path of paths) for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  } catch (error) {
    throw signal?.aborted === true ? abortError(signal) : error;
  }
  return hash.digest('hex');
}
