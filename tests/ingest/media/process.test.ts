import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { readProgram, type ProgramEnd } from '../../../src/ingest/media/process.js';
import { packageRoot } from '../../../src/paths.js';

const node = (script: string): [string, string[]] => [process.execPath, ['-e', script]];
const options = { stallMs: 20_000 };

async function all(reader: AsyncGenerator<Uint8Array, ProgramEnd>): Promise<{ text: string; end: ProgramEnd }> {
  let text = '';
  let step = await reader.next();
  for (; !step.done; step = await reader.next()) text += Buffer.from(step.value).toString();
  return { text, end: step.value };
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // Whoever inherited it may not have asked how it ended.
    return !existsSync(`/proc/${pid}/stat`) || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

async function dead(pid: number): Promise<boolean> {
  for (let i = 0; i < 250 && lives(pid); i++) await wait(20);
  return !lives(pid);
}

/** Writes its process id, then for ever. */
const endless: [string, string[]] = ['/bin/sh', ['-c', 'echo $$; exec yes']];

describe('a program that is read', () => {
  it('gives its output, its exit code and the end of its complaints', async () => {
    const { text, end } = await all(readProgram(...node('console.log("out"); console.error("y".repeat(9000) + " why"); process.exitCode = 3'), options));
    expect(text).toBe('out\n');
    expect(end).toMatchObject({ code: 3, stalled: false });
    expect(end.stderr).toMatch(/^y+ why$/);
    expect(end.stderr.length).toBeLessThanOrEqual(8192);
  });
  it('ends with its reader', async () => {
    const reader = readProgram(...endless, options);
    const first = await reader.next();
    const pid = Number.parseInt(Buffer.from(first.value as Uint8Array).toString(), 10);
    expect(lives(pid)).toBe(true);
    await reader.return({ code: null, stderr: '', stalled: false });
    expect(await dead(pid)).toBe(true);
  });
  it('ends with an abort, whose reason is told', async () => {
    const stop = new AbortController();
    const reader = readProgram(...endless, { ...options, signal: stop.signal });
    const pid = Number.parseInt(Buffer.from((await reader.next()).value as Uint8Array).toString(), 10);
    stop.abort(new Error('enough'));
    await expect(all(reader)).rejects.toThrow('enough');
    expect(await dead(pid)).toBe(true);
    await expect(readProgram(...node(''), { ...options, signal: stop.signal }).next()).rejects.toThrow('enough');
  });
  it('is given up when it says nothing more', async () => {
    const { end } = await all(readProgram(...node('console.log(1); setInterval(() => {}, 1000)'), { stallMs: 1000 }));
    expect(end).toMatchObject({ stalled: true });
  });
  it('may wait for a slow reader as long as that likes', async () => {
    const reader = readProgram(...node('process.stdout.write("a".repeat(300000))'), { stallMs: 500 });
    await reader.next();
    await wait(800);
    const { end } = await all(reader);
    expect(end).toMatchObject({ code: 0, stalled: false });
  });
  it('that is not there is an error', async () => {
    await expect(readProgram('/no/such/program', [], options).next()).rejects.toThrow(/ENOENT/);
  });
  it('does not outlive this process, even if that is killed', async () => {
    const script = `import('${packageRoot}/dist/ingest/media/process.js').then(async ({ readProgram }) => {
      for await (const chunk of readProgram(...${JSON.stringify(endless)}, { stallMs: 20000 })) { process.stdout.write(chunk.subarray(0, 20)); await new Promise(() => setInterval(() => {}, 1000)); }
    });`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [chunk] = (await new Promise((resolve) => parent.stdout.once('data', (data: Buffer) => resolve([data])))) as [Buffer];
    const pid = Number.parseInt(chunk.toString(), 10);
    expect(lives(pid)).toBe(true);
    parent.kill('SIGKILL');
    expect(await dead(pid)).toBe(true);
  });
});
