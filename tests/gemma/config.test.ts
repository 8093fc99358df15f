/** Published configs, as sparse as they are, and every refusal. */
import { describe, expect, it } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { embedScale, parseConfig, type GemmaConfig } from '../../src/gemma/config.js';
import { randomizer } from '../device/cases.js';

type Json = Record<string, unknown>;
const parse = (json: unknown, generation?: unknown): GemmaConfig => parseConfig(json, 'm/config.json', generation);

/** Written out from the published files: text-only models in full, image models with what differs from the defaults. */
const files: Record<string, Json> = {
  '270m': {
    architectures: ['Gemma3ForCausalLM'],
    model_type: 'gemma3_text',
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
    attention_bias: false,
    vocab_size: 262144,
    hidden_size: 640,
    intermediate_size: 2048,
    num_hidden_layers: 18,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 256,
    sliding_window: 512,
    max_position_embeddings: 32768,
    query_pre_attn_scalar: 256,
    rope_theta: 1000000,
    rope_local_base_freq: 10000,
    rope_scaling: null,
    _sliding_window_pattern: 6,
    layer_types: Array.from({ length: 18 }, (_, i) => ([5, 11, 17].includes(i) ? 'full_attention' : 'sliding_attention')),
    use_bidirectional_attention: false,
  },
  '1b': {
    model_type: 'gemma3_text',
    vocab_size: 262144,
    hidden_size: 1152,
    intermediate_size: 6912,
    num_hidden_layers: 26,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 256,
    sliding_window: 512,
    sliding_window_pattern: 6,
    max_position_embeddings: 32768,
    rope_theta: 1000000,
    rope_local_base_freq: 10000,
    eos_token_id: [1, 106],
  },
  '4b': {
    model_type: 'gemma3',
    eos_token_id: [1, 106],
    image_token_index: 262144,
    vision_config: { hidden_size: 1152 },
    text_config: {
      model_type: 'gemma3_text',
      hidden_size: 2560,
      intermediate_size: 10240,
      num_hidden_layers: 34,
      rope_scaling: { factor: 8.0, rope_type: 'linear' },
      sliding_window: 1024,
    },
  },
  '12b': {
    model_type: 'gemma3',
    eos_token_id: [1, 106],
    text_config: {
      model_type: 'gemma3_text',
      hidden_size: 3840,
      intermediate_size: 15360,
      num_attention_heads: 16,
      num_hidden_layers: 48,
      num_key_value_heads: 8,
      rope_scaling: { factor: 8.0, rope_type: 'linear' },
      sliding_window: 1024,
    },
  },
  '27b': {
    model_type: 'gemma3',
    eos_token_id: [1, 106],
    text_config: {
      model_type: 'gemma3_text',
      hidden_size: 5376,
      intermediate_size: 21504,
      num_hidden_layers: 62,
      num_attention_heads: 32,
      num_key_value_heads: 16,
      head_dim: 128,
      query_pre_attn_scalar: 168,
      rope_scaling: { factor: 8.0, rope_type: 'linear' },
      sliding_window: 1024,
    },
  },
};

/** [width, MLP, layers, heads, KV heads, head size, scale, window, global layers, RoPE factor, positions, stop ids] */
type Row = [number, number, number, number, number, number, number, number, number[], number, number, number[]];
const table: Record<string, Row> = {
  '270m': [640, 2048, 18, 4, 1, 256, 1 / 16, 512, [5, 11, 17], 1, 32768, [1]],
  '1b': [1152, 6912, 26, 4, 1, 256, 1 / 16, 512, [5, 11, 17, 23], 1, 32768, [1, 106]],
  '4b': [2560, 10240, 34, 8, 4, 256, 1 / 16, 1024, [5, 11, 17, 23, 29], 8, 131072, [1, 106]],
  '12b': [3840, 15360, 48, 16, 8, 256, 1 / 16, 1024, [5, 11, 17, 23, 29, 35, 41, 47], 8, 131072, [1, 106]],
  '27b': [5376, 21504, 62, 32, 16, 128, 1 / Math.sqrt(168), 1024, [5, 11, 17, 23, 29, 35, 41, 47, 53, 59], 8, 131072, [1, 106]],
};

