import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildIndex } from '../../src/reader/bm25.js';
import { decodeIndex, encodeIndex, indexKey, rememberIndex } from '../../src/reader/index-file.js';

const index = buildIndex(['The keeper of the archive.', '', 'An archive, a caf\u00e9 and an archive.']);

describe('kept indexes', () => {
  it('come back as they were, wherever their bytes lie', () => {
    const file = encodeIndex(index);
    expect(decodeIndex(file)).toEqual(index);
    const shifted = new Uint8Array(file.length + 1);
    shifted.set(file, 1);
    expect(decodeIndex(shifted.subarray(1))).toEqual(index);
    expect(decodeIndex(encodeIndex(buildIndex([])))).toEqual(buildIndex([]));
  });

  it('are not believed where a byte differs or is missing', () => {
    const file = encodeIndex(index);
    for (let i = 0; i < file.length; i++) {
      const damaged = file.slice();
      damaged[i]! ^= 16;
      expect(decodeIndex(damaged)).toBeNull();
      expect(decodeIndex(file.subarray(0, i))).toBeNull();
    }
  });

  it('are made once, and again where the file is damaged', async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'lodestone-test-'));
    let made = 0;
    const make = (): typeof index => {
      made++;
      return index;
    };
    expect((await rememberIndex(folder, 'key', make)).kept).toBe(false);
    expect(await rememberIndex(folder, 'key', make)).toEqual({ index, kept: true });
    expect(made).toBe(1);
    const [name] = readdirSync(folder);
    writeFileSync(path.join(folder, name!), readFileSync(path.join(folder, name!)).subarray(3));
    expect((await rememberIndex(folder, 'key', make)).kept).toBe(false);
    expect(made).toBe(2);
    expect((await rememberIndex(null, 'key', make)).kept).toBe(false);
  });

  it('have a key of their content', () => {
    const key = (...texts: readonly (readonly string[])[]): string => indexKey(texts.map((segments) => ({ segments: segments.map((text) => ({ source: 0, text })) })));
    expect(key(['a', 'b'])).toBe(key(['a', 'b']));
    expect(new Set([key(['a', 'b']), key(['ab']), key(['a'], ['b']), key(['b', 'a']), key([])]).size).toBe(5);
  });
});
