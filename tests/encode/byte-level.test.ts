/** Byte-level BPE from vocab.json and merges.txt. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openTokenizer } from '../../src/encode/tokenizer.js';
import { scratch } from '../cli/run.js';
import { randomWhisper } from '../speech/golden.js';

let dir: string;
const put = (name: string, content: unknown): void => writeFileSync(path.join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
/** Its tokenizer.json was written by the tokenizers library. */
const written = JSON.parse(readFileSync(path.join(randomWhisper, 'tokenizer.json'), 'utf8')) as { model: { vocab: Record<string, number> }; added_tokens: { content: string; id: number; special: boolean }[] };
const bytes = written.model.vocab;

beforeEach(() => {
  dir = scratch();
  put('vocab.json', bytes);
  put('merges.txt', '#version: 0.2\n');
  put('added_tokens.json', Object.fromEntries(written.added_tokens.map(({ content, id }) => [content, id])));
});

describe.each(['native', 'js'] as const)('a folder without tokenizer.json, %s', (backend) => {
  it('reads and writes as with the tokenizer.json that it stands for', async () => {
    const whole = path.join(scratch(), 'whole');
    cpSync(randomWhisper, whole, { recursive: true });
    const [ours, theirs] = await Promise.all([openTokenizer(dir, backend), openTokenizer(whole, backend)]);
    expect(ours.controls).toEqual(theirs.controls);
    expect(ours.largestTextId).toBe(theirs.largestTextId);
    const text = " The access code, it's 742.\n\u00fc \u4f60\u597d <|en|> \ud83d\ude42";
    const ids = await ours.encodeText(text);
    expect(ids).toEqual(await theirs.encodeText(text));
    const time = written.added_tokens.find(({ content }) => content === '<|0.80|>')!.id;
    for (const list of [ids, [time, ...ids], [ours.controlId('<|en|>'), ...ids]]) expect(await ours.decode(list)).toBe(await theirs.decode(list));
    expect(await ours.decode(ids)).toBe(text);
  });

  it('merges pairs, the first of the list before the others', async () => {
    put('vocab.json', { ...bytes, he: 1000, el: 1001, hel: 1002, lo: 1003, '\u0120hel': 1004 });
    put('merges.txt', '#version: 0.2\nh e\ne l\nhe l\nl o\n\u0120 hel\n');
    put('added_tokens.json', { '<|endoftext|>': 2000 });
    const tokenizer = await openTokenizer(dir, backend);
    expect(await tokenizer.encodeText('hello hel elo')).toEqual([1002, 1003, 1004, bytes['\u0120'], 1001, bytes['o']]);
    expect(await tokenizer.decode([1002, 1003, 2000, 1004])).toBe('hello hel');
  });
});

it.each([
  ['vocab.json', '[]', /vocab\.json: is not an object of ids/u],
  ['vocab.json', '{"a":-1}', /vocab\.json: is not an object of ids/u],
  ['vocab.json', '{', /vocab\.json: is not JSON/u],
  ['added_tokens.json', '{"a":"b"}', /added_tokens\.json: is not an object of ids/u],
  ['merges.txt', '#version: 0.2\na b c\n', /merges\.txt: "a b c" is not a pair of pieces/u],
  ['merges.txt', 'a zz\n', /vocab\.json: is not a tokenizer/u],
])('%s of %j is refused', async (name, content, message) => {
  put(name, content);
  await expect(openTokenizer(dir)).rejects.toThrow(message);
});