describe('the published configs', () => {
  it.each(Object.entries(table))('%s', (size, row) => {
    const [hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, scale, window, globals, factor, maxPositions, eosIds] = row;
    const config = parse(files[size]);
    expect(config).toMatchObject({ hiddenSize, intermediateSize, heads, kvHeads, headDim, window, maxPositions, eosIds });
    expect(config.scale).toBeCloseTo(scale, 15);
    expect(config.layers).toHaveLength(layers);
    expect([...config.layers.keys()].filter((l) => config.layers[l]!.kind === 'global')).toEqual(globals);
    // The 64 extra rows of image models are no tokens of text.
    expect(config).toMatchObject({ vocabSize: 262144, eps: 1e-6, ropeLocalBase: 1e4, ropeGlobal: { base: 1e6, factor } });
    expect(config).toMatchObject({ isGemma: true, globalLogScale: false, prompt: 'gemma-chat' });
  });

  it('scale embeddings by sqrt(d), rounded to bf16 where the checkpoint is', () => {
    const rounded = { '270m': 25.25, '1b': 34, '4b': 50.5, '12b': 62, '27b': 73.5 };
    for (const [size, scale] of Object.entries(rounded)) {
      const config = parse(files[size]);
      expect(embedScale(config, 'BF16')).toBe(scale);
      expect(embedScale(config, 'F32')).toBe(Math.sqrt(config.hiddenSize));
    }
    expect(embedScale(parse({ ...files['1b'], lodestone: {} }), 'BF16')).toBe(Math.sqrt(1152));
  });

  it('take stop ids from generation_config.json first', () => {
    expect(parse(files['270m'], { eos_token_id: [1, 106] }).eosIds).toEqual([1, 106]);
    expect(parse(files['1b'], { eos_token_id: 7 }).eosIds).toEqual([7]);
    expect(parse(files['1b'], {}).eosIds).toEqual([1, 106]);
    expect(parse({ model_type: 'gemma3_text' }).eosIds).toEqual([1]);
  });

  it('have the class defaults where they say nothing', () => {
    const config = parse({ model_type: 'gemma3_text' });
    expect(config).toMatchObject({ hiddenSize: 2304, intermediateSize: 9216, heads: 8, kvHeads: 4, headDim: 256, window: 4096 });
    expect(config).toMatchObject({ vocabSize: 262208, maxPositions: 131072, scale: 1 / 16, ropeGlobal: { base: 1e6, factor: 1 } });
    expect(config.layers).toHaveLength(26);
  });
});

describe('spellings', () => {
  const base = { model_type: 'gemma3_text', num_hidden_layers: 5 };
  const kinds = (json: Json): string => parse({ ...base, ...json }).layers.map(({ kind }) => kind[0]).join('');

  it('of the layer pattern: a list, or a number under either name', () => {
    expect(kinds({})).toBe('lllll');
    expect(kinds({ sliding_window_pattern: 2 })).toBe('lglgl');
    expect(kinds({ _sliding_window_pattern: 3 })).toBe('llgll');
    expect(kinds({ sliding_window_pattern: 1 })).toBe('ggggg');
    const layer_types = ['full_attention', 'sliding_attention', 'sliding_attention', 'full_attention', 'sliding_attention'];
    expect(kinds({ layer_types, sliding_window_pattern: 2 })).toBe('gllgl');
  });

  it('of RoPE: transformers 4 and 5, with the older "type"', () => {
    const five = {
      full_attention: { rope_type: 'linear', rope_theta: 2e6, factor: 4 },
      sliding_attention: { rope_type: 'default', rope_theta: 2e4 },
    };
    const expected = { ropeLocalBase: 2e4, ropeGlobal: { base: 2e6, factor: 4 } };
    expect(parse({ ...base, rope_parameters: five })).toMatchObject(expected);
    const four = { rope_theta: 2e6, rope_local_base_freq: 2e4 };
    expect(parse({ ...base, ...four, rope_scaling: { rope_type: 'linear', factor: 4 } })).toMatchObject(expected);
    expect(parse({ ...base, ...four, rope_scaling: { type: 'linear', factor: 4 } })).toMatchObject(expected);
    expect(parse({ ...base, ...four, rope_scaling: { rope_type: 'default' } }).ropeGlobal).toEqual({ base: 2e6, factor: 1 });
  });

  it('of the lodestone switches', () => {
    const lodestone = { global_rope: 'none', global_logit_scale: 'log_n', prompt: 'qa' };
    expect(parse({ ...base, lodestone })).toMatchObject({ ropeGlobal: null, globalLogScale: true, prompt: 'qa', isGemma: false });
    expect(parse({ ...base, lodestone: {} })).toMatchObject({ ropeGlobal: { factor: 1 }, globalLogScale: false, prompt: 'qa' });
    expect(parse({ ...base, lodestone: { prompt: 'gemma-chat' } }).prompt).toBe('gemma-chat');
  });

  it('of the first id that is no text', () => {
    expect(parse({ ...files['4b'], image_token_index: 1000 }).vocabSize).toBe(1000);
    expect(parse({ model_type: 'gemma3', image_token_id: 2000, text_config: {} }).vocabSize).toBe(2000);
  });
});

