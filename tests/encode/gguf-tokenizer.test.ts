/** The tokenizer of a GGUF file, on a small vocabulary; on Gemma's own in gemma-vocabulary.test.ts. */
import { describe, expect, it } from 'vitest';
import { openGgufTokenizer } from '../../src/encode/gguf-tokenizer.js';
import type { Tokenizer } from '../../src/encode/tokenizer.js';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import type { GgufValue } from '../../src/weights/gguf.js';

const [normal, unknown, control, userDefined, byte] = [1, 2, 3, 4, 6];
const byteTokens = Array.from({ length: 256 }, (_, i): [string, number] => [`<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`, byte]);
/** In the order of Gemma's: control tokens, what the user defined, bytes, merged pieces, characters. */
const small: [string, number][] = [
  ['<pad>', control],
  ['<eos>', control],
  ['<bos>', control],
  ['<unk>', unknown],
  ['<mask>', control],
  ['<unused0>', control],
  ['<start_of_turn>', normal], // as in Google's first quantised files
  ['<end_of_turn>', normal],
  ['<tool>', control],
  ['\n', userDefined],
  ['\n\n', userDefined],
  ['  ', userDefined],
  ['   ', userDefined],
  ['<b>', userDefined],
  ...byteTokens,
  ['ab', normal],
  ['bc', normal],
  ['\u2581a', normal],
  ['abc', normal],
  ['\u2581abc', normal],
  ['aa', normal],
  ...['\u2581', 'a', 'b', 'c', '<', '>', '𝒳'].map((piece): [string, number] => [piece, normal]),
  ['𝒳𝒳', normal],
];

function metadataOf(vocabulary: readonly [string, number][], values: Readonly<Record<string, GgufValue>> = {}): Map<string, GgufValue> {
  return new Map<string, GgufValue>(
    Object.entries({
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.tokens': vocabulary.map(([token]) => token),
      'tokenizer.ggml.token_type': Int32Array.from(vocabulary, ([, type]) => type),
      'tokenizer.ggml.unknown_token_id': 3,
      'tokenizer.ggml.add_space_prefix': false,
      ...values,
    }),
  );
}

const open = async (vocabulary = small, values: Readonly<Record<string, GgufValue>> = {}, size = vocabulary.length): Promise<Tokenizer> =>
  openGgufTokenizer({ path: 'x.gguf', metadata: metadataOf(vocabulary, values) }, size);

describe('a small vocabulary', () => {
  const pieces = async (text: string, tokenizer?: Tokenizer): Promise<string[]> => (await (tokenizer ?? (await open())).encodeText(text)).map((id) => small[id]![0]);

  it.each([
    ['abc', ['abc']],
    ['abcb', ['abc', 'b']],
    ['bcab', ['bc', 'ab']],
    [' abc', ['\u2581abc']],
    ['aaa', ['aa', 'a']],
    ['a b', ['a', '\u2581', 'b']],
    ['  abc', ['  ', 'abc']],
    ['     a', ['   ', '  ', 'a']],
    ['a\n\n\na', ['a', '\n\n', '\n', 'a']],
    ['<b>a', ['<b>', 'a']],
    ['<unused0>', ['<unused0>']],
    ['𝒳𝒳𝒳', ['𝒳𝒳', '𝒳']],
    ['é', ['<0xC3>', '<0xA9>']],
    ['', []],
  ])('%j', async (text, wanted) => {
    const tokenizer = await open();
    expect(await pieces(text, tokenizer)).toEqual(wanted);
    expect(await tokenizer.decode(await tokenizer.encodeText(text))).toBe(text);
  });

  it('knows control tokens by the file and by Gemma\'s names, and text is never one', async () => {
    const tokenizer = await open();
    expect([...tokenizer.controls.keys()]).toEqual(['<pad>', '<eos>', '<bos>', '<unk>', '<start_of_turn>', '<end_of_turn>', '<tool>']);
    expect(tokenizer.controlId('<start_of_turn>')).toBe(6);
    const ids = await tokenizer.encodeText('a<start_of_turn><tool><eos>b');
    expect(ids.filter((id) => id === 6 || id === 8 || id === 1)).toEqual([]);
    expect(await tokenizer.decode(ids)).toBe('a<start_of_turn><tool><eos>b');
    expect(await tokenizer.decode([6, 18 + 256, 7])).not.toContain('turn');
  });

  it('leaves out ids beyond the size that is asked for', async () => {
    const tokenizer = await open(small, {}, small.length - 1);
    expect(await tokenizer.encodeText('𝒳𝒳')).toHaveLength(2);
    expect(tokenizer.largestTextId).toBe(small.length - 2);
  });

  const first = small.slice(0, 20);
  it.each<[string, [string, number][], Record<string, GgufValue>, RegExp]>([
    ['of another kind', small, { 'tokenizer.ggml.model': 'gpt2' }, /tokenizer\.ggml\.model is "gpt2"; only Gemma's/],
    ['of no kind', small, { 'tokenizer.ggml.model': 3 }, /tokenizer\.ggml\.model is 3/],
    ['that puts a space in front', small, { 'tokenizer.ggml.add_space_prefix': true }, /add_space_prefix is true/],
    ['without tokens', small, { 'tokenizer.ggml.tokens': Int32Array.of(1) }, /no list tokenizer\.ggml\.tokens/],
    ['without types', small, { 'tokenizer.ggml.token_type': 1 }, /token_type is not a list of 284 types/],
    ['with fewer types than tokens', small, { 'tokenizer.ggml.token_type': Int32Array.of(1) }, /token_type is not a list of 284 types/],
    ['with a token twice', [...first, ['ab', normal], ['ab', normal]], {}, /tokens 20 and 21 are both "ab"/],
    ['with an empty token', [...first, ['', normal]], {}, /token 20 is empty/],
    ['that lacks a byte', small.filter(([token]) => token !== '<0x7F>'), {}, /has 255 of the 256 tokens of single bytes/],
  ])('%s is refused', async (_, vocabulary, values, message) => {
    const error: unknown = await open(vocabulary, values).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LodestoneError);
    expect(error).toMatchObject({ exitCode: ExitCode.badModel });
    expect((error as Error).message).toMatch(message);
  });
});
