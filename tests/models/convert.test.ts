/** Converted models: the same logits, to the bit, as their source loaded with --quantize. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { ggufTokens, openGgufTokenizer } from '../../src/encode/gguf-tokenizer.js';
import { openTokenizer } from '../../src/encode/tokenizer.js';
import { tokenizerJson } from '../../src/encode/tokenizer-json.js';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import type { Quantize } from '../../src/gemma/weights.js';
import type { ConversionTarget } from '../../src/models/conversion-tensors.js';
import { configJson, convertModel } from '../../src/models/convert.js';
import { inspectModel } from '../../src/models/inspect.js';
import { embeddedModelDir } from '../../src/paths.js';
import { Context } from '../../src/runtime/context.js';
import { openModel, openModelHeaders } from '../../src/runtime/model.js';
import { parseConfig } from '../../src/gemma/config.js';
import { bf16ToF32 } from '../../src/weights/half.js';
import { formatInspection, layerPattern } from '../../src/ui/models.js';
import { randomPacked } from '../device/cases.js';
import { writeMmproj } from '../gemma/mmproj-file.js';
import { imageDir } from '../runtime/image-fixture.js';
import { readSafetensors, writeSafetensors, type TensorData } from '../weights/files.js';
import { ggmlTypes, ggufFile, readGgufFile, tensorsOf } from '../weights/gguf-files.js';
import { someIds, withTempDir, workingDevices } from '../runtime/fixture.js';
import { tiny, tinyDir } from './stores.js';

// The fastest there is: the reference is slow here, and other tests hold the two together.
const device: Device = await (await workingDevices()).at(-1)!.create();
afterAll(() => device.close());

const signal = new AbortController().signal;
const placeOf = (model: string) => ({ path: model, store: null, name: model });
const convert = (source: string, destination: string, to: ConversionTarget) => convertModel(placeOf(source), destination, to, { signal });

async function logits(dir: string, quantize: Quantize = 'none'): Promise<{ quantization: string; values: Float32Array; scale: number }> {
  const model = await openModel(dir, device, { quantize });
  const context = new Context(model, { chunk: 16 });
  const values = (await context.prefill(someIds(40))).slice();
  context.close();
  await model.close();
  return { quantization: model.quantization, values, scale: model.weights.embedScale };
}

/** The tiny model with every matrix in f32: values as in bf16, embedding factor unrounded. */
function inF32(dir: string): string {
  const tensors = Object.entries(readSafetensors(tiny('model.safetensors'))).map(([name, { shape, bytes }]): [string, TensorData] => [
    name,
    { dtype: 'F32', shape, bytes: new Uint8Array(Float32Array.from(new Uint16Array(bytes.slice().buffer), bf16ToF32).buffer) },
  ]);
  mkdirSync(dir, { recursive: true });
  writeSafetensors(path.join(dir, 'model.safetensors'), Object.fromEntries(tensors));
  for (const name of ['config.json', 'tokenizer.json']) writeFileSync(path.join(dir, name), readFileSync(tiny(name)));
  return dir;
}

