/** Files that are none, and standard input. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { ingest, ingestBytes } from '../../src/ingest/ingest.js';
import { defaultLimits } from '../../src/ingest/limits.js';
import { readFileOnce, readStreamOnce } from '../../src/ingest/read.js';
import { packageRoot } from '../../src/paths.js';
import { file, fixture, refusal, scratch, squash } from './support.js';

const dir = scratch();
const limit = defaultLimits.fileBytes;
const posix = process.platform !== 'win32';

describe('what can not be read', () => {
  it('a missing file', async () => {
    expect(await refusal(ingest([path.join(dir, 'nowhere.pdf')]), 'nowhere.pdf')).toMatch(/does not exist/);
    expect(await refusal(ingest([path.join(file(dir, 'a.txt', 'x'), 'under-a-file')]), 'under-a-file')).toMatch(/does not exist/);
    expect(await refusal(ingest(['nul\0in-name.txt']), 'nul\\x00in-name.txt')).toMatch(/does not exist/);
    expect(await refusal(ingest(['n'.repeat(300)]), 'nnn')).toMatch(/too long/);
    expect(await refusal(ingest(['']), 'does not exist')).toBeDefined();
  });
  it('a directory', async () => {
    const folder = path.join(dir, 'folder.pdf');
    mkdirSync(folder);
    expect(await refusal(ingest([folder]), 'folder.pdf')).toMatch(/is a directory/);
  });
  it.runIf(posix)('a FIFO, without waiting for a writer', async () => {
    const pipe = path.join(dir, 'pipe.txt');
    execFileSync('mkfifo', [pipe]);
    expect(await refusal(ingest([pipe]), 'pipe.txt')).toMatch(/is a pipe/);
  });
  it.runIf(posix)('a device', async () => {
    expect(await refusal(ingest(['/dev/zero']), '/dev/zero')).toMatch(/device/);
  });
  it.runIf(posix)('a link that leads to itself', async () => {
    symlinkSync('loop.txt', path.join(dir, 'loop.txt'));
    expect(await refusal(ingest([path.join(dir, 'loop.txt')]), 'loop.txt')).toMatch(/symbolic link/);
  });
  it.runIf(posix && process.getuid!() !== 0)('a file that may not be read', async () => {
    const secret = file(dir, 'secret.txt', 'x');
    chmodSync(secret, 0);
    expect(await refusal(ingest([secret]), 'secret.txt')).toMatch(/permission/);
  });
  it('the one bad file of several is the one named', async () => {
    expect(await refusal(ingest([fixture('notes.md'), path.join(dir, 'gone.md')]), 'gone.md')).not.toContain('notes.md');
  });
});

describe('reading', () => {
  it('says how far it is', async () => {
    const steps: [number, number][] = [];
    const big = file(dir, 'big.txt', 'word '.repeat(2_000_000));
    await readFileOnce(big, { limit, onBytes: (done, total) => steps.push([done, total]) });
    expect(steps.length).toBeGreaterThan(1);
    expect(steps.at(-1)).toEqual([10_000_000, 10_000_000]);
  });
  it.runIf(process.platform === 'linux')('a file that does not know its size', async () => {
    expect((await readFileOnce('/proc/self/status', { limit })).bytes.length).toBeGreaterThan(100);
  });
  it('ends when aborted', async () => {
    const reason = new LodestoneError(ExitCode.terminated, 'terminated');
    await expect(ingest([fixture('notes.md')], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const control = new AbortController();
    const big = file(dir, 'abort.txt', 'word '.repeat(2_000_000));
    await expect(ingest([big], { signal: control.signal, onProgress: () => control.abort(reason) })).rejects.toBe(reason);
  });
});

describe('standard input', () => {
  it('is gathered from chunks', async () => {
    const { bytes } = await readStreamOnce('-', Readable.from([Buffer.from('na\xc3', 'latin1'), Buffer.from('\xafve\n', 'latin1'), 'end\n']), { limit });
    expect(Buffer.from(bytes).toString()).toBe('naïve\nend\n');
  });
  it('is called so where it is refused', async () => {
    expect(await refusal(readStreamOnce('-', Readable.from([Buffer.alloc(100)]), { limit: 99 }), 'standard input')).toMatch(/larger than 99 bytes/);
    const input = await readStreamOnce('-', Readable.from([]), { limit });
    expect(await refusal(ingestBytes(input, 0, defaultLimits), 'standard input')).toMatch(/is empty/);
  });
  it('may be a PDF', async () => {
    const { bytes } = await readFileOnce(fixture('media', 'unstructured_fake-memo.pdf'), { limit });
    const input = await readStreamOnce('-', Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]), { limit });
    const { source, segments } = await ingestBytes(input, 0, defaultLimits);
    expect(source).toMatchObject({ path: '-', kind: 'pdf', pages: 1 });
    expect(squash(segments[0]!.text)).toContain('200 laptops');
  });
  it('ends at once when aborted while it waits', async () => {
    const control = new AbortController();
    const waiting = readStreamOnce('-', new Readable({ read() {} }), { limit, signal: control.signal });
    const started = performance.now();
    setTimeout(() => control.abort(), 50);
    await expect(waiting).rejects.toThrow();
    expect(performance.now() - started).toBeLessThan(1000);
  });
  it('is read as "-"', () => {
    const script = `import { ingest } from './dist/ingest/ingest.js';
      const [one] = await ingest(['-']);
      process.stdout.write(JSON.stringify(one.segments));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: packageRoot, input: 'fed\nthrough a pipe\n', encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual([{ source: 0, text: 'fed\nthrough a pipe\n', line: 1 }]);
  });
});