describe('a config is refused', () => {
  const four = files['4b']!;
  it.each<[string, unknown, RegExp]>([
    ['that is a list', [], /is not a JSON object/],
    ['that is null', null, /is not a JSON object/],
    ['without a model type', {}, /model_type is missing/],
    ['of Gemma 2', { model_type: 'gemma2' }, /model_type is "gemma2"; only Gemma 3/],
    ['of Gemma 3n', { model_type: 'gemma3n' }, /model_type is "gemma3n"/],
    ['of an image model without a text model', { model_type: 'gemma3' }, /there is no text_config/],
    ['of an image model around another text model', { model_type: 'gemma3', text_config: { model_type: 'llama' } }, /text_config.model_type is "llama"/],
    ['with attention softcapping', { ...four, text_config: { attn_logit_softcapping: 50 } }, /attn_logit_softcapping is set/],
    ['with logit softcapping', { model_type: 'gemma3_text', final_logit_softcapping: 30 }, /final_logit_softcapping is set/],
    ['of an embedding model', { model_type: 'gemma3_text', use_bidirectional_attention: true }, /EmbeddingGemma/],
    ['with biases', { model_type: 'gemma3_text', attention_bias: true }, /attention_bias is set/],
    ['with another activation', { model_type: 'gemma3_text', hidden_activation: 'gelu' }, /hidden_activation is "gelu"/],
    ['with a width of 0', { model_type: 'gemma3_text', hidden_size: 0 }, /hidden_size is 0, not a whole number from 1/],
    ['with a fractional width', { model_type: 'gemma3_text', hidden_size: 2.5 }, /hidden_size is 2.5/],
    ['with a width in words', { model_type: 'gemma3_text', hidden_size: '640' }, /hidden_size is "640"/],
    ['with a width beyond reason', { model_type: 'gemma3_text', hidden_size: 2 ** 40 }, /hidden_size is 1099511627776/],
    ['with a million layers', { model_type: 'gemma3_text', num_hidden_layers: 1_000_000 }, /num_hidden_layers is 1000000/],
    ['with heads that do not share evenly', { model_type: 'gemma3_text', num_key_value_heads: 3 }, /num_attention_heads 8 is not a multiple of num_key_value_heads 3/],
    ['with an odd head', { model_type: 'gemma3_text', head_dim: 127 }, /head_dim 127 is odd/],
    ['with a window of 0', { model_type: 'gemma3_text', sliding_window: 0 }, /sliding_window is 0/],
    ['with a negative scale', { model_type: 'gemma3_text', query_pre_attn_scalar: -1 }, /query_pre_attn_scalar is -1, not a positive number/],
    ['with a negative eps', { model_type: 'gemma3_text', rms_norm_eps: -1e-6 }, /rms_norm_eps/],
    ['with too few layer types', { model_type: 'gemma3_text', layer_types: ['full_attention'] }, /layer_types is not a list of 26 layers/],
    ['with a layer type of its own', { model_type: 'gemma3_text', num_hidden_layers: 1, layer_types: ['chunked_attention'] }, /layer_types\[0\] is "chunked_attention"/],
    ['with a layer pattern of 0', { model_type: 'gemma3_text', sliding_window_pattern: 0 }, /sliding_window_pattern is 0/],
    ['with YaRN', { model_type: 'gemma3_text', rope_scaling: { rope_type: 'yarn', factor: 8 } }, /rope_scaling: RoPE scaling "yarn"/],
    ['with linear scaling by nothing', { model_type: 'gemma3_text', rope_scaling: { rope_type: 'linear' } }, /rope_scaling.factor is missing/],
    ['with scaling in words', { model_type: 'gemma3_text', rope_scaling: 'linear' }, /rope_scaling is not an object/],
    ['with half of the RoPE parameters', { model_type: 'gemma3_text', rope_parameters: { full_attention: {} } }, /lacks full_attention or sliding_attention/],
    ['with scaled local layers', { model_type: 'gemma3_text', rope_parameters: { full_attention: {}, sliding_attention: { rope_type: 'linear', factor: 8 } } }, /sliding_attention is scaled/],
    ['with a RoPE base of 0', { model_type: 'gemma3_text', rope_theta: 0 }, /rope_theta is 0/],
    ['with an unknown switch value', { model_type: 'gemma3_text', lodestone: { global_rope: 'some' } }, /lodestone.global_rope is "some", not gemma or none/],
    ['with a lodestone section that is no object', { model_type: 'gemma3_text', lodestone: 1 }, /lodestone is not an object/],
    ['with a stop id in words', { model_type: 'gemma3_text', eos_token_id: '<eos>' }, /eos_token_id is "<eos>"/],
    ['with an image token of -1', { ...four, image_token_index: -1 }, /image_token_index is -1/],
  ])('%s', (_, json, message) => {
    let error: unknown;
    try {
      parse(json);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(LodestoneError);
    expect(error).toMatchObject({ exitCode: ExitCode.badModel });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toMatch(/^m\/config\.json: [^\n]+$/);
  });
});

it('2000 configs with random damage are refused with one line, or give whole numbers in range', () => {
  const random = randomizer(21);
  const below = (n: number): number => Math.floor(((random() + 1) / 2) * n);
  const odd: unknown[] = [null, 0, -1, 1, 0.5, 1e300, Number.NaN, 7, 12, '', 'x\n', true, false, [], [1], {}, { rope_type: 'linear', factor: 2 }, 'gemma3_text', 262144];
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    const json = structuredClone(Object.values(files)[below(5)]!);
    const text = (json['text_config'] as Json | undefined) ?? json;
    for (let count = below(3); count >= 0; count--) {
      const target = below(3) === 0 ? json : text;
      const keys = [...Object.keys(target), 'layer_types', 'rope_parameters', 'rope_theta', 'head_dim', 'lodestone', 'eos_token_id', 'vocab_size'];
      target[keys[below(keys.length)]!] = odd[below(odd.length)];
    }
    try {
      const { hiddenSize, headDim, heads, kvHeads, window, layers, scale, vocabSize } = parse(json);
      for (const size of [hiddenSize, headDim, heads, kvHeads, window, layers.length, vocabSize]) {
        expect(Number.isSafeInteger(size) && size > 0, JSON.stringify(json)).toBe(true);
      }
      expect(heads % kvHeads + (headDim % 2)).toBe(0);
      expect(scale > 0 && scale < Infinity, JSON.stringify(json)).toBe(true);
    } catch (error) {
      if (!(error instanceof LodestoneError)) throw error;
      refused++;
      expect(error.exitCode).toBe(ExitCode.badModel);
      expect(error.message).not.toMatch(/[\n\r]/);
    }
  }
  expect(refused).toBeGreaterThan(500);
  expect(refused).toBeLessThan(1800);
});

