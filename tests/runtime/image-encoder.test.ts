/** The vision tower against transformers, and what is wrong with its files. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imagePatches } from '../../src/encode/image.js';
import { parseConfig } from '../../src/gemma/config.js';
import { loadVisionWeights, locateVisionWeights, visionBytes } from '../../src/gemma/vision-weights.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import type { Device } from '../../src/device/device.js';
import { towerBuffers } from '../../src/runtime/activations.js';
import { ImageEncoder } from '../../src/runtime/image-encoder.js';
import { openCheckpoint, type TensorEntry } from '../../src/weights/safetensors.js';
import { largestDifference, workingDevices } from './fixture.js';
import { encodeImages, imageDir, openImageModel, readImageGolden, type ImageModel } from './image-fixture.js';

const golden = readImageGolden();
const devices = await workingDevices();

describe.each(devices)('$name', ({ create }) => {
  let device: Device;
  let model: ImageModel;
  beforeAll(async () => {
    device = await create();
    model = await openImageModel(device);
  });
  afterAll(async () => {
    model.encoder.close();
    await device.close();
  });

  it('computes the tower and the soft tokens of transformers', async () => {
    const perTower = golden.tower.length / 2;
    const perImage = golden.softTokens.length / 2;
    for (const [i, image] of golden.images.entries()) {
      const soft = await model.encoder.encode(imagePatches(image, model.vision));
      const tower = await model.encoder.tower();
      expect(largestDifference(tower, golden.tower.subarray(i * perTower, (i + 1) * perTower))).toBeLessThan(2e-5);
      expect(largestDifference(soft, golden.softTokens.subarray(i * perImage, (i + 1) * perImage))).toBeLessThan(2e-5);
    }
  });

  it('allocates what a plan says', async () => {
    const before = device.allocatedBytes;
    const encoder = new ImageEncoder(device, model.vision, model.tower, { hiddenSize: 64, eps: 1e-6 });
    const planned = Object.values(towerBuffers(model.vision, 64)).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(device.allocatedBytes - before).toBe(planned);
    encoder.close();
    expect(device.allocatedBytes).toBe(before);
  });

  it('gives the same bits again, whatever was encoded between', async () => {
    const [first, second] = golden.images;
    const [a, b, again] = await encodeImages(model, [first!, second!, first!]);
    expect(again).toEqual(a);
    expect(b).not.toEqual(a);
  });

  it('stops when it is aborted, and goes on afterwards', async () => {
    const stop = new AbortController();
    const patches = imagePatches(golden.images[0]!, model.vision);
    const steps: number[] = [];
    const onProgress = (done: number, total: number): void => {
      steps.push(done / total);
      if (steps.length === 2) stop.abort(new Error('enough'));
    };
    await expect(model.encoder.encode(patches, { signal: stop.signal, onProgress })).rejects.toThrow('enough');
    expect(steps).toEqual([1 / 5, 2 / 5]);
    const soft = await model.encoder.encode(patches);
    expect(largestDifference(soft, golden.softTokens.subarray(0, soft.length))).toBeLessThan(2e-5);
    await expect(model.encoder.encode(patches.subarray(1))).rejects.toThrow(RangeError);
  });
});

describe('its weights', () => {
  const config = readConfig();
  function readConfig() {
    return parseConfig(
      {
        model_type: 'gemma3',
        text_config: { hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 32 },
        vision_config: { hidden_size: 48, intermediate_size: 80, num_hidden_layers: 3, num_attention_heads: 4, image_size: 112 },
        mm_tokens_per_image: 4,
      },
      'config.json',
    );
  }

  it.each([
    ['vision_tower.vision_model.', 'vision_tower.vision_model.'],
    ['vision_tower.', 'vision_tower.'],
    ['model.vision_tower.', 'model.vision_tower.'],
    ['model.vision_tower.vision_model.', 'model.vision_tower.vision_model.'],
  ])('are found under %s', async (_, prefix) => {
    const { tensors, files } = await openCheckpoint(imageDir);
    const renamed = new Map<string, TensorEntry>();
    for (const [name, entry] of tensors) renamed.set(name.replace('vision_tower.vision_model.', prefix).replace('multi_modal', prefix.startsWith('model.') ? 'model.multi_modal' : 'multi_modal'), entry);
    const places = locateVisionWeights({ tensors: renamed, files }, config.vision!, 64);
    expect(places?.layers).toHaveLength(3);
    expect(places?.projection.shape).toEqual([48, 64]);
  });

  it('are none in a text model, and named where some are missing or misshapen', async () => {
    const { tensors, files } = await openCheckpoint(imageDir);
    const without = (wanted: RegExp) => ({ files, tensors: new Map([...tensors].filter(([name]) => !wanted.test(name))) });
    const vision = config.vision!;
    expect(locateVisionWeights(without(/vision_tower/), vision, 64)).toBeNull();
    expect(() => locateVisionWeights(without(/layers\.1\.mlp\.fc2/), vision, 64)).toThrow(/2 tensors of the vision tower are missing: .*fc2\.weight/);
    expect(() => locateVisionWeights(without(/multi_modal/), vision, 64)).toThrow(/mm_soft_emb_norm/);
    expect(() => locateVisionWeights({ tensors, files }, vision, 65)).toThrow(/mm_input_projection_weight is \[48, 64\]/);
    expect(() => locateVisionWeights({ tensors, files }, { ...vision, layers: 2 }, 64)).toThrow(/more layers than the 2/);
  });

  it('take the bytes that were told beforehand, and give them back', async () => {
    const device = createReferenceDevice();
    const places = locateVisionWeights(await openCheckpoint(imageDir), config.vision!, 64)!;
    const { weights, buffers } = await loadVisionWeights(device, places);
    const matrices = [weights.patch, ...weights.layers.flatMap(({ q, k, v, o, fc1, fc2 }) => [q, k, v, o, fc1, fc2])].reduce(
      (sum, { weight }) => sum + weight.outputs * weight.inputs * 2,
      weights.projection.outputs * weights.projection.inputs * 4,
    );
    expect(visionBytes(places)).toBe(device.allocatedBytes + matrices);
    for (const buffer of buffers) device.destroyBuffer(buffer);
    expect(device.allocatedBytes).toBe(0);
  });
});
