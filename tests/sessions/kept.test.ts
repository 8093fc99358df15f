/** Hashes of model files and texts of documents that are kept, and when they are not believed. */
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { knownSha256 } from '../../src/sessions/known-hashes.js';
import { makeRoom, markFileUsed } from '../../src/sessions/room.js';
import { rememberIn } from '../../src/sessions/texts.js';
import { sha256OfFiles } from '../../src/weights/hash.js';
import { withTempDir } from '../runtime/fixture.js';

it('hashes a file once, until it changes, even to one of the same size and time', () =>
  withTempDir(async (dir) => {
    const [file, memory] = [join(dir, 'weights'), join(dir, 'hashes')];
    writeFileSync(file, 'first');
    const hash = (): Promise<string> => knownSha256([file], memory);
    expect(await hash()).toBe(await sha256OfFiles([file]));
    // Written a moment ago: it may change again without its times telling.
    expect(readdirSync(dir)).toEqual(['weights']);
    await new Promise((resolve) => setTimeout(resolve, 2100));
    expect(await hash()).toBe(await sha256OfFiles([file]));
    const kept = readdirSync(memory);
    expect(kept).toHaveLength(1);
    // It is believed, and only if it is a hash.
    writeFileSync(join(memory, kept[0]!), 'a'.repeat(64));
    expect(await hash()).toBe('a'.repeat(64));
    writeFileSync(join(memory, kept[0]!), 'torn');
    expect(await hash()).toBe(await sha256OfFiles([file]));
    const { atime, mtime } = statSync(file);
    writeFileSync(file, 'other');
    utimesSync(file, atime, mtime);
    expect(await hash()).toBe(await sha256OfFiles([file]));
  }));

it('holds a folder to a size: what was longest not used goes', () =>
  withTempDir(async (dir) => {
    const names = ['a', 'b', 'c', 'd'];
    for (const [i, name] of names.entries()) {
      writeFileSync(join(dir, name), Buffer.alloc(100));
      utimesSync(join(dir, name), 1000 + i, 1000 + i);
    }
    await markFileUsed(join(dir, 'a'));
    await makeRoom(dir, 400);
    expect(readdirSync(dir)).toEqual(names);
    await makeRoom(dir, 299);
    expect(readdirSync(dir)).toEqual(['a', 'd']);
    await makeRoom(dir, 0);
    expect(readdirSync(dir)).toEqual([]);
    await makeRoom(join(dir, 'nowhere'), 0);
  }));

it('makes a text once, and again where the file of it is damaged', () =>
  withTempDir(async (dir) => {
    const folder = join(dir, 'texts');
    const remember = rememberIn(folder);
    let made = 0;
    const make = async (): Promise<{ n: number }> => ({ n: ++made });
    expect([await remember(['a'], make), await remember(['a'], make), await remember(['b'], make)]).toEqual([{ n: 1 }, { n: 1 }, { n: 2 }]);
    for (const damage of [(text: string) => text.replace('1', '7'), (text: string) => text.slice(0, -1), () => '', () => '5']) {
      for (const name of readdirSync(folder)) writeFileSync(join(folder, name), damage(readFileSync(join(folder, name), 'utf8')));
      const again = made;
      expect([(await remember(['a'], make)).n, (await remember(['b'], make)).n].every((n) => n > again)).toBe(true);
    }
    mkdirSync(join(dir, 'closed'));
    writeFileSync(join(dir, 'closed', 'texts'), 'a file');
    expect((await rememberIn(join(dir, 'closed', 'texts'))(['a'], make)).n).toBe(made);
  }));