it('takes as many positions as the config says, beyond a million too', () => {
  expect(parse({ ...files['1b'], max_position_embeddings: 16_777_216 }).maxPositions).toBe(16_777_216);
});

describe('the vision tower', () => {
  const image = (vision: Json, more: Json = {}): unknown => ({ model_type: 'gemma3', text_config: {}, vision_config: vision, ...more });

  it('is So400m/14 at 896 pixels where the config says nothing else', () => {
    expect(parse(image({})).vision).toEqual({
      hiddenSize: 1152,
      intermediateSize: 4304,
      layers: 27,
      heads: 16,
      headDim: 72,
      imageSize: 896,
      patchSize: 14,
      side: 64,
      poolSize: 4,
      tokensPerImage: 256,
      eps: 1e-6,
      tokens: { start: 255999, end: 256000, soft: 262144 },
    });
  });

  it('is none in a text model, and in an image model without one', () => {
    expect(parse(files['270m']).vision).toBeNull();
    expect(parse({ model_type: 'gemma3', text_config: {} }).vision).toBeNull();
  });

  it.each([
    ['of which heads take no even part', image({ num_attention_heads: 7 }), /width of 1152 is not a multiple of its 7 heads/],
    ['of broken patches', image({ patch_size: 15 }), /896 pixels are not cut evenly into patches of 15/],
    ['of broken pools', image({}, { mm_tokens_per_image: 255 }), /64 x 64 patches are not averaged evenly into 255 tokens/],
    ['with another activation', image({ hidden_act: 'gelu' }), /hidden_act is "gelu"/],
    ['of grey images', image({ num_channels: 1 }), /num_channels is 1, not 3/],
    ['without layers', image({ num_hidden_layers: 0 }), /num_hidden_layers is 0/],
    ['that is a list', image([] as unknown as Json), /vision_config is not an object/],
    ['of an eps of nothing', image({ layer_norm_eps: 0 }), /layer_norm_eps is 0/],
    ['with a start token of a half', image({}, { boi_token_index: 0.5 }), /boi_token_index is 0.5/],
  ])('is refused %s', (_, json, message) => {
    expect(() => parse(json)).toThrow(message);
  });
});
