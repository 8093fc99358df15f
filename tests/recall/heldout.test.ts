/** What is held out must not be trained on. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { embeddedModelDir } from '../../src/paths.js';
import { createRandom } from '../../src/random.js';
import { heldOutFact, KEYS, NAMED_VALUES, type Family } from '../../src/recall/heldout.js';

const recipe = path.join(embeddedModelDir, 'recipe');
const { families } = JSON.parse(readFileSync(path.join(recipe, 'eval_templates.json'), 'utf8')) as { families: Family[] };
const plain = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ').trim();

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}

describe('held-out trials', () => {
  it('use no key and no value that is a noun of the recipe, or part of one', () => {
    const nouns = strings(JSON.parse(readFileSync(path.join(recipe, 'templates', 'nouns.json'), 'utf8'))).map(plain);
    expect(nouns.length).toBeGreaterThan(500);
    const used = [...Object.values(KEYS), ...Object.values(NAMED_VALUES)].flat().map((text) => plain(text).replace(/^the /u, ''));
    expect(used.filter((text) => nouns.some((noun) => ` ${noun} `.includes(` ${text} `)))).toEqual([]);
  });

  it('use no phrasing that is trained, and no run of four words of one', () => {
    const lines = readFileSync(path.join(recipe, 'templates', 'relations.txt'), 'utf8').split('\n');
    const trained = lines.filter((line) => /^[FQ] /u.test(line)).map((line) => plain(line.slice(2)));
    expect(trained.length).toBeGreaterThan(150);
    const all = ` ${trained.join(' | ')} `;
    const slots = new Set(['k', 'v', 'a', 'n']);
    for (const phrasing of families.flatMap(({ facts, questions }) => [...facts, ...questions])) {
      const words = plain(phrasing).split(' ');
      expect(trained).not.toContain(words.join(' '));
      for (let i = 0; i + 4 <= words.length; i++) {
        const run = words.slice(i, i + 4);
        if (!run.some((word) => slots.has(word))) expect(all).not.toContain(` ${run.join(' ')} `);
      }
    }
  });

  it('can be made of every family', () => {
    for (const family of families) {
      const { sentence, question, key, value } = heldOutFact(family, '', createRandom(1));
      expect(sentence.toLowerCase()).toContain(key.toLowerCase());
      expect(sentence).toContain(value);
      expect(question).toContain(key);
      expect(question).not.toContain(value);
      expect(sentence + question).not.toMatch(/[{}]|undefined/u);
      expect(heldOutFact(family, '', createRandom(1), key).key).not.toBe(key);
      expect(heldOutFact(family, value, createRandom(1)).value).not.toBe(value);
    }
  });
});
