/** Keys of what a prompt begins with, and where reading stops for them. */
import { expect, it } from 'vitest';
import { imagesBefore, prefixHashes, restorePoints } from '../../src/sessions/prefix.js';

const ids = Uint32Array.from({ length: 2000 }, (_, i) => (i * 7919) % 500);
const tokens = { soft: 999, perImage: 4 };

it('hashes what lies before a position, whatever other positions are asked for', () => {
  const all = prefixHashes({ ids, images: [] }, [1, 500, 1999, 2000], null);
  expect(new Set(all.values()).size).toBe(4);
  for (const position of [1, 500, 2000]) {
    expect(prefixHashes({ ids: ids.slice(0, position), images: [] }, [position], null).get(position)).toBe(all.get(position));
  }
  const changed = Uint32Array.from(ids);
  changed[499] = 7;
  const other = prefixHashes({ ids: changed, images: [] }, [1, 499, 500, 2000], null);
  expect(other.get(1)).toBe(all.get(1));
  expect(other.get(500)).not.toBe(all.get(500));
  expect(other.get(2000)).not.toBe(all.get(2000));
});

it('tells images apart that have the same ids', () => {
  const shown = Uint32Array.of(1, 999, 999, 999, 999, 2, 999, 999, 999, 999, 3, 3);
  const [a, b, c] = ['aa', 'bb', 'cc'] as const;
  const hashes = (images: string[], positions: number[]): (string | undefined)[] => {
    const found = prefixHashes({ ids: shown, images }, positions, tokens);
    return positions.map((position) => found.get(position));
  };
  const positions = [1, 5, 6, 10, 12];
  const first = hashes([a, b], positions);
  expect(first).toEqual(positions.flatMap((position) => hashes([a, b], [position])));
  const second = hashes([a, c], positions);
  expect(second.slice(0, 3)).toEqual(first.slice(0, 3));
  expect(second[3]).not.toBe(first[3]);
  expect(second[4]).not.toBe(first[4]);
  expect([1, 5, 10, 12].map((position) => imagesBefore(shown, position, tokens))).toEqual([0, 1, 2, 2]);
  expect(imagesBefore(shown, 12, null)).toBe(0);
});

it('stops at the end, before the last source, and at segment ends far enough apart', () => {
  const segmentEnds = Array.from({ length: 20 }, (_, i) => (i + 1) * 100);
  const documents = { ids, segmentEnds, sourceEnds: [300, 1500, 2000] };
  expect(restorePoints(documents, 0, 400)).toEqual([400, 800, 1500, 2000]);
  expect(restorePoints(documents, 0, Infinity)).toEqual([1500, 2000]);
  expect(restorePoints(documents, 850, 400)).toEqual([1500, 2000]);
  expect(restorePoints(documents, 1500, 400)).toEqual([2000]);
  expect(restorePoints(documents, 2000, 400)).toEqual([]);
  expect(restorePoints({ ...documents, sourceEnds: [2000] }, 0, 700)).toEqual([700, 2000]);
  // Too short to be kept.
  expect(restorePoints({ ids: ids.subarray(0, 200), segmentEnds: [100, 200], sourceEnds: [100, 200] }, 0, 400)).toEqual([]);
});
