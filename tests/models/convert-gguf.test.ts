/** Conversion to GGUF files: what they say, and that they give the logits of their source. */
import { readdirSync, readFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { ggufVocabulary, tokenTypes } from '../../src/encode/gguf-vocabulary.js';
import { openGgufTokenizer } from '../../src/encode/gguf-tokenizer.js';
import { ExitCode } from '../../src/errors.js';
import type { Quantize } from '../../src/gemma/weights.js';
import type { ConversionTarget } from '../../src/models/conversion-tensors.js';
import { convertModel } from '../../src/models/convert.js';
import { embeddedModelDir } from '../../src/paths.js';
import { Context } from '../../src/runtime/context.js';
import { openModel, openModelHeaders } from '../../src/runtime/model.js';
import { openGguf } from '../../src/weights/gguf.js';
import { readSafetensors, writeSafetensors, type TensorData } from '../weights/files.js';
import { someIds, withTempDir, workingDevices } from '../runtime/fixture.js';
import { tiny, tinyDir } from './stores.js';

const device: Device = await (await workingDevices()).at(-1)!.create();
afterAll(() => device.close());

const convert = (source: string, destination: string, to: ConversionTarget) =>
  convertModel({ path: source, store: null, name: source, id: 'tiny' }, destination, to, { signal: new AbortController().signal });

async function logits(model: string, quantize: Quantize = 'none'): Promise<{ quantization: string; values: Float32Array; scale: number }> {
  const opened = await openModel(model, device, { quantize });
  const context = new Context(opened, { chunk: 16 });
  const values = (await context.prefill(someIds(40))).slice();
  context.close();
  await opened.close();
  return { quantization: opened.quantization, values, scale: opened.weights.embedScale };
}

/**
 * The tiny model as people have models: safetensors in bf16 under an image model's names and with its extra rows, whose
 * tokenizer.json a GGUF file can say, and with the attention factor that GGUF implies.
 */
async function asPublished(dir: string): Promise<string> {
  await convert(tiny('bf16.gguf'), dir, 'bf16');
  const file = path.join(dir, 'model.safetensors');
  const tensors = Object.entries(readSafetensors(file)).map(([name, tensor]): [string, TensorData] => {
    if (name !== 'model.embed_tokens.weight') return [name.replace('model.', 'language_model.model.'), tensor];
    const bytes = new Uint8Array(tensor.bytes.length + 3 * 128).fill(99);
    bytes.set(tensor.bytes);
    return ['language_model.model.embed_tokens.weight', { ...tensor, shape: [tensor.shape[0]! + 3, 64], bytes }];
  });
  writeSafetensors(file, { ...Object.fromEntries(tensors), 'vision_tower.x': { dtype: 'F16', shape: [3, 5], bytes: new Uint8Array(30) } });
  const config = JSON.parse(readFileSync(path.join(dir, 'config.json'), 'utf8')) as Record<string, unknown>;
  delete config['lodestone'];
  writeFileSync(path.join(dir, 'config.json'), JSON.stringify(config));
  writeFileSync(path.join(dir, 'tokenizer_config.json'), '{"chat_template":"{{ bos_token }}"}');
  return dir;
}

describe('a GGUF file of ours', () => {
  it.each(['q8_0', 'q4_0', 'bf16', 'f16'] as const)('in %s gives the logits of its source', async (to) => {
    await withTempDir(async (dir) => {
      const source = await asPublished(path.join(dir, 'source'));
      const file = path.join(dir, 'new.gguf');
      const result = await convert(source, file, to);
      expect(result).toMatchObject({ path: file, to, left_out: 1 });
      const converted = await logits(file);
      const wanted = await logits(source, to === 'q8_0' || to === 'q4_0' ? to : 'none');
      expect([converted.quantization, converted.scale]).toEqual([to, wanted.scale]);
      // bf16 numbers this near to 1 are f16 numbers too; products with f16 matrices are rounded as those with bf16 are not.
      if (to === 'f16') expect(Math.max(...converted.values.map((value, i) => Math.abs(value - wanted.values[i]!)))).toBeLessThan(0.05);
      else expect(converted.values).toEqual(wanted.values);
      expect(readdirSync(dir).sort()).toEqual(['new.gguf', 'source']);
    });
  });

  it('holds what llama.cpp\u2019s own converter writes', async () => {
    await withTempDir(async (dir) => {
      const file = path.join(dir, 'new.gguf');
      await convert(await asPublished(path.join(dir, 'source')), file, 'bf16');
      const [made, theirs] = [await openGguf(file), await openGguf(tiny('bf16.gguf'))];
      const bytesOf = (name: string, { path: from, tensors }: typeof made): Buffer => {
        const { offset, bytes } = tensors.get(name)!;
        return readFileSync(from).subarray(offset, offset + bytes);
      };
      expect([...made.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort());
      for (const [name, { dtype, shape }] of theirs.tensors) {
        expect([name, made.tensors.get(name)!.dtype, made.tensors.get(name)!.shape]).toEqual([name, dtype, shape]);
        // Their gains are 1 + w of a w in float32: off by the last bit after -1 and +1.
        if (dtype === 'BF16') expect(bytesOf(name, made).equals(bytesOf(name, theirs)), name).toBe(true);
      }
      for (const [key, value] of theirs.metadata) {
        if (['general.name', 'tokenizer.ggml.scores', 'tokenizer.ggml.token_type'].includes(key)) continue;
        if (made.metadata.has(key)) expect([key, made.metadata.get(key)]).toEqual([key, value]);
        else expect(key).toMatch(/^(?:general\.(?:alignment|quantization_version|file_type)|gemma3\.(?:vocab_size|attention\.sliding_window_pattern|rope\.scaling\.original_context_length)|tokenizer\.ggml\.(?:eot_token_id))$/u);
      }
      expect(made.metadata.get('tokenizer.chat_template')).toBe('{{ bos_token }}');
      expect(made.metadata.get('lodestone.embed_scale')).toBeUndefined();
    });
  });

  it('of a GGUF file says the same again, with its tokens as they were', async () => {
    await withTempDir(async (dir) => {
      const file = path.join(dir, 'again.gguf');
      await convert(tiny('q8_0.gguf'), file, 'q8_0');
      const [made, source] = [await openModelHeaders(file), await openModelHeaders(tiny('q8_0.gguf'))];
      expect(made.config).toEqual(source.config);
      const text = 'The harbour fee is nine crowns.\n\n  <b>é';
      const [a, b] = await Promise.all([file, tiny('q8_0.gguf')].map(async (name) => openGgufTokenizer(await openGguf(name), 512).encodeText(text)));
      expect(a).toEqual(b);
      expect((await logits(file)).values).toEqual((await logits(tiny('q8_0.gguf'))).values);
    });
  });

  it('keeps a rounded factor of the embeddings', async () => {
    await withTempDir(async (dir) => {
      // sqrt(64) is a bf16 number: the file says nothing. 4B's sqrt(2560) is not.
      const source = await asPublished(path.join(dir, 'source'));
      const config = JSON.parse(readFileSync(path.join(source, 'config.json'), 'utf8')) as Record<string, unknown>;
      const wide = path.join(dir, 'wide');
      mkdirSync(wide);
      const width = 96;
      writeFileSync(path.join(wide, 'config.json'), JSON.stringify({ ...config, hidden_size: width, num_hidden_layers: 1, layer_types: ['full_attention'] }));
      writeFileSync(path.join(wide, 'tokenizer.json'), readFileSync(path.join(source, 'tokenizer.json')));
      const shapes: Record<string, number[]> = {
        'embed_tokens': [512, width], 'norm': [width], 'layers.0.input_layernorm': [width], 'layers.0.post_attention_layernorm': [width], 'layers.0.pre_feedforward_layernorm': [width], 'layers.0.post_feedforward_layernorm': [width],
        'layers.0.self_attn.q_proj': [128, width], 'layers.0.self_attn.k_proj': [64, width], 'layers.0.self_attn.v_proj': [64, width], 'layers.0.self_attn.o_proj': [width, 128], 'layers.0.self_attn.q_norm': [32], 'layers.0.self_attn.k_norm': [32],
        'layers.0.mlp.gate_proj': [96, width], 'layers.0.mlp.up_proj': [96, width], 'layers.0.mlp.down_proj': [width, 96],
      };
      const bf16 = (count: number): Uint8Array => new Uint8Array(Uint16Array.from({ length: count }, (_, i) => 0x3c00 + ((i * 7919) % 511)).buffer);
      writeSafetensors(path.join(wide, 'model.safetensors'), Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [`model.${name}.weight`, { dtype: 'BF16', shape, bytes: bf16(shape.reduce((a, b) => a * b)) }])));
      const file = path.join(dir, 'wide.gguf');
      await convert(wide, file, 'q8_0');
      expect((await openGguf(file)).metadata.get('lodestone.embed_scale')).toBe('bf16');
      const [made, wanted] = [await logits(file), await logits(wide, 'q8_0')];
      expect(made.scale).not.toBe(Math.sqrt(width));
      expect(made).toEqual(wanted);
      expect((await openModelHeaders(file)).config.layers).toEqual([{ kind: 'global' }]);
    });
  });

  it('refuses what such a file can\u2019t say, and a name that is taken', async () => {
    await withTempDir(async (dir) => {
      const refused = async (source: string, to: RegExp, exitCode: ExitCode = ExitCode.badModel): Promise<void> => {
        await expect(convert(source, path.join(dir, 'new.gguf'), 'q8_0')).rejects.toMatchObject({ exitCode, message: expect.stringMatching(to) as string });
      };
      await refused(embeddedModelDir, /one of our own models.*can't say; convert it to a directory instead$/u);
      // query_pre_attn_scalar is 24 there, and heads have 32.
      await refused(tinyDir, /attention logits with the factor 0\.204/u);
      expect(readdirSync(dir)).toEqual([]);
      writeFileSync(path.join(dir, 'new.gguf'), 'x');
      await refused(tiny('q8_0.gguf'), /is there already; name a file that is not/u, ExitCode.usage);
      expect(readFileSync(path.join(dir, 'new.gguf'), 'utf8')).toBe('x');
    });
  });
});

describe('a tokenizer.json as a list of tokens', () => {
  const fail = (what: string): never => {
    throw new Error(what);
  };
  const json = {
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
    added_tokens: [{ id: 0, content: '<unk>', special: true }, { id: 1, content: '<bos>', special: true }, { id: 2, content: '<unused0>' }, { id: 3, content: '\u2581\u2581' }, { id: 9, content: '<beyond>', special: true }],
    model: { type: 'BPE', byte_fallback: true, unk_token: '<unk>', vocab: { '<unk>': 0, '<bos>': 1, '<unused0>': 2, '\u2581\u2581': 3, '<0x41>': 4, 'ab': 5, 'a': 6, 'b': 8 }, merges: [['\u2581', '\u2581'], ['a', 'b']] as unknown[] },
  };
  it('with types, scores and gaps', () => {
    const { tokens, types, scores } = ggufVocabulary(json, 9, fail);
    expect(tokens).toEqual(['<unk>', '<bos>', '<unused0>', '  ', '<0x41>', 'ab', 'a', '[PAD7]', 'b']);
    const { unknown, control, userDefined, byte, normal, unused } = tokenTypes;
    expect([...types]).toEqual([unknown, control, control, userDefined, byte, normal, normal, unused, normal]);
    expect([...scores]).toEqual([-1000, -1000, -1000, -1000, -1000, 0, -1, -1000, -3]);
  });
  it.each([
    ['other merges than its pieces make', { model: { ...json.model, merges: [] } }, /joins some pairs .* \(0 of 1\)/u],
    ['another order', { model: { ...json.model, vocab: { ...json.model.vocab, ba: 7 }, merges: ['b a', 'a b'] } }, /in another order/u],
    ['a merge to nothing', { model: { ...json.model, merges: ['b a'] } }, /to what is no token/u],
    ['another normaliser', { normalizer: { type: 'NFC' } }, /not of Gemma's kind/u],
    ['no bytes', { model: { ...json.model, byte_fallback: false } }, /not of Gemma's kind/u],
  ])('refuses %s', (_, change, message) => {
    expect(() => ggufVocabulary({ ...json, ...change }, 9, fail)).toThrow(message);
  });
});
