/** The vision part of GGUF models, in old and new names, against transformers; and what is refused. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MetadataEntry } from '../../src/weights/gguf-header.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { imagePatches } from '../../src/encode/image.js';
import { parseGgufVisionConfig } from '../../src/gemma/gguf-vision-config.js';
import { loadVisionWeights, locateGgufVisionWeights } from '../../src/gemma/vision-weights.js';
import { ImageEncoder } from '../../src/runtime/image-encoder.js';
import { openModelFiles } from '../../src/runtime/model.js';
import { openGguf } from '../../src/weights/gguf.js';
import { scratch } from '../ingest/support.js';
import { fixtureDir, largestDifference } from '../runtime/fixture.js';
import { readImageGolden } from '../runtime/image-fixture.js';
import { ggufFile, readGgufFile, tensorsOf } from '../weights/gguf-files.js';
import { mmprojMetadata as metadata, writeMmproj } from './mmproj-file.js';

const dir = scratch();
const write = (name: string, early: boolean, entries = metadata): Promise<string> => writeMmproj(join(dir, name), early, entries);

// The fixture has 2 x 2 soft tokens of 4 x 4 patches each, which is llama.cpp's default.
it.each([false, true])('gives the soft tokens of transformers (early names: %s)', async (early) => {
  const device = createReferenceDevice();
  const file = await openGguf(await write(`mmproj-${early}.gguf`, early));
  const config = parseGgufVisionConfig(file, 64);
  expect(config).toMatchObject({ headDim: 12, side: 8, poolSize: 4, tokensPerImage: 4, tokens: { soft: 262144 } });
  const { weights } = await loadVisionWeights(device, locateGgufVisionWeights(file, config, 64));
  const encoder = new ImageEncoder(device, config, weights, { hiddenSize: 64, eps: 1e-6 });
  const golden = readImageGolden();
  const soft = await encoder.encode(imagePatches(golden.images[0]!, config));
  expect(largestDifference(soft, golden.softTokens.subarray(0, soft.length))).toBeLessThan(2e-5);
  encoder.close();
  await device.close();
});

it('goes with a text model in GGUF', async () => {
  const files = await openModelFiles(join(fixtureDir, 'bf16.gguf'), { mmproj: await write('mmproj.gguf', false) });
  expect(files.config.vision?.layers).toBe(3);
  expect(files.visionPlaces?.layers).toHaveLength(3);
  expect((await openModelFiles(join(fixtureDir, 'bf16.gguf'))).visionPlaces).toBeNull();
  await expect(openModelFiles(fixtureDir, { mmproj: 'mmproj.gguf' })).rejects.toThrow(/^mmproj.gguf: .* is a directory/);
  await expect(openModelFiles(join(fixtureDir, 'bf16.gguf'), { mmproj: join(fixtureDir, 'bf16.gguf') })).rejects.toThrow(/is "gemma3", not clip/);
});

/** As Ollama has it: text model and tower in one file, under names and keys of its own. */
async function writeTogether(name: string, change: Record<string, MetadataEntry> = {}): Promise<string> {
  const tower = tensorsOf(await openGguf(await write('mmproj-of-it.gguf', false)));
  const ollama = Object.entries(tower).map(([tensor, data]) => [
    tensor
      .replace('patch_embd', 'patch_embedding').replace('position_embd', 'position_embedding').replace('post_ln', 'post_layernorm').replace(/ln(\d)/, 'layer_norm$1')
      .replace('attn_out.', 'attn_output.').replace('ffn_up', 'mlp.fc1').replace('ffn_down', 'mlp.fc2').replace(/mm\.(input_projection|soft_emb_norm)/, 'mm.mm_$1'),
    data,
  ]);
  const text = await readGgufFile(join(fixtureDir, 'bf16.gguf'));
  const keys = Object.entries(metadata).flatMap(([key, value]) => (key.startsWith('clip.vision.') && key !== 'clip.vision.projection_dim' ? [[key.replace('clip.vision.', 'gemma3.vision.'), value]] : []));
  const path = join(dir, name);
  writeFileSync(path, ggufFile({ ...text.metadata, ...Object.fromEntries(keys), 'gemma3.mm.tokens_per_image': { u32: 4 }, ...change }, { ...tensorsOf(text.gguf), ...Object.fromEntries(ollama) }));
  return path;
}

it('is found in a file of Ollama\u2019s, and gives the same soft tokens', async () => {
  const device = createReferenceDevice();
  const { config, visionPlaces } = await openModelFiles(await writeTogether('together.gguf'));
  expect(config.vision).toMatchObject({ headDim: 12, side: 8, poolSize: 4, tokensPerImage: 4 });
  const { weights } = await loadVisionWeights(device, visionPlaces!);
  const encoder = new ImageEncoder(device, config.vision!, weights, { hiddenSize: 64, eps: 1e-6 });
  const golden = readImageGolden();
  const soft = await encoder.encode(imagePatches(golden.images[0]!, config.vision!));
  expect(largestDifference(soft, golden.softTokens.subarray(0, soft.length))).toBeLessThan(2e-5);
  encoder.close();
  await device.close();
  await expect(openModelFiles(await writeTogether('odd-together.gguf', { 'gemma3.mm.tokens_per_image': { u32: 5 } }))).rejects.toThrow(/8 x 8 patches are not averaged evenly into 5 tokens/u);
});

describe('refuses', () => {
  it.each([
    ['another projector', { 'clip.projector_type': { text: 'mlp' } }, /clip\.projector_type is "mlp", not gemma3/],
    ['another model’s width', { 'clip.vision.projection_dim': { u32: 65 } }, /of a text model of width 65, and this one has 64/],
    ['no layers', { 'clip.vision.block_count': { u32: 0 } }, /block_count is 0/],
    ['more layers than there are', { 'clip.vision.block_count': { u32: 4 } }, /16 tensors of the vision tower are missing: v\.blk\.3\.ln1\.weight/],
    ['pools that do not divide', { 'clip.vision.projector.scale_factor': { u32: 3 } }, /112 pixels are not cut evenly into squares of 3 x 3 patches of 14/],
    ['an eps of nothing', { 'clip.vision.attention.layer_norm_epsilon': { f32: 0 } }, /layer_norm_epsilon is 0/],
  ] as const)('%s', async (_, change, message) => {
    const file = await openGguf(await write('odd.gguf', false, { ...metadata, ...change }));
    expect(() => locateGgufVisionWeights(file, parseGgufVisionConfig(file, 64), 64)).toThrow(message);
  });
});
