/** Tokenizers of both kinds that we meet (byte-level: lodestone-tiny; byte fallback: Gemma's), in both backends. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openTokenizer, type Tokenizer } from '../../src/encode/tokenizer.js';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { randomizer } from '../device/cases.js';
import { fixtureDir, tinyDir, withTempDir } from '../runtime/fixture.js';

const awkward: Record<string, string> = {
  empty: '',
  spaces: ' '.repeat(97),
  'tabs, newlines and spaces': `a\t\t\tb \n \n\n   c${'\n'.repeat(40)}${'\t'.repeat(40)}`,
  'CR and CRLF': 'one\r\ntwo\rthree\n\rfour\r\n\r\n',
  'NUL and controls': 'a\0b\u0001\u001B[2J\u007F\u0085c',
  digits: '1234567890 3.14159 1,000,000 ١٢٣ ４５６ ½ ² Ⅷ',
  emoji: '👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷 e\u0301 é',
  scripts: 'Žluťoučký kůň — Ὅμηρος — Привет — 你好，世界 — こんにちは — مرحبا — नमस्ते — שלום',
  'odd spaces': 'a\u00A0b\u2003c\u200Bd\u2028e\u3000f',
  'a byte order mark inside': 'x\uFEFFy',
  'the last code points': '\u{10FFFF}\uE000\uFFFD\uFFFF',
  'lone surrogates': 'a\uD83Db\uDE00c\uD83D',
  quotes: `I'll we've IT'S “don’t” 'x' "y" \`z\``,
  code: 'for (let i = 0; i < n; i++) { a[i] ??= `${b}`; } // <html>\n\tdef f(x):\n\t    return x**2',
};

const spellings = (controls: Iterable<string>): string[] => {
  const names = [...controls];
  return [...names, ...names.map((name) => `x${name}y`), names.join(''), names.join(' '), '<bos', '<<bos>>', '<bo<bos>s>', '< bos>'];
};

/** As text can come back at all. */
const wellFormed = (text: string): string => text.replaceAll(/\p{Surrogate}/gu, '\uFFFD');

describe.each([
  ['byte-level', tinyDir],
  ['byte fallback', fixtureDir],
])('%s', (_, dir) => {
  let native: Tokenizer;
  let js: Tokenizer;
  beforeAll(async () => {
    native = await openTokenizer(dir, 'native');
    js = await openTokenizer(dir, 'js');
    expect([native.backend, js.backend]).toEqual(['native', 'js']);
  });

  it.each(Object.entries(awkward))('%s: same ids in both backends, and the text comes back', async (_, text) => {
    const ids = await native.encodeText(text);
    expect(await js.encodeText(text)).toEqual(ids);
    expect(await native.decode(ids)).toBe(wellFormed(text));
    // The JavaScript backend loses byte order marks that are spelled in bytes; see its TextDecoder.
    const expected = dir === fixtureDir ? wellFormed(text).replaceAll('\uFEFF', '') : wellFormed(text);
    expect(await js.decode(ids)).toBe(expected);
  });

  it('gives the same ids in both backends for random mixtures of awkward characters', async () => {
    const random = randomizer(17);
    const alphabet = [...`aB1 9.'s"\n\t\r<>`, '  ', 'the', "'ll", '²', '½', 'Ⅷ', '٣', '\u0085', '\uFEFF', '\u00A0', '\u200B', '\u3000', 'é', 'e\u0301', '字', '😀', '_', '\0', '\uFFFD'];
    for (let i = 0; i < 400; i++) {
      const text = Array.from({ length: 25 }, () => alphabet[Math.floor(((random() + 1) / 2) * alphabet.length)]).join('');
      const ids = await native.encodeText(text);
      expect(await js.encodeText(text), JSON.stringify(text)).toEqual(ids);
      expect(await native.decode(ids)).toBe(text);
    }
  });

  it('never makes control tokens of text that spells them', async () => {
    expect(native.controls.size).toBeGreaterThan(4);
    expect([...js.controls]).toEqual([...native.controls]);
    const control = new Set(native.controls.values());
    for (const text of spellings(native.controls.keys())) {
      const ids = await native.encodeText(text);
      expect(ids.some((id) => control.has(id)), text).toBe(false);
      expect(await native.decode(ids)).toBe(text);
      expect(await js.encodeText(text)).toEqual(ids);
    }
  });

  it('knows control tokens by name alone', async () => {
    expect(native.controlId('<bos>')).toBe(2);
    expect(native.findControlId('<nothing>')).toBeUndefined();
    expect(() => native.controlId('<nothing>')).toThrow('has no control token <nothing>');
    const text = await native.encodeText('one two');
    expect(await native.decode([2, ...text, 1, 0])).toBe('one two');
  });

  it('streams any text: whole characters only, and together what decode gives', async () => {
    const texts = [...Object.values(awkward), '\uFFFD\uFFFD\uFFFD😀\uFFFD', ...spellings(native.controls.keys())];
    const random = randomizer(3);
    const alphabet = [...'aé€😀\uFFFD \n字', '<bos>', '\u{10FFFF}'];
    for (let i = 0; i < 40; i++) {
      texts.push(Array.from({ length: 12 }, () => alphabet[Math.floor(((random() + 1) / 2) * alphabet.length)]).join(''));
    }
    for (const text of texts) {
      const ids = await native.encodeText(text);
      const pieces = await stream(native, ids);
      expect(pieces.join('')).toBe(await native.decode(ids));
      for (const piece of pieces) {
        expect(piece).toBe(wellFormed(piece));
        if (!wellFormed(text).includes('\uFFFD')) expect(piece).not.toContain('\uFFFD');
      }
    }
  });

  it('streams with control tokens in between, which show nothing', async () => {
    const ids = (await native.encodeText('né😀')).flatMap((id) => [2, id, 1]);
    expect((await stream(native, ids)).join('')).toBe('né😀');
  });

  it('streams bytes that are no UTF-8 without a half character or an endless wait', async () => {
    const bytes = await Promise.all(['\u0080', '\u00FF', '😀', '\u0800'].map((text) => native.encodeText(text)));
    const random = randomizer(9);
    const pool = bytes.flat();
    const ids = Array.from({ length: 300 }, () => pool[Math.floor(((random() + 1) / 2) * pool.length)]!);
    const decoder = native.decodeStream();
    let silent = 0;
    for (const id of ids) {
      const piece = await decoder.push(id);
      expect(piece).toBe(wellFormed(piece));
      silent = piece === '' ? silent + 1 : 0;
      expect(silent).toBeLessThan(34);
    }
    expect(await decoder.flush()).toMatch(/^.{0,33}$/u);
    expect(await decoder.flush()).toBe('');
  });

  it('shows the beginning of a character that never ends, at the end', async () => {
    const [first] = await native.encodeText('\u{10FFFF}');
    const decoder = native.decodeStream();
    expect(await decoder.push(first!)).toBe('');
    expect(await decoder.flush()).toBe('\uFFFD');
  });
});

