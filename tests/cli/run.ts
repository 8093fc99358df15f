/** Runs the program as a user does: bin/lodestone.js in a process of its own. */
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  /** Called with the running process, e.g. to send it a signal. */
  readonly during?: (child: ReturnType<typeof spawn>) => void;
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
}

export function lodestone(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(packageRoot, 'bin', 'lodestone.js'), ...args], {
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      stdio: 'pipe',
    });
    let stdout = '';
    let stderr = '';
    const hung = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`still running after ${options.timeoutMs ?? 60_000} ms: lodestone ${args.join(' ')}\n${stderr}`));
    }, options.timeoutMs ?? 60_000);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(hung);
      resolve({ code, stdout, stderr });
    });
    child.stdin.end(options.stdin ?? '');
    options.during?.(child);
  });
}

/** A fresh folder under the system's temporary one. */
export function scratch(): string {
  return mkdtempSync(path.join(os.tmpdir(), 'lodestone-test-'));
}

/** The embedded model with some config values changed. */
export function modelWith(changes: Record<string, unknown>): string {
  const dir = scratch();
  for (const name of ['model.safetensors', 'tokenizer.json', 'generation_config.json']) {
    const file = path.join(embeddedModelDir, name);
    if (existsSync(file)) symlinkSync(file, path.join(dir, name));
  }
  const config = JSON.parse(readFileSync(path.join(embeddedModelDir, 'config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(path.join(dir, 'config.json'), JSON.stringify({ ...config, ...changes }));
  return dir;
}

/** Writes `bytes` of prose-like text without holding it. */
export async function bigText(file: string, bytes: number): Promise<void> {
  const out = createWriteStream(file);
  const line = 'The quick brown fox jumps over the lazy dog and thinks no more of it.\n'.repeat(1000);
  for (let written = 0; written < bytes; written += line.length) {
    if (!out.write(line)) await new Promise<void>((resolve) => out.once('drain', () => resolve()));
  }
  await new Promise<void>((resolve) => {
    out.end(() => resolve());
  });
}

/** With a home folder of its own, and none of the variables that lead elsewhere. */
export function withHome(dir: string): NodeJS.ProcessEnv {
  const cleared = ['HF_HOME', 'HF_HUB_CACHE', 'HF_TOKEN', 'HF_ENDPOINT', 'LLAMA_CACHE', 'OLLAMA_MODELS', 'XDG_DATA_HOME', 'XDG_CACHE_HOME', 'LODESTONE_HOME', 'LODESTONE_MODEL', 'LODESTONE_SPEECH'];
  return { ...Object.fromEntries(cleared.map((name) => [name, ''])), HOME: dir };
}
