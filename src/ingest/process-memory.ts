import { readFileSync } from 'node:fs';
import { memoryUsage } from 'node:process';

/**
 * A gauge of how much this process has grown since the call, in bytes. Files mapped into memory (model weights) are
 * not counted where the system tells them apart.
 */
export function processGrowth(): () => number {
  const before = anonymousBytes();
  return () => anonymousBytes() - before;
}

function anonymousBytes(): number {
  try {
    const kiB = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
    if (kiB !== undefined) {
      return Number(kiB) * 1024;
    }
  } catch {
    // Not Linux.
  }
  return memoryUsage.rss();
}