async function stream(tokenizer: Tokenizer, ids: readonly number[]): Promise<string[]> {
  const decoder = tokenizer.decodeStream();
  const pieces: string[] = [];
  for (const id of ids) pieces.push(await decoder.push(id));
  return [...pieces, await decoder.flush()];
}

it('a character completed after it had to be shown does not come out by half', async () => {
  const tokenizer = await openTokenizer(tinyDir);
  const [lead, ...rest] = await tokenizer.encodeText('\u{10FFFF}');
  expect(rest).toHaveLength(3);
  const decoder = tokenizer.decodeStream();
  const junk = Array.from({ length: 32 }, () => rest[0]!);
  let text = '';
  for (const id of [...junk, lead!, ...rest]) text += await decoder.push(id);
  text += await decoder.flush();
  expect(text).toMatch(/^\uFFFD+$/u);
});

it('half a surrogate pair is U+FFFD in both backends, also where that has a token', async () => {
  const vocab = { '\uFFFD': 0, a: 1, '<0xEF>': 2, '<0xBF>': 3, '<0xBD>': 4 };
  const json = {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab, merges: [], byte_fallback: true },
  };
  await withTempDir(async (dir) => {
    writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
    for (const backend of ['native', 'js'] as const) {
      const tokenizer = await openTokenizer(dir, backend);
      expect(await tokenizer.encodeText('a\uD83Da\uDE00'), backend).toEqual([1, 0, 1, 0]);
    }
  });
});

describe('a normaliser that makes control tokens out of other text', () => {
  /** Each character is a token; "[" becomes "<" before tokens are looked for, so "[x>" spells a control token. */
  const json = {
    version: '1.0',
    added_tokens: [{ id: 0, content: '<x>', single_word: false, lstrip: false, rstrip: false, normalized: true, special: true }],
    normalizer: { type: 'Replace', pattern: { String: '[' }, content: '<' },
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab: { '<x>': 0, '<': 1, x: 2, '>': 3 }, merges: [] },
  };
  it('does not get past encodeText', async () => {
    await withTempDir(async (dir) => {
      writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json));
      const tokenizer = await openTokenizer(dir, 'native');
      expect(await tokenizer.encodeText('x[x>x<x>')).toEqual([2, 1, 2, 3, 2, 1, 2, 3]);
    });
  });
});

describe('tokenizer.json is refused', () => {
  it.each<[string, string, RegExp]>([
    ['that is not JSON', '{', /tokenizer\.json: is not JSON/],
    ['that is null', 'null', /has no "model"/],
    ['without a model', '{}', /has no "model"/],
    ['with a model of an unknown kind', '{"model":{"type":"Abacus"},"added_tokens":[]}', /is not a tokenizer/],
    ['with added tokens that are no list', '{"model":{},"added_tokens":3}', /"added_tokens" is not a list/],
    ['with an added token without id', '{"model":{},"added_tokens":[{"content":"<x>"}]}', /has no content or id/],
    ['with an empty added token', '{"model":{},"added_tokens":[{"content":"","id":3}]}', /has no content or id/],
  ])('%s', async (_, text, message) => {
    await withTempDir(async (dir) => {
      await expect(openTokenizer(dir)).rejects.toThrow(/no tokenizer\.json/);
      writeFileSync(join(dir, 'tokenizer.json'), text);
      for (const backend of ['native', 'js'] as const) {
        const error: unknown = await openTokenizer(dir, backend).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(LodestoneError);
        expect(error).toMatchObject({ exitCode: ExitCode.badModel });
        expect((error as Error).message).toMatch(message);
        expect((error as Error).message).not.toContain('\n');
      }
    });
  });
});
