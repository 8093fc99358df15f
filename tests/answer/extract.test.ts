import { describe, expect, it } from 'vitest';
import { Slices } from '../../src/answer/extract.js';
import { createRandom } from '../../src/random.js';

function allowedIds(slices: Slices, vocabSize: number): number[] {
  return Array.from({ length: vocabSize }, (_, id) => id).filter((id) => slices.has(id));
}

describe('Slices', () => {
  it('starts anywhere and goes on only where the documents do', () => {
    const slices = new Slices(Uint32Array.of(5, 6, 7, 5, 8, 5), 10);
    expect(allowedIds(slices, 10)).toEqual([5, 6, 7, 8]);
    slices.push(5);
    expect(allowedIds(slices, 10)).toEqual([6, 8]);
    slices.push(8);
    expect(allowedIds(slices, 10)).toEqual([5]);
    slices.push(5);
    // The document ends here.
    expect(allowedIds(slices, 10)).toEqual([]);
  });

  it('starts anew for another answer', () => {
    const slices = new Slices(Uint32Array.of(5, 6, 7), 10);
    slices.push(6);
    slices.restart();
    expect(allowedIds(slices, 10)).toEqual([5, 6, 7]);
    slices.push(5);
    expect(allowedIds(slices, 10)).toEqual([6]);
  });

  it('allows nothing in an empty document', () => {
    expect(allowedIds(new Slices(new Uint32Array(0), 4), 4)).toEqual([]);
  });

  it('any walk is a slice of the documents', () => {
    const random = createRandom(7);
    const documents = Uint32Array.from({ length: 400 }, () => Math.floor(random() * 6));
    for (let trial = 0; trial < 50; trial++) {
      const slices = new Slices(documents, 6);
      const walk: number[] = [];
      while (walk.length < 12) {
        const options = allowedIds(slices, 6);
        if (options.length === 0) break;
        const id = options[Math.floor(random() * options.length)]!;
        slices.push(id);
        walk.push(id);
      }
      expect(`,${documents.join(',')},`).toContain(`,${walk.join(',')},`);
    }
  });
});
