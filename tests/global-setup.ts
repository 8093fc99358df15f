/** Sessions and texts that tests leave behind lie in a folder of their own, which is gone afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export default function setup(): () => void {
  const cache = mkdtempSync(path.join(os.tmpdir(), 'lodestone-test-cache-'));
  process.env['XDG_CACHE_HOME'] = cache;
  return () => rmSync(cache, { recursive: true, force: true });
}
