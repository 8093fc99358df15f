import { describe, expect, it } from 'vitest';
import { LodestoneError } from '../../src/errors.js';
import { formatBytes } from '../../src/ingest/limits.js';
import { choosePages, describePages, parsePageRanges } from '../../src/ingest/pages.js';

describe('parsePageRanges', () => {
  it.each([
    ['7', [{ from: 7, to: 7 }]],
    ['3-7,12', [{ from: 3, to: 7 }, { from: 12, to: 12 }]],
    [' 3 - 7 , 12 ', [{ from: 3, to: 7 }, { from: 12, to: 12 }]],
    ['5-', [{ from: 5, to: Infinity }]],
    ['-4', [{ from: 1, to: 4 }]],
    ['2–3', [{ from: 2, to: 3 }]],
  ])('%s', (list, ranges) => expect(parsePageRanges(list)).toEqual(ranges));
  it.each(['', ',', '-', 'a', '0', '0-3', '9-3', '1,,2', '1-2-3', '1.5', '1e3', '+1', '9999999999', '1;2'])('"%s" is none', (list) => {
    expect(() => parsePageRanges(list)).toThrow(LodestoneError);
    expect(() => parsePageRanges(list)).toThrow(expect.objectContaining({ exitCode: 2 }) as Error);
  });
});

describe('choosePages', () => {
  it('all without ranges', () => expect(choosePages(3)).toEqual({ pages: [1, 2, 3] }));
  it('in rising order, each once', () => {
    expect(choosePages(20, parsePageRanges('12,3-5,4-6,18-'))).toEqual({ pages: [3, 4, 5, 6, 12, 18, 19, 20] });
  });
  it('beyond the last page', () => {
    expect(choosePages(5, parsePageRanges('4-6')).beyond).toBe(6);
    expect(choosePages(5, parsePageRanges('7-')).beyond).toBe(7);
    expect(choosePages(5, parsePageRanges('1-999999999')).beyond).toBe(999_999_999);
    expect(choosePages(5, parsePageRanges('5-')).pages).toEqual([5]);
  });
});

describe('describePages', () => {
  it('as runs', () => expect(describePages([3, 5, 6, 7, 9])).toBe('3, 5-7, 9'));
  it('the first few of many', () => expect(describePages([1, 3, 5, 7, 9, 10, 11], 3)).toBe('1, 3, 5 and 4 more'));
});

describe('formatBytes', () => {
  it.each([[0, '0 bytes'], [1023, '1023 bytes'], [1536, '1.5 KiB'], [1024 ** 3, '1 GiB'], [2048 ** 4, '16 TiB']])('%d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
