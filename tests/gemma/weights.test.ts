/** Tensor names, shapes and sums on the way from a checkpoint to the graph. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { loadGemmaWeights, type GemmaWeights, type Quantize } from '../../src/gemma/weights.js';
import { Context } from '../../src/runtime/context.js';
import { openConfig, openModel } from '../../src/runtime/model.js';
import { openCheckpoint } from '../../src/weights/safetensors.js';
import { fixtureDir, withTempDir } from '../runtime/fixture.js';
import { f32Tensor, type TensorData } from '../weights/files.js';
import { modelTensors, randomModel, shape, writeModel } from './random-model.js';

const source = randomModel(['local', 'global'], false);
const ids = [5, 17, 3, 96, 0, 44];

interface Loaded {
  readonly weights: GemmaWeights;
  readonly logits: number[];
}

/** Writes a checkpoint with these tensors, loads it, and reads a few ids. */
async function load(tensors: Record<string, TensorData>, model = source, quantize: Quantize = 'none'): Promise<Loaded> {
  const device = createReferenceDevice();
  return withTempDir(async (dir) => {
    writeModel(dir, model, tensors);
    const config = await openConfig(dir);
    try {
      const weights = await loadGemmaWeights(device, await openCheckpoint(dir), config, quantize);
      const context = new Context({ device, config, weights });
      const logits = await context.prefill(ids);
      context.close();
      return { weights, logits: [...logits] };
    } catch (error) {
      // What was allocated before the failure has been given back.
      expect(device.allocatedBytes).toBe(0);
      throw error;
    }
  });
}

async function expectRefusal(tensors: Record<string, TensorData>, message: RegExp, model = source): Promise<void> {
  const error: unknown = await load(tensors, model).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LodestoneError);
  expect(error).toMatchObject({ exitCode: ExitCode.badModel });
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).not.toContain('\n');
}

const without = (names: readonly string[]): Record<string, TensorData> =>
  Object.fromEntries(Object.entries(modelTensors(source)).filter(([name]) => !names.includes(name)));

describe('names', () => {
  it.each([
    ['text-only files', 'model.'],
    ['original image models', 'language_model.model.'],
    ['transformers 4.52 in memory', 'model.language_model.'],
    ['transformers 5', 'model.language_model.model.'],
    ['a bare text model', ''],
  ])('of %s load the same weights', async (_, prefix) => {
    const vision = { 'vision_tower.vision_model.embeddings.patch_embedding.bias': f32Tensor([3], new Float32Array(3)) };
    const { logits } = await load({ ...modelTensors(source, prefix), ...vision });
    expect(logits).toEqual((await load(modelTensors(source))).logits);
  });

  it('of nothing known are refused', async () => {
    await expectRefusal(modelTensors(source, 'transformer.'), /no embed_tokens\.weight under any of the names/);
  });

  it('that are missing are listed, the first three of them', async () => {
    await expectRefusal(without(['model.norm.weight']), /1 tensors are missing: model\.norm\.weight$/);
    const names = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((part) => `model.layers.1.self_attn.${part}.weight`);
    await expectRefusal(without(names), /4 tensors are missing: model\.layers\.1\.self_attn\.q_proj\.weight, .*k_proj\.weight, .*v_proj\.weight and 1 more$/);
  });

  it('of more layers than the config has are refused', async () => {
    await expectRefusal(modelTensors(randomModel(['local', 'global', 'local'], false)), /more layers than the 2 of config\.json/);
  });

  it('of the log-n scale are wanted in global layers alone', async () => {
    const lodestone = randomModel(['local', 'global'], true);
    const tensors = modelTensors(lodestone);
    const { weights } = await load(tensors, lodestone);
    expect(weights.layers.map(({ logScale }) => logScale !== null)).toEqual([false, true]);
    delete tensors['model.layers.1.self_attn.log_n_scale'];
    await expectRefusal(tensors, /1 tensors are missing: model\.layers\.1\.self_attn\.log_n_scale/, lodestone);
  });
});

describe('shapes', () => {
  it.each([
    ['a matrix the other way round', 'model.layers.0.mlp.down_proj.weight', [shape.f, shape.d], /down_proj\.weight is \[56, 40\], but config\.json makes it \[40, 56\]/],
    ['a norm of one more dimension', 'model.norm.weight', [1, shape.d], /model\.norm\.weight is \[1, 40\], but config\.json makes it \[40\]/],
    ['a norm that is too short', 'model.layers.1.self_attn.q_norm.weight', [shape.headDim - 1], /q_norm\.weight is \[15\], but config\.json makes it \[16\]/],
    ['too few embeddings', 'model.embed_tokens.weight', [shape.vocab - 1, shape.d], /embed_tokens\.weight is \[96, 40\], but config\.json makes it \[97 or more, 40\]/],
    ['embeddings of another width', 'model.embed_tokens.weight', [shape.vocab, shape.d + 1], /embed_tokens\.weight is \[97, 41\]/],
  ])('%s is refused', async (_, name, lie, message) => {
    const size = lie.reduce((product, n) => product * n, 1);
    await expectRefusal({ ...modelTensors(source), [name]: f32Tensor(lie, new Float32Array(size)) }, message);
  });

  it('a matrix of integers is refused', async () => {
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const { shape: size, bytes } = modelTensors(source)[name]!;
    await expectRefusal({ ...modelTensors(source), [name]: { dtype: 'I32', shape: size, bytes } }, /q_proj\.weight is I32; matrices must be F32, F16, BF16, Q8_0, Q4_0, /);
  });

  it('of embeddings with extra rows: the first ones count', async () => {
    const name = 'model.embed_tokens.weight';
    const longer = new Float32Array((shape.vocab + 5) * shape.d).fill(1e6);
    longer.set(source.values.get('embed_tokens.weight')!);
    const { logits } = await load({ ...modelTensors(source), [name]: f32Tensor([shape.vocab + 5, shape.d], longer) });
    expect(logits).toEqual((await load(modelTensors(source))).logits);
  });
});

