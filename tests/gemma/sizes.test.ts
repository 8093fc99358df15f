/** The built-in configs, against the numbers that the specification and the Gemma 3 report give for each size. */
import { describe, expect, it } from 'vitest';
import { publishedConfig, sizeNames } from '../../src/gemma/sizes.js';
import { gemmaStorage, plannedGemmaPlaces } from '../../src/gemma/weights.js';
import { kvBytes, type KvFormats } from '../../src/runtime/kv.js';

/** Embedding rows in the published file, parameters of the text model without embedding, and of the embedding. */
const parameters = {
  '270m': [262_144, 100_326_016, 167_772_160],
  '1b': [262_144, 697_896_064, 301_989_888],
  '4b': [262_208, 3_209_010_688, 671_252_480],
  '12b': [262_208, 10_759_155_456, 1_006_878_720],
  '27b': [262_208, 25_599_716_096, 1_409_630_208],
} as const;

/** MiB of keys and values in f16, local layers holding their window: at 32,768 positions, the same with every layer full, at 131,072. */
const mebibytes = {
  '270m': [103.5, 576, 391.5],
  '1b': [139, 832, 523],
  '4b': [756, 4352, 2676],
  '12b': [2368, 12_288, 8512],
  '27b': [2976, 15_872, 10_656],
} as const;

const f16: KvFormats = { local: 'f16', global: 'f16' };

describe.each(sizeNames)('%s', (size) => {
  const config = publishedConfig(size);

  it('has the published number of parameters', () => {
    const [rows, text, embedding] = parameters[size];
    // The 64 rows for images, which a text model leaves out.
    const left = (rows - config.vocabSize) * config.hiddenSize;
    expect(rows * config.hiddenSize).toBe(embedding);
    expect(gemmaStorage(plannedGemmaPlaces(config), 'none').parameters).toBe(text + embedding - left);
  });

  it('has the published keys and values', () => {
    const [at32K, full, at128K] = mebibytes[size];
    // Fed one position at a time, a ring is the window alone.
    expect(kvBytes(config, 32_768, 1, f16).total / 2 ** 20).toBe(at32K);
    expect(kvBytes({ ...config, layers: config.layers.map(() => ({ kind: 'global' })) }, 32_768, 1, f16).total / 2 ** 20).toBe(full);
    expect(kvBytes(config, 131_072, 1, f16).total / 2 ** 20).toBe(at128K);
  });
});

it('has the shapes that differ by size', () => {
  const globals = (size: (typeof sizeNames)[number]): number[] => publishedConfig(size).layers.flatMap(({ kind }, i) => (kind === 'global' ? [i] : []));
  expect(globals('270m')).toEqual([5, 11, 17]);
  expect(globals('1b')).toEqual([5, 11, 17, 23]);
  expect(globals('4b')).toEqual([5, 11, 17, 23, 29]);
  expect([globals('12b').at(-1), globals('27b').at(-1)]).toEqual([47, 59]);
  expect(publishedConfig('12b').scale).toBe(1 / 16);
  expect(publishedConfig('27b').scale).toBeCloseTo(0.077_151_7, 7);
  expect(publishedConfig('27b').headDim).toBe(128);
  expect(sizeNames.map((size) => publishedConfig(size).window)).toEqual([512, 512, 1024, 1024, 1024]);
  expect(sizeNames.map((size) => publishedConfig(size).maxPositions)).toEqual([32_768, 32_768, 131_072, 131_072, 131_072]);
  expect(sizeNames.map((size) => publishedConfig(size).ropeGlobal)).toEqual([1, 1, 8, 8, 8].map((factor) => ({ base: 1e6, factor })));
});

it('has the published sizes of files', () => {
  // Millions of bytes, tensors only; llama.cpp keeps q4_0's embedding larger than we do, so that is not compared.
  const megabytes = (size: (typeof sizeNames)[number], quantize: 'none' | 'q8_0'): number =>
    Math.round(gemmaStorage(plannedGemmaPlaces(publishedConfig(size)), quantize).bytes / 1e6);
  expect(sizeNames.map((size) => megabytes(size, 'none'))).toEqual([536, 2000, 7761, 23_533, 54_021]);
  expect(sizeNames.map((size) => megabytes(size, 'q8_0'))).toEqual([285, 1063, 4124, 12_503, 28_701]);
});
