/**
 * How long a process takes from its start to the first token, and what it holds in memory then. Each measurement is a
 * process of its own: `measureLoad` starts it; run as a script, this file is that process.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createCpuDevice } from '../device/cpu/device.js';
import { Context } from '../runtime/context.js';
import { loadModel, openModelFiles } from '../runtime/model.js';
import { benchTokens } from './measure.js';

export interface Load {
  /** Milliseconds: Node's own start, then headers and tokenizer, the weights, and reading and the first token; all of it. */
  readonly ms: { readonly start: number; readonly files: number; readonly weights: number; readonly firstToken: number; readonly total: number };
  /** Bytes resident then: of the process alone, and of mapped files; null where the system doesn't say. */
  readonly resident: { readonly own: number; readonly mapped: number } | null;
}

/** Tokens that are read before the first is generated. */
export const loadPrompt = 8;

export async function measureLoad(gguf: string, threads: number): Promise<Load> {
  const child = fork(fileURLToPath(import.meta.url), [gguf, String(threads)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [message] = (await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [null])])) as [Load | null];
  if (!message) throw new Error(`${gguf}: the process that loads it ended early`);
  return message;
}

async function load(gguf: string, threads: number): Promise<Load> {
  const start = performance.now();
  const files = await openModelFiles(gguf);
  const opened = performance.now();
  const device = createCpuDevice({ threads });
  if ('unavailable' in device) throw new Error(device.unavailable);
  const model = await loadModel(files, device);
  const loaded = performance.now();
  await new Context(model).prefill(benchTokens(loadPrompt, model.config.vocabSize));
  const total = performance.now();
  const ms = { start, files: opened - start, weights: loaded - opened, firstToken: total - loaded, total };
  return { ms, resident: residentBytes() };
}

function residentBytes(): Load['resident'] {
  if (process.platform !== 'linux') return null;
  const status = readFileSync('/proc/self/status', 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { own: bytes('RssAnon'), mapped: bytes('RssFile') };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [gguf, threads] = process.argv.slice(2);
  process.send?.(await load(gguf!, Number(threads)));
  process.exit(0);
}
