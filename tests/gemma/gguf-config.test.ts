/** GGUF metadata -> config: the published sizes, two writers' spellings, and what is refused by name. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import type { GemmaConfig } from '../../src/gemma/config.js';
import { parseGgufConfig } from '../../src/gemma/gguf-config.js';
import { locateGgufWeights } from '../../src/gemma/weights.js';
import { openConfig } from '../../src/runtime/model.js';
import { openGguf, type Gguf, type GgufValue } from '../../src/weights/gguf.js';
import { fixtureDir } from '../runtime/fixture.js';

type Values = Readonly<Record<string, GgufValue | undefined>>;

const tokens = ['<pad>', '<eos>', '<bos>', '<unk>', 'a', '<end_of_turn>'];
/** Gemma 3 4B as llama.cpp's converter writes it. */
const gemma4b: Values = {
  'general.architecture': 'gemma3',
  'gemma3.context_length': 131_072,
  'gemma3.embedding_length': 2560,
  'gemma3.block_count': 34,
  'gemma3.feed_forward_length': 10_240,
  'gemma3.attention.head_count': 8,
  'gemma3.attention.head_count_kv': 4,
  'gemma3.attention.key_length': 256,
  'gemma3.attention.value_length': 256,
  'gemma3.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  'gemma3.attention.sliding_window': 1024,
  'gemma3.rope.freq_base': 1e6,
  'gemma3.rope.scaling.type': 'linear',
  'gemma3.rope.scaling.factor': 8,
  'tokenizer.ggml.tokens': tokens,
  'tokenizer.ggml.eos_token_id': 1,
};

function parse(values: Values, rows = tokens.length): GemmaConfig {
  const metadata = new Map(Object.entries(values).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined));
  const embedding = { name: 'token_embd.weight', dtype: 'F16', shape: [rows, 2560], path: 'x.gguf', offset: 0, bytes: 0 };
  return parseGgufConfig({ path: 'x.gguf', files: ['x.gguf'], metadata, tensors: new Map([['token_embd.weight', embedding]]) });
}

const kinds = (config: GemmaConfig): string => config.layers.map(({ kind }) => (kind === 'global' ? 'G' : 'l')).join('');

it('4B as llama.cpp writes it', () => {
  const { layers, ...config } = parse(gemma4b);
  expect(config).toEqual({
    hiddenSize: 2560,
    intermediateSize: 10_240,
    heads: 8,
    kvHeads: 4,
    headDim: 256,
    scale: 1 / 16,
    window: 1024,
    ropeLocalBase: 1e4,
    ropeGlobal: { base: 1e6, factor: 8 },
    globalLogScale: false,
    looksBothWays: false,
    vocabSize: 6,
    vision: null,
    eps: Math.fround(1e-6),
    maxPositions: 131_072,
    embedScale: Math.sqrt(2560),
    isGemma: true,
    eosIds: [1, 5],
    prompt: 'gemma-chat',
  });
  expect(kinds({ ...config, layers })).toBe('lllllGlllllGlllllGlllllGlllllGllll');
});

it('27B has a scale of its own, known by its 62 layers', () => {
  const config = parse({ ...gemma4b, 'gemma3.embedding_length': 5376, 'gemma3.block_count': 62, 'gemma3.attention.head_count': 32, 'gemma3.attention.head_count_kv': 16, 'gemma3.attention.key_length': 128, 'gemma3.attention.value_length': 128 });
  expect(config.scale).toBe(168 ** -0.5);
  expect(kinds(config).slice(-4)).toBe('lGll');
});

it('a model as Ollama writes it: flags per layer, keys of its own, and no RoPE factor', () => {
  const { 'gemma3.rope.scaling.type': _, 'gemma3.rope.scaling.factor': __, ...rest } = gemma4b;
  const flags = Array.from({ length: 34 }, (___, i) => (i + 1) % 6 !== 0);
  const ollama = { ...rest, 'gemma3.attention.sliding_window_pattern': flags, 'gemma3.rope.local.freq_base': 2e4, 'gemma3.vision.block_count': 27 };
  const config = parse(ollama);
  expect(kinds(config)).toBe(kinds(parse(gemma4b)));
  expect([config.ropeLocalBase, config.ropeGlobal?.factor]).toEqual([2e4, 8]);
  expect(parse({ ...ollama, 'gemma3.vision.block_count': undefined }).ropeGlobal?.factor).toBe(1);
});