it('gains are 1 + w in float32, also of bf16 files', async () => {
  const device = createReferenceDevice();
  const config = await openConfig(fixtureDir);
  const fixture = await loadGemmaWeights(device, await openCheckpoint(fixtureDir), config);
  const gain = new Float32Array((await device.read(fixture.finalNorm, 64 * 4)).buffer);
  const entry = (await openCheckpoint(fixtureDir)).tensors.get('model.norm.weight')!;
  expect(entry.dtype).toBe('BF16');
  // w of a bf16 file has its low 16 bits clear; 1 + w in bf16 would have them clear too.
  expect(new Uint32Array(gain.buffer).some((bits) => (bits & 0xffff) !== 0)).toBe(true);
});

it('an output matrix of its own is used for the logits, the embedding otherwise', async () => {
  const tied = await load(modelTensors(source));
  expect(tied.weights.head).toBe(tied.weights.embedding);
  const doubled = source.values.get('embed_tokens.weight')!.map((value) => 2 * value);
  for (const [prefix, name] of [
    ['model.', 'lm_head.weight'],
    ['language_model.model.', 'language_model.lm_head.weight'],
  ] as const) {
    const { logits } = await load({ ...modelTensors(source, prefix), [name]: f32Tensor([shape.vocab, shape.d], doubled) });
    expect(logits).toEqual(tied.logits.map((logit) => 2 * logit));
  }
});

it('counts the bytes of all weights, as stored or as quantised', async () => {
  const device = createReferenceDevice();
  const bytes: Record<string, number> = {};
  const formats: string[] = [];
  for (const quantize of ['none', 'q8_0', 'q4_0'] as const) {
    const model = await openModel(fixtureDir, device, { quantize });
    bytes[quantize] = model.weightBytes;
    formats.push(model.quantization);
    await model.close();
    expect(device.allocatedBytes).toBe(0);
  }
  // 8 layers of 64 x (128 + 64 + 64 + 128) + 3 x 64 x 96 elements, 512 x 64 embeddings; gains in float32.
  const matrices = 8 * (64 * 384 + 3 * 64 * 96) + 512 * 64;
  const gains = (8 * (4 * 64 + 2 * 32) + 64) * 4;
  expect(bytes).toEqual({ none: matrices * 2 + gains, q8_0: (matrices / 32) * 34 + gains, q4_0: (matrices / 32) * 18 + gains });
  expect(formats).toEqual(['bf16', 'q8_0', 'q4_0']);
});

it('rows that are no multiple of 32 are not quantised, and the error says so', async () => {
  await expect(load(modelTensors(source), source, 'q8_0')).rejects.toThrow(/model\.embed_tokens\.weight: .*multiple of 32.*40/);
});

it('stops loading when the signal aborts', async () => {
  const device = createReferenceDevice();
  const reason = new Error('enough');
  const controller = new AbortController();
  const config = await openConfig(fixtureDir);
  const loading = loadGemmaWeights(device, await openCheckpoint(fixtureDir), config, 'none', controller.signal);
  controller.abort(reason);
  await expect(loading).rejects.toBe(reason);
  expect(device.allocatedBytes).toBe(0);
});

describe('a model directory is refused', () => {
  const open = (dir: string): Promise<unknown> => openModel(dir, createReferenceDevice());
  it.each<[string, Record<string, string>, RegExp]>([
    ['without config.json', {}, /no config\.json \(a model directory holds config\.json, model\.safetensors and tokenizer\.json\)/],
    ['whose config.json is not JSON', { 'config.json': '{' }, /config\.json: is not JSON/],
    ['whose generation_config.json is not JSON', { 'config.json': '{"model_type":"gemma3_text"}', 'generation_config.json': '' }, /generation_config\.json: is not JSON/],
    ['without weights', { 'config.json': '{"model_type":"gemma3_text"}' }, /no model\.safetensors and no model\.safetensors\.index\.json/],
  ])('%s', async (_, files, message) => {
    await withTempDir(async (dir) => {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
      await expect(open(dir)).rejects.toThrow(message);
      await expect(open(dir)).rejects.toBeInstanceOf(LodestoneError);
    });
  });

  it('without a tokenizer', async () => {
    await withTempDir(async (dir) => {
      writeModel(dir, source);
      await expect(open(dir)).rejects.toThrow(/no tokenizer\.json/);
    });
  });

  it('that is not there, or a file', async () => {
    await withTempDir(async (dir) => {
      await expect(open(join(dir, 'none'))).rejects.toThrow(/none: no such model directory/);
      writeFileSync(join(dir, 'file'), '');
      await expect(open(join(dir, 'file'))).rejects.toThrow(/file: is not a model directory, and not a \.gguf file/);
    });
  });
});
