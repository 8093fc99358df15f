/** Gemma's own tokenizer and chat template, against what Google's and transformers' code makes of texts (fixtures/gemma3-tokenizer). */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeChat, type ChatMessage } from '../../src/encode/chat.js';
import { ggufVocabulary } from '../../src/encode/gguf-vocabulary.js';
import { openGgufTokenizer } from '../../src/encode/gguf-tokenizer.js';
import { openTokenizer, type Tokenizer } from '../../src/encode/tokenizer.js';
import { gemmaImageTokens } from '../../src/gemma/vision-config.js';
import { fixture } from '../ingest/support.js';

interface TextVector {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded: string;
}
interface ChatVector {
  readonly name: string;
  readonly messages: readonly ChatMessage[];
  readonly add_generation_prompt: boolean;
  /** [id, how often] */
  readonly ids_rle_after_image_expansion: readonly (readonly [number, number])[];
}
const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
const texts = read(fixture('gemma3-tokenizer', 'tokenizer_vectors.json')) as TextVector[];
const chats = read(fixture('gemma3-tokenizer', 'chat_vectors.json')) as ChatVector[];

/** Gemma's tokenizer is not in this repository. */
const path = process.env['LODESTONE_GEMMA_TOKENIZER'];
if (!path) console.warn("SKIPPED: set LODESTONE_GEMMA_TOKENIZER to Gemma 3's tokenizer.json to test its vocabulary and chat template to the letter");

describe.skipIf(!path).each(['native', 'js', 'GGUF'] as const)("Gemma's vocabulary, %s", (kind) => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    if (kind !== 'GGUF') {
      tokenizer = await openTokenizer(dirname(path!), kind);
      return;
    }
    const { tokens, types } = ggufVocabulary(read(path!), 262_144, (what) => {
      throw new Error(what);
    });
    tokenizer = openGgufTokenizer({ path: 'x.gguf', metadata: new Map<string, string | readonly string[] | Int32Array>([['tokenizer.ggml.model', 'llama'], ['tokenizer.ggml.tokens', [...tokens]], ['tokenizer.ggml.token_type', types]]) }, 262_144);
  }, 60_000);

  it('gives the ids of 113 texts, and the texts back', async () => {
    expect(texts).toHaveLength(113);
    // The vectors take the spelling of a control token for the token; we never do.
    for (const { text, ids, decoded } of texts.filter((vector) => !forged.includes(vector))) {
      expect(await tokenizer.encodeText(text), JSON.stringify(text)).toEqual(ids);
      expect(await tokenizer.decode(ids)).toBe(decoded);
    }
    expect(forged.length).toBeLessThan(12);
  });

  it('makes no control token of a text that spells one', async () => {
    for (const { text } of forged) {
      const ids = await tokenizer.encodeText(text);
      expect(ids.filter((id) => [...tokenizer.controls.values()].includes(id))).toEqual([]);
      expect(await tokenizer.decode(ids)).toBe(text);
    }
  });

  it.each(chats)('writes the conversation $name', async ({ messages, add_generation_prompt: reply, ids_rle_after_image_expansion: runs }) => {
    const ids = await encodeChat(messages, tokenizer, reply, { tokens: gemmaImageTokens, tokensPerImage: 256 });
    expect([...ids]).toEqual(runs.flatMap(([id, count]) => Array.from({ length: count }, () => id)));
  });
});

const controls = ['<pad>', '<eos>', '<bos>', '<unk>', '<start_of_turn>', '<end_of_turn>', '<start_of_image>', '<end_of_image>', '<image_soft_token>'];
const forged = texts.filter(({ text }) => controls.some((name) => text.includes(name)));