it('other spellings: a period, the newer local base, an old RoPE factor, no window', () => {
  expect(kinds(parse({ ...gemma4b, 'gemma3.block_count': 5, 'gemma3.attention.sliding_window_pattern': 2 }))).toBe('lGlGl');
  expect(parse({ ...gemma4b, 'gemma3.rope.freq_base_swa': 3e4 }).ropeLocalBase).toBe(3e4);
  expect(parse({ ...gemma4b, 'gemma3.rope.scaling.type': undefined, 'gemma3.rope.scale_linear': 4 }).ropeGlobal?.factor).toBe(4);
  expect(parse({ ...gemma4b, 'gemma3.rope.scaling.type': 'none' }).ropeGlobal?.factor).toBe(1);
  const all = parse({ ...gemma4b, 'gemma3.block_count': 3, 'gemma3.attention.sliding_window': undefined });
  expect([kinds(all), all.window]).toEqual(['GGG', 131_072]);
});

it('defaults: as many KV heads as heads, heads of d / heads elements', () => {
  const config = parse({ ...gemma4b, 'gemma3.attention.head_count_kv': undefined, 'gemma3.attention.key_length': undefined, 'gemma3.attention.value_length': undefined });
  expect([config.kvHeads, config.headDim]).toEqual([8, 320]);
});

it('ids end where the image token begins', () => {
  const many = Array.from({ length: 262_208 }, (_, i) => (i === 1 ? '<eos>' : `t${i}`));
  expect(parse({ ...gemma4b, 'tokenizer.ggml.tokens': many }, 262_208).vocabSize).toBe(262_144);
  expect(parse({ ...gemma4b, 'tokenizer.ggml.tokens': many }, 262_144).vocabSize).toBe(262_144);
});

it.each<[Values, number[]]>([
  [{ 'tokenizer.ggml.eos_token_id': 5 }, [5, 1]],
  [{ 'tokenizer.ggml.eos_token_id': undefined }, [1, 5]],
  [{ 'tokenizer.ggml.eot_token_id': 4 }, [1, 4, 5]],
])('generation ends at what the file says and at what Gemma ends with: %j', (values, ids) => {
  expect(parse({ ...gemma4b, ...values }).eosIds).toEqual(ids);
});

