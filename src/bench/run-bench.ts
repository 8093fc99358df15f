/** How a bench ends, and how it keeps what is done. */
import { renameSync, writeFileSync } from 'node:fs';
import { ExitCode } from '../errors.js';

/** Runs a bench as a program: its exit code, or one line of what failed, with the usage where that is a TypeError. */
export async function runBench(main: () => Promise<number>, usage: string): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    const misused = error instanceof TypeError;
    process.stderr.write(`lodestone: ${error instanceof Error ? error.message : String(error)}\n${misused ? `${usage}\n` : ''}`);
    process.exitCode = misused ? ExitCode.usage : ExitCode.internal;
  }
}

/** Whole or not at all: a run may be killed at any time. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.part`, `${JSON.stringify(value, null, 1)}\n`);
  renameSync(`${path}.part`, path);
}