describe('convert', () => {
  it.each([
    ['safetensors', tinyDir, 'q8_0'], ['safetensors', tinyDir, 'q4_0'],
    ['GGUF bf16', tiny('bf16.gguf'), 'q8_0'], ['GGUF bf16', tiny('bf16.gguf'), 'q4_0'],
    ['our own', embeddedModelDir, 'q8_0'],
  ] as const)('%s (%s) to %s is what --quantize makes of it', async (_, source, to) => {
    await withTempDir(async (dir) => {
      const done = path.join(dir, 'new');
      const result = await convert(source, done, to);
      expect(result).toMatchObject({ schema: 'lodestone.conversion/1', path: done, to, left_out: 0 });
      expect(result.bytes.result).toBeLessThan(result.bytes.source * (to === 'q8_0' ? 0.56 : 0.34));
      const converted = await logits(done);
      const wanted = await logits(source, to);
      expect([converted.quantization, converted.scale]).toEqual([to, wanted.scale]);
      expect(converted.values).toEqual(wanted.values);
      expect(readdirSync(dir)).toEqual(['new']);
    });
  });

  it.each(['q8_0', 'q4_0', 'bf16', 'f16'] as const)('f32 to %s keeps the factor of its embeddings', async (to) => {
    await withTempDir(async (dir) => {
      const source = inF32(path.join(dir, 'f32'));
      await convert(source, path.join(dir, 'new'), to);
      const converted = await logits(path.join(dir, 'new'));
      expect(converted.scale).toBe(8);
      // The tiny model's numbers are bf16: nothing is lost in bf16.
      const wanted = to === 'bf16' ? await logits(source) : to === 'f16' ? null : await logits(source, to);
      if (wanted) expect(Math.max(...converted.values.map((value, i) => Math.abs(value - wanted.values[i]!)))).toBeLessThan(to === 'bf16' ? 0.1 : 1e-9);
      expect(converted.quantization).toBe(to);
    });
  });

  it('a factor that is rounded in the source stays so in f16', async () => {
    await withTempDir(async (dir) => {
      // sqrt(192) is no bf16; published models in bf16 round it.
      const source = path.join(dir, 'gemma');
      mkdirSync(source);
      const config = JSON.parse(readFileSync(path.join(embeddedModelDir, 'config.json'), 'utf8')) as Record<string, unknown>;
      delete config['lodestone'];
      writeFileSync(path.join(source, 'config.json'), JSON.stringify(config));
      for (const name of ['model.safetensors', 'tokenizer.json']) writeFileSync(path.join(source, name), readFileSync(path.join(embeddedModelDir, name)));
      const rounded = (await openModelHeaders(source)).places.embedScale;
      expect(rounded).not.toBe(Math.sqrt(192));
      for (const to of ['f16', 'q8_0'] as const) {
        await convert(source, path.join(dir, to), to);
        const { places, config: read } = await openModelHeaders(path.join(dir, to));
        expect([places.embedScale, read.prompt]).toEqual([rounded, 'gemma-chat']);
      }
    });
  });

  it('packed formats, and blocks that are there', async () => {
    await withTempDir(async (dir) => {
      const { gguf, metadata } = await readGgufFile(tiny('bf16.gguf'));
      const tensors = Object.entries(tensorsOf(gguf)).map(([name, tensor]) => {
        const format = /attn_q\.|ffn_up/.test(name) ? 'q5_0' : /ffn_gate/.test(name) ? 'q5_1' : null;
        const elements = tensor.sizes.reduce((a, b) => a * b, 1);
        return [name, format === null ? tensor : { ...tensor, type: ggmlTypes[format === 'q5_0' ? 'Q5_0' : 'Q5_1'], bytes: randomPacked(format, elements, 3) }] as const;
      });
      const source = path.join(dir, 'packed.gguf');
      writeFileSync(source, ggufFile(metadata, Object.fromEntries(tensors)));
      for (const to of ['q8_0', 'q4_0'] as const) {
        await convert(source, path.join(dir, to), to);
        expect((await logits(path.join(dir, to))).values).toEqual((await logits(source, to)).values);
      }
      // q4_0 gains nothing in q8_0; q8_0 becomes q4_0 where that is asked for; both unpack.
      await convert(tiny('q4_0.gguf'), path.join(dir, 'stays'), 'q8_0');
      expect(await logits(path.join(dir, 'stays'))).toEqual(await logits(tiny('q4_0.gguf')));
      await convert(tiny('q8_0.gguf'), path.join(dir, 'smaller'), 'q4_0');
      expect((await logits(path.join(dir, 'smaller'))).quantization).toBe('q4_0');
      await convert(tiny('q8_0.gguf'), path.join(dir, 'wider'), 'f16');
      expect((await logits(path.join(dir, 'wider'))).quantization).toBe('f16');
    });
  });

  it('keeps tensors that are not the text model’s', async () => {
    await withTempDir(async (dir) => {
      const source = path.join(dir, 'source');
      mkdirSync(source);
      const vision: TensorData = { dtype: 'F16', shape: [3, 5], bytes: Uint8Array.from({ length: 30 }, (_, i) => i) };
      writeSafetensors(path.join(source, 'model.safetensors'), { ...readSafetensors(tiny('model.safetensors')), 'vision_tower.x': vision });
      for (const name of ['config.json', 'tokenizer.json']) writeFileSync(path.join(source, name), readFileSync(tiny(name)));
      await convert(source, path.join(dir, 'new'), 'q8_0');
      expect(readSafetensors(path.join(dir, 'new', 'model.safetensors'))['vision_tower.x']).toEqual(vision);
    });
  });

  it('refuses what is taken or does not fit, and leaves nothing', async () => {
    await withTempDir(async (dir) => {
      const refused = async (source: string, destination: string, to: ConversionTarget, exitCode: ExitCode, message: RegExp): Promise<void> => {
        const before = readdirSync(dir);
        await expect(convert(source, path.join(dir, destination), to)).rejects.toMatchObject({ exitCode, message: expect.stringMatching(message) as string });
        expect(readdirSync(dir)).toEqual(before);
      };
      mkdirSync(path.join(dir, 'taken', 'x'), { recursive: true });
      await refused(tinyDir, 'taken', 'q8_0', ExitCode.usage, /taken: is there already/u);
      await refused(path.join(dir, 'nowhere'), 'new', 'q8_0', ExitCode.badModel, /no such model directory/u);
      writeFileSync(path.join(dir, 'file'), '');
      await refused(tinyDir, 'file/new', 'q8_0', ExitCode.badModel, /can't be written/u);
      // More than f16 holds.
      const huge = inF32(path.join(dir, 'huge'));
      const tensors = readSafetensors(path.join(huge, 'model.safetensors'));
      new Float32Array(tensors['model.layers.0.mlp.up_proj.weight']!.bytes.buffer)[7] = 70_000;
      writeSafetensors(path.join(huge, 'model.safetensors'), tensors);
      await refused(huge, 'new', 'f16', ExitCode.badModel, /up_proj\.weight holds 70000, more than f16 can; bf16 holds it$/u);
      await convert(huge, path.join(dir, 'fits'), 'bf16');
    });
  });

  it('stops when it is told to, and leaves nothing', async () => {
    await withTempDir(async (dir) => {
      const stop = new AbortController();
      const interrupted = new LodestoneError(ExitCode.interrupted, 'interrupted');
      const job = convertModel(placeOf(tinyDir), path.join(dir, 'new'), 'q8_0', { signal: stop.signal, onProgress: () => stop.abort(interrupted) });
      await expect(job).rejects.toBe(interrupted);
      expect(readdirSync(dir)).toEqual([]);
    });
  });

  it('a config.json says what the GGUF file does', async () => {
    for (const name of ['bf16.gguf', 'q4_0.gguf']) {
      const { config } = await openModelHeaders(tiny(name));
      expect(parseConfig(configJson(config), 'x', { eos_token_id: config.eosIds })).toEqual(config);
      const of27B = { ...config, scale: 168 ** -0.5, ropeGlobal: { base: 1e6, factor: 1 } };
      expect(parseConfig(configJson(of27B), 'x', { eos_token_id: config.eosIds })).toEqual(of27B);
    }
  });
});

describe("a GGUF file's tokenizer as tokenizer.json", () => {
  const json = JSON.parse(readFileSync(tiny('tokenizer.json'), 'utf8')) as { model: { vocab: Record<string, number> }; added_tokens: { id: number }[] };
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(json.model.vocab)) tokens[id] = token;
  const special = new Set(json.added_tokens.map(({ id }) => id));
  // Two more, as Gemma has them: runs that are found as they stand.
  const all = [...tokens, '<table>', '  ', '   '];
  const types = Int32Array.from(all, (token, id) => (special.has(id) ? 3 : /^<0x/.test(token) ? 6 : id >= tokens.length ? 4 : 1));
  const gguf = { path: 'x.gguf', metadata: new Map<string, string | string[] | Int32Array>([['tokenizer.ggml.model', 'llama'], ['tokenizer.ggml.tokens', all], ['tokenizer.ggml.token_type', types]]) };
  let dir: string;
  beforeAll(async () => {
    dir = await withTempDir((temporary) => `${temporary}-kept`);
    mkdirSync(dir);
    writeFileSync(path.join(dir, 'tokenizer.json'), JSON.stringify(tokenizerJson(ggufTokens(gguf, all.length))));
  });

  it.each(['native', 'js'] as const)('gives the same ids with the %s library', async (backend) => {
    const pieces = openGgufTokenizer(gguf, all.length);
    const written = await openTokenizer(dir, backend);
    expect([...written.controls]).toEqual([...pieces.controls]);
    expect(written.largestTextId).toBe(pieces.largestTextId);
    const text = readFileSync(path.join(tinyDir, '..', 'handbook.txt'), 'utf8').slice(0, 20_000);
    const samples = [text, 'a  b   c    d', '<table>x</table>', '<bos>é\u{1F600}\n\n', ' ', '', '<start_of_turn>user'];
    for (const sample of samples) {
      const ids = await pieces.encodeText(sample);
      expect(await written.encodeText(sample)).toEqual(ids);
      expect(await written.decode(ids)).toBe(await pieces.decode(ids));
    }
    expect((await pieces.encodeText('a  b')).includes(tokens.length + 1)).toBe(true);
  });
});

