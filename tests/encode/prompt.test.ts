import { describe, expect, it } from 'vitest';
import { ABSENT_SENTENCE, buildPrompt, parseAnswer } from '../../src/encode/prompt.js';
import type { Tokenizer } from '../../src/encode/tokenizer.js';
import type { IngestedSource } from '../../src/ingest/segment.js';
import { segmentText } from '../../src/ingest/text.js';

/** Text as character codes from 1000 on, control tokens as small ids: enough to see who is who. */
const controls = new Map(['<bos>', '<question>', '<answer>', '<start_of_turn>', '<end_of_turn>'].map((name, i) => [name, i]));
const tokenizer = {
  encodeText: async (text: string) => Array.from(text, (character) => 1000 + character.codePointAt(0)!),
  controlId: (name: string) => controls.get(name)!,
} as unknown as Tokenizer;

function render(ids: Uint32Array): string {
  const names = [...controls.keys()];
  return Array.from(ids, (id) => (id < 1000 ? names[id] : String.fromCodePoint(id - 1000))).join('');
}

const sources: IngestedSource[] = [
  { source: { path: 'a.pdf', kind: 'pdf', bytes: 1, sha256: '' }, segments: [{ source: 0, text: 'One.\n', page: 1 }, { source: 0, text: 'Two <bos>.\n', page: 2 }], warnings: [] },
  { source: { path: 'b.txt', kind: 'text', bytes: 1, sha256: '' }, segments: [{ source: 1, text: 'Three.\n', line: 1 }], warnings: [] },
];

describe('buildPrompt', () => {
  it('writes the form that lodestone-tiny is trained on', async () => {
    const { ids, sourceTokens } = await buildPrompt('qa', ' Who? ', sources, tokenizer);
    expect(render(ids)).toBe('<bos>One.\nTwo <bos>.\nThree.\n<question>Who?<answer>');
    // The "<bos>" of the document is text: five characters, not the control token.
    expect(ids.filter((id) => id === controls.get('<bos>'))).toHaveLength(1);
    expect(sourceTokens).toEqual([16, 7]);
  });
  it('begins every source on a line of its own, whatever the one before ends with', async () => {
    const two = ['First.', 'Second.\n\n\n'].map((text, i): IngestedSource => ({
      source: { path: `${i}.txt`, kind: 'text', bytes: 1, sha256: '' },
      segments: segmentText(`${i}.txt`, i, text),
      warnings: [],
    }));
    expect(render((await buildPrompt('qa', 'Who?', two, tokenizer)).ids)).toBe('<bos>First.\nSecond.\n<question>Who?<answer>');
    expect(render((await buildPrompt('gemma-chat', 'Who?', two, tokenizer)).ids)).toContain('First.\n</document>');
  });
  it('keeps the order of many segments, whichever is encoded first', async () => {
    const texts = Array.from({ length: 150 }, (_, i) => `Line ${i}.\n`);
    const many: IngestedSource[] = [{ ...sources[1]!, segments: texts.map((text, i) => ({ source: 0, text, line: i + 1 })) }];
    const encodeText = async (text: string): Promise<number[]> => {
      // The later ones come back first.
      const line = Number(/\d+/.exec(text)?.[0] ?? 0);
      for (let turns = 150 - line; turns > 0; turns--) await Promise.resolve();
      return tokenizer.encodeText(text);
    };
    const { ids, sourceTokens } = await buildPrompt('qa', 'Who?', many, { ...tokenizer, encodeText });
    expect(render(ids)).toBe(`<bos>${texts.join('')}<question>Who?<answer>`);
    expect(sourceTokens).toEqual([texts.join('').length]);
  });
  it('stops at the segment where the signal fires', async () => {
    const abort = new AbortController();
    let encoded = 0;
    const slow = { ...tokenizer, encodeText: async () => (encoded++ === 0 && abort.abort(new Error('enough')), [7]) } as unknown as Tokenizer;
    await expect(buildPrompt('qa', 'Who?', sources, slow, abort.signal)).rejects.toThrow('enough');
    expect(encoded).toBe(1);
  });
  it('writes one turn of Gemma chat, documents first, pages marked', async () => {
    const { ids } = await buildPrompt('gemma-chat', 'Who?', sources, tokenizer);
    const text = render(ids);
    expect(text.startsWith('<bos><start_of_turn>user\n')).toBe(true);
    expect(text).toContain('<document name="a.pdf">\n[page 1]\nOne.\n[page 2]\nTwo <bos>.\n</document>');
    expect(text).toContain('<document name="b.txt">\nThree.\n</document>');
    expect(text.indexOf('Question: Who?')).toBeGreaterThan(text.indexOf('Three.'));
    expect(text.endsWith('<end_of_turn>\n<start_of_turn>model\n')).toBe(true);
  });
});

describe('parseAnswer', () => {
  it('takes an extractive answer as its own quote', () => {
    expect(parseAnswer('qa', ' 7731942 ', false)).toEqual({ found: true, answer: '7731942', needle: '7731942' });
    expect(parseAnswer('qa', '', true)).toEqual({ found: false, answer: '', needle: '' });
    expect(parseAnswer('qa', '  ', false).found).toBe(false);
  });
  it('takes the quote of a chat answer', () => {
    expect(parseAnswer('gemma-chat', 'Captain Okafor\nQuote: "The Petrel is commanded by Captain Okafor."', false)).toEqual({
      found: true,
      answer: 'Captain Okafor',
      needle: 'The Petrel is commanded by Captain Okafor.',
    });
    expect(parseAnswer('gemma-chat', 'Quote: "It is Okafor."', false)).toEqual({ found: true, answer: 'It is Okafor.', needle: 'It is Okafor.' });
    expect(parseAnswer('gemma-chat', 'Okafor.', false)).toEqual({ found: true, answer: 'Okafor.', needle: 'Okafor.' });
    expect(parseAnswer('gemma-chat', ABSENT_SENTENCE, false).found).toBe(false);
    expect(parseAnswer('gemma-chat', 'not in the documents', false).found).toBe(false);
  });
});
