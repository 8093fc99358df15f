import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { spokenWords, wordErrorRate, wordErrors } from '../../src/bench/word-errors.js';
import { packageRoot } from '../../src/paths.js';

/** Computed by the published rules (fixtures/README.md). */
const vectors = JSON.parse(readFileSync(path.join(packageRoot, 'fixtures', 'recall', 'scoring.json'), 'utf8')) as { wer: { ref: string; hyp: string; wer: number }[] };

describe('word errors', () => {
  it.each(vectors.wer)('$ref / $hyp', ({ ref, hyp, wer }) => expect(wordErrorRate([wordErrors(ref, hyp)])).toBeCloseTo(wer, 12));
  it('are of the corpus, not the mean of its clips', () => expect(wordErrorRate([wordErrors('a', 'b'), wordErrors('a b c d e f g h i', 'a b c d e f g h i')])).toBeCloseTo(0.1, 12));
  it('do not mind capitals and marks', () => {
    expect(spokenWords("The captain\u2019s \u201cboat\u201d, well-known: 'tis 7.")).toEqual(['the', "captain's", 'boat', 'well', 'known', 'tis', '7']);
    expect(wordErrors('', 'something')).toEqual({ errors: 1, words: 0 });
    expect(wordErrorRate([])).toBe(0);
  });
});