describe('inspect', () => {
  it('says what a model is', async () => {
    const model = await inspectModel(placeOf(tiny('q8_0.gguf')), { hash: true });
    expect(model).toMatchObject({
      schema: 'lodestone.model/1',
      id: 'q8_0',
      format: 'gguf',
      quantization: 'Q8_0',
      context: 512,
      architecture: { layers: 8, pattern: 'LLLLLGLL', window: 8, hidden_size: 64, heads: 4, kv_heads: 2, head_dim: 32, vocabulary: 512, tied_head: true, rope: { global_base: 1e6, global_factor: 8 } },
      prompt: 'gemma-chat',
    });
    expect(model.files).toEqual([{ path: tiny('q8_0.gguf'), bytes: 429_568, sha256: expect.stringMatching(/^[0-9a-f]{64}$/u) as string }]);
    const kinds = Object.fromEntries(model.tensors.map(({ kind, count, formats }) => [kind, [count, formats]]));
    expect(kinds['q']).toEqual([8, { Q8_0: 8 * 128 * 64 }]);
    expect(kinds['norms']).toEqual([8 * 6 + 1, { F32: 8 * (4 * 64 + 2 * 32) + 64 }]);
    expect(Object.values(kinds).reduce((sum, [count]) => sum + (count as number), 0)).toBe(8 * 13 + 2);
    // One global layer of 2 heads x 32: 128 numbers a token; a page is 1,024 tokens.
    const at = (format: string, tokens: number): number => model.kv.find((kv) => kv.format === format)!.bytes[String(tokens)]!;
    expect(at('f16', 131_072) - at('f16', 32_768)).toBe(98_304 * 128 * 2);
    expect(at('f32', 131_072) - at('f32', 32_768)).toBe(98_304 * 128 * 4);
    expect((await inspectModel(placeOf(tinyDir))).files.every(({ sha256 }) => sha256 === undefined)).toBe(true);
    expect(formatInspection(model)).toMatch(/^q8_0 {2}Gemma 3, .*layers +8: 5 local, 1 global, then 2 local; local layers see 8 positions\n/su);
  });

  it('says what sees: in the files, or beside them', async () => {
    await withTempDir(async (dir) => {
      const mmproj = await writeMmproj(path.join(dir, 'mmproj.gguf'), false);
      expect((await inspectModel(placeOf(tiny('q8_0.gguf')))).vision).toBeNull();
      const model = await inspectModel({ ...placeOf(tiny('q8_0.gguf')), mmproj });
      expect(model.vision).toMatchObject({ path: mmproj, layers: 3, image_size: 112 });
      expect(model.files.map(({ path: file }) => file)).toEqual([tiny('q8_0.gguf'), mmproj]);
      const own = (await inspectModel(placeOf(imageDir))).vision!;
      const numbers = (vision: object): unknown[] => ['layers', 'image_size', 'tokens_per_image', 'parameters'].map((name) => (vision as Record<string, unknown>)[name]);
      expect(numbers(own)).toEqual(numbers(model.vision!));
      expect(formatInspection(model)).toMatch(/^vision +3 layers, [\d.]+K parameters, BF16 \d+ %, F32 \d+ %; images of 112 x 112 pixels become \d+ tokens$/mu);
      // What stands there instead is named, and the text model shown all the same.
      const wrong = await inspectModel({ ...placeOf(tiny('q8_0.gguf')), mmproj: tiny('bf16.gguf') });
      expect(wrong.vision).toEqual({ path: tiny('bf16.gguf'), problem: expect.stringContaining('bf16.gguf') as string });
      expect(formatInspection(wrong)).toMatch(/^vision +can't be used: /mu);
    });
  });

  it('finds the chat template, and tensors that are not the text model’s', async () => {
    await withTempDir(async (dir) => {
      const vision: TensorData = { dtype: 'F16', shape: [3, 5], bytes: new Uint8Array(30) };
      writeSafetensors(path.join(dir, 'model.safetensors'), { ...readSafetensors(tiny('model.safetensors')), 'vision_tower.x': vision });
      writeFileSync(path.join(dir, 'config.json'), readFileSync(tiny('config.json')));
      expect((await inspectModel(placeOf(dir))).chat_template).toBeNull();
      writeFileSync(path.join(dir, 'tokenizer_config.json'), '{"chat_template":"{{ x }}"}');
      const model = await inspectModel(placeOf(dir));
      expect(model.chat_template).toBe('{{ x }}');
      expect(model.tensors.at(-1)).toEqual({ kind: 'others', count: 1, formats: { F16: 15 }, bytes: 30 });
      writeFileSync(path.join(dir, 'chat_template.jinja'), '{{ y }}');
      expect((await inspectModel(placeOf(dir))).chat_template).toBe('{{ y }}');
    });
    expect(existsSync(tinyDir)).toBe(true);
  });

  it.each([
    ['LLLLLGLLLLLGLLLL', '5 local, 1 global (2 times), then 4 local'], ['LLLLLG', '5 local, 1 global'], ['GGG', '3 global'], ['LLG', '2 local, 1 global'], ['LGGLG', '1 local, 2 global, 1 local, 1 global'], ['LL', '2 local'],
  ])('%s is %s', (pattern, shown) => expect(layerPattern(pattern)).toBe(shown));
});