describe('refused by name', () => {
  it.each<[Values, RegExp]>([
    [{ 'general.architecture': 'llama' }, /x\.gguf: general\.architecture is "llama"; only gemma3 is supported$/],
    [{ 'general.architecture': 'gemma3n' }, /is "gemma3n"/],
    [{ 'general.architecture': 'gemma-embedding' }, /is "gemma-embedding"/],
    [{ 'general.architecture': undefined }, /general\.architecture is missing/],
    [{ 'general.architecture': 'clip' }, /is the vision part of an image model \(mmproj\)/],
    [{ 'gemma3.block_count': undefined }, /the metadata lacks gemma3\.block_count/],
    [{ 'gemma3.block_count': 0 }, /gemma3\.block_count is 0, not a whole number from 1 to 4096/],
    [{ 'gemma3.block_count': 5000 }, /gemma3\.block_count is 5000/],
    [{ 'gemma3.block_count': Int32Array.of(1, 2) }, /gemma3\.block_count is a list of 2/],
    [{ 'gemma3.embedding_length': 2560.5 }, /gemma3\.embedding_length is 2560\.5/],
    [{ 'gemma3.embedding_length': '2560' }, /gemma3\.embedding_length is "2560"/],
    [{ 'gemma3.embedding_length': 2n ** 60n }, /gemma3\.embedding_length is 1152921504606846976/],
    [{ 'gemma3.attention.head_count_kv': 3 }, /8 query heads do not share 3 KV heads evenly/],
    [{ 'gemma3.attention.value_length': 128 }, /256 elements in keys and 128 in values/],
    [{ 'gemma3.attention.key_length': 255, 'gemma3.attention.value_length': 255 }, /heads of 255 elements can't be rotated/],
    [{ 'gemma3.attention.sliding_window': 0 }, /sliding_window is 0/],
    [{ 'gemma3.attention.sliding_window_pattern': 0 }, /sliding_window_pattern is 0, not a positive whole number/],
    [{ 'gemma3.attention.sliding_window_pattern': [true] }, /neither a period nor a list of 34 flags/],
    [{ 'gemma3.attention.sliding_window_pattern': 'all' }, /neither a period nor a list/],
    [{ 'gemma3.rope.scaling.type': 'yarn' }, /rope\.scaling\.type is "yarn", not one of Gemma 3's/],
    [{ 'gemma3.rope.freq_base': -1 }, /rope\.freq_base is -1, not a positive number/],
    [{ 'gemma3.rope.freq_base': Number.NaN }, /rope\.freq_base is null, not a positive number/],
    [{ 'gemma3.final_logit_softcapping': 30 }, /final_logit_softcapping is 30, which Gemma 3 does not have/],
    [{ 'gemma3.attn_logit_softcapping': 50 }, /is this Gemma 2\?/],
    [{ 'tokenizer.ggml.tokens': undefined }, /no list tokenizer\.ggml\.tokens/],
    [{ 'tokenizer.ggml.tokens': [] }, /tokenizer\.ggml\.tokens is empty/],
    [{ 'tokenizer.ggml.tokens': [...tokens, 'b'] }, /token_embd\.weight has 6 rows, but the metadata has 7 tokens/],
    [{ 'tokenizer.ggml.eos_token_id': 6 }, /eos_token_id is 6, which is none of the 6 tokens/],
    [{ 'tokenizer.ggml.tokens': ['a', 'b'], 'tokenizer.ggml.eos_token_id': undefined }, /names no token that ends a text/],
  ])('%o', (values, message) => {
    let error: unknown = null;
    try {
      parse({ ...gemma4b, ...values });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(LodestoneError);
    expect((error as LodestoneError).exitCode).toBe(ExitCode.badModel);
    expect((error as LodestoneError).message).toMatch(message);
  });
});

it('the fixture has the config of its safetensors twin, but for the scale, which GGUF can\'t say', async () => {
  const gguf = parseGgufConfig(await openGguf(join(fixtureDir, 'bf16.gguf')));
  const twin = await openConfig(fixtureDir);
  expect(twin.scale).toBe(24 ** -0.5);
  // The names of the fixture's tokens are stand-ins; <end_of_turn> is its token 6.
  expect(gguf).toEqual({ ...twin, scale: 32 ** -0.5, eps: Math.fround(1e-6), eosIds: [1, 6] });
});

describe('tensors', () => {
  const locate = async (change: (tensors: Map<string, Gguf['tensors'] extends ReadonlyMap<string, infer T> ? T : never>) => void): Promise<unknown> => {
    const gguf = await openGguf(join(fixtureDir, 'q8_0.gguf'));
    const tensors = new Map(gguf.tensors);
    change(tensors);
    return locateGgufWeights({ ...gguf, tensors }, parseGgufConfig(gguf));
  };

  it('have norm gains with the 1 in them, and an embedding that is not scaled beyond sqrt(d)', async () => {
    const places = (await locate(() => undefined)) as ReturnType<typeof locateGgufWeights>;
    expect(places.layers.flatMap(({ inputNorm, qNorm, kNorm, postAttentionNorm, preFeedforwardNorm, postFeedforwardNorm }) => [inputNorm, qNorm, kNorm, postAttentionNorm, preFeedforwardNorm, postFeedforwardNorm]).map(({ add }) => add)).toEqual(Array.from({ length: 48 }, () => 0));
    expect(places.finalNorm.add).toBe(0);
    expect(places.head).toBeNull();
    expect(places.layers[3]!.preFeedforwardNorm.entry.name).toBe('blk.3.ffn_norm.weight');
  });

  it('that are missing, too many, or of another shape or type are named', async () => {
    await expect(locate((tensors) => tensors.delete('token_embd.weight'))).rejects.toThrow(/no tensor token_embd\.weight/);
    await expect(locate((tensors) => tensors.delete('blk.2.attn_q_norm.weight'))).rejects.toThrow(/1 tensors are missing: blk\.2\.attn_q_norm\.weight$/);
    await expect(locate((tensors) => tensors.set('blk.8.attn_norm.weight', tensors.get('blk.7.attn_norm.weight')!))).rejects.toThrow(/has more layers than the 8 of the metadata/);
    await expect(locate((tensors) => tensors.set('blk.0.ffn_up.weight', tensors.get('blk.0.ffn_down.weight')!))).rejects.toThrow(/blk\.0\.ffn_down\.weight is \[64, 96\], but the metadata makes it \[96, 64\]/);
    await expect(locate((tensors) => tensors.set('blk.0.attn_q.weight', { ...tensors.get('blk.0.attn_q.weight')!, dtype: 'IQ4_NL' }))).rejects.toThrow(/blk\.0\.attn_q\.weight is IQ4_NL; matrices must be F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K/);
  });
});
