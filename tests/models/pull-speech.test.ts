/** Whisper repositories: which of their many files come, how they are listed, named and removed, and which one hears. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspectSpeech } from '../../src/models/inspect-speech.js';
import { listModels } from '../../src/models/list.js';
import { parseRepoName } from '../../src/models/names.js';
import { pullModel, type PullResult } from '../../src/models/pull/pull.js';
import { planRemoval, removeModel } from '../../src/models/remove.js';
import { resolveModel } from '../../src/models/resolve.js';
import { openSpeechFiles } from '../../src/speech/files.js';
import { chooseSpeech } from '../../src/speech/choose.js';
import { namedSpeech } from '../../src/speech/named.js';
import { scratch } from '../cli/run.js';
import { randomWhisper } from '../speech/golden.js';
import { fakeHub, type FakeHub } from './hub.js';
import { hubRepository, surroundingsOf } from './stores.js';

const file = (name: string): Buffer => readFileSync(path.join(randomWhisper, name));
const needed = Object.fromEntries(['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'].map((name) => [name, file(name)]));
const bulk = (): Buffer => Buffer.alloc(300_000);

/** What openai/whisper-large-v3 has beside: the same weights in other programs' formats, and in fp32. */
const others = {
  'README.md': Buffer.from('# a card'),
  'added_tokens.json': Buffer.from('{}'),
  'flax_model.msgpack': bulk(),
  'merges.txt': Buffer.from('#version: 0.2\n'),
  'model.fp32-00001-of-00002.safetensors': bulk(),
  'model.fp32-00002-of-00002.safetensors': bulk(),
  'model.safetensors.index.fp32.json': Buffer.from('{}'),
  'normalizer.json': Buffer.from('{}'),
  'preprocessor_config.json': Buffer.from('{"feature_size":80,"n_fft":400,"hop_length":160,"sampling_rate":16000}'),
  'pytorch_model.bin': bulk(),
  'pytorch_model.fp32-00001-of-00002.bin': bulk(),
  'special_tokens_map.json': Buffer.from('{}'),
  'tokenizer_config.json': Buffer.from('{}'),
  'vocab.json': Buffer.from('{}'),
};

let hub: FakeHub;
let home: string;
beforeEach(async () => {
  hub = await fakeHub({ ...needed, ...others }, 'openai/whisper-tiny');
  home = scratch();
});
afterEach(() => hub.close());

const where = (env: Record<string, string> = {}) => surroundingsOf(home, { HF_ENDPOINT: hub.endpoint, ...env });
const pulledTo = (repo = 'openai/whisper-tiny'): string => path.join(home, '.local/share/lodestone/models/hf', repo, 'safetensors');
function pull(repo = 'openai/whisper-tiny'): Promise<PullResult> {
  return pullModel(parseRepoName('hf', repo), { signal: new AbortController().signal, where: where(), segmentBytes: 65_536, backoffMs: 1, attempts: 2, idleMs: 2000 });
}
const usable = async (): Promise<unknown[]> => (await listModels(where())).models.map(({ name, family, languages, context, problem }) => [name, family, languages, context, problem]);
/** A folder where no embedded speech model is. */
const nowhere = scratch();
const chosen = (named?: string, embedded = nowhere) => chooseSpeech(named, { where: where(), embedded });

describe('a Whisper repository', () => {
  it('comes with what is needed, and one copy of its weights', async () => {
    const result = await pull();
    expect(result).toMatchObject({ name: 'hf:openai/whisper-tiny', path: pulledTo(), unchanged: false });
    expect(readdirSync(pulledTo()).sort()).toEqual([...Object.keys(needed), 'preprocessor_config.json', 'source.json', 'tokenizer_config.json'].sort());
    // What it is shows first, and the weights come last.
    expect([result.files[0]!.name, result.files.at(-1)!.name]).toEqual(['config.json', 'model.safetensors']);
    await openSpeechFiles(pulledTo());
    expect(await pull()).toMatchObject({ unchanged: true });
  });

  it('comes in shards', async () => {
    const { 'model.safetensors': weights, ...rest } = needed;
    const { tensors } = (await openSpeechFiles(randomWhisper)).checkpoint;
    const index = { weight_map: Object.fromEntries([...tensors.keys()].map((name) => [name, 'model-00001-of-00001.safetensors'])) };
    hub.files = { ...rest, ...others, 'model.safetensors.index.json': Buffer.from(JSON.stringify(index)), 'model-00001-of-00001.safetensors': weights! };
    await pull();
    expect(readdirSync(pulledTo()).filter((name) => name.includes('safetensors')).sort()).toEqual(['model-00001-of-00001.safetensors', 'model.safetensors.index.json']);
  });

  it('comes with its vocabulary where it has no tokenizer.json', async () => {
    const { 'tokenizer.json': tokenizer, ...rest } = needed;
    const { model, added_tokens: added } = JSON.parse(tokenizer!.toString()) as { model: { vocab: object }; added_tokens: { content: string; id: number }[] };
    const ids = Object.fromEntries(added.map(({ content, id }) => [content, id]));
    hub.files = { ...rest, ...others, 'vocab.json': Buffer.from(JSON.stringify(model.vocab)), 'added_tokens.json': Buffer.from(JSON.stringify(ids)) };
    await pull();
    expect(readdirSync(pulledTo())).toEqual(expect.arrayContaining(['vocab.json', 'merges.txt', 'added_tokens.json']));
    expect(await usable()).toContainEqual(['hf:openai/whisper-tiny', 'whisper', 2, null, null]);
  });

  it.each([
    ['generation_config.json', /config\.json: the repository has no generation_config\.json, which a model of this kind needs$/u],
    ['model.safetensors', /the repository has neither model\.safetensors nor a GGUF file$/u],
  ])('without %s is refused before its weights come', async (name, message) => {
    delete hub.files[name];
    hub.files = { ...hub.files };
    await expect(pull()).rejects.toThrow(message);
    expect(hub.requests('/blobs/model')).toHaveLength(0);
  });

  it('with weights that do not fit its config is kept, and refused', async () => {
    hub.files['config.json'] = Buffer.from(file('config.json').toString().replace('"encoder_layers": 2', '"encoder_layers": 3'));
    await expect(pull()).rejects.toThrow(/^hf:openai\/whisper-tiny was pulled, but can't be used: .*tensor model\.encoder\.layers\.2\.self_attn_layer_norm\.weight is missing$/u);
    expect(await usable()).toContainEqual(['hf:openai/whisper-tiny', 'whisper', null, null, expect.stringMatching(/is missing$/u)]);
  });

  it('of another architecture is refused by its name', async () => {
    hub.files['config.json'] = Buffer.from('{"model_type":"wav2vec2"}');
    await expect(pull()).rejects.toThrow(/config\.json: model_type is "wav2vec2"; the models that are used here are Gemma 3 and, for speech, Whisper$/u);
    expect(hub.requests('/blobs/').map(({ url }) => url)).toEqual(['/blobs/config.json']);
  });
});

describe('once it is there', () => {
  it('it is listed, inspected, named and removed', async () => {
    await pull();
    expect(await usable()).toEqual([['lodestone-tiny', 'gemma3', null, 16_777_216, null], ['hf:openai/whisper-tiny', 'whisper', 2, null, null]]);
    const place = await resolveModel('hf:openai/whisper-tiny', where());
    expect(await inspectSpeech(place)).toMatchObject({
      schema: 'lodestone.speech-model/1',
      languages: ['en', 'de'],
      formats: { F16: expect.any(Number) as number },
      architecture: { width: 32, encoder_layers: 2, decoder_layers: 3, mel_bands: 80, window_seconds: 2 },
    });
    // Short names mean what is wanted: both of these are called tiny.
    expect((await resolveModel('tiny', where(), 'gemma3')).name).toBe('lodestone-tiny');
    expect((await resolveModel('tiny', where(), 'whisper')).name).toBe('hf:openai/whisper-tiny');
    await expect(resolveModel('whisper-tiny', where(), 'gemma3')).rejects.toThrow(/^hf:openai\/whisper-tiny: is a Whisper, and a Gemma 3 is needed here$/u);
    await removeModel(await planRemoval('whisper-tiny', where()));
    expect(existsSync(pulledTo())).toBe(false);
  });

  it('and lies in the cache of the hub, it is found there too; models of other programs are not ours', async () => {
    const cache = path.join(home, '.cache/huggingface/hub');
    const files = Object.fromEntries(Object.keys(needed).map((name) => [name, path.join(randomWhisper, name)]));
    hubRepository(cache, 'openai', 'whisper-small', files);
    const { 'model.safetensors': _, ...unsafe } = files;
    hubRepository(cache, 'someone', 'whisper-of-old', { ...unsafe, 'pytorch_model.bin': path.join(randomWhisper, 'README.md') });
    const converted = path.join(scratch(), 'config.json');
    writeFileSync(converted, '{"alignment_heads":[]}');
    hubRepository(cache, 'Systran', 'faster-whisper-tiny', { 'config.json': converted, 'model.bin': path.join(randomWhisper, 'README.md') });
    expect(await usable()).toEqual([
      ['lodestone-tiny', 'gemma3', null, 16_777_216, null],
      ['hf:openai/whisper-small', 'whisper', 2, null, null],
      ['hf:someone/whisper-of-old', 'whisper', null, null, expect.stringMatching(/no model\.safetensors/u)],
    ]);
    expect(await chosen()).toMatchObject({ name: 'hf:openai/whisper-small' });
  });
});

describe('what hears', () => {
  it('is what is named; else what was pulled, the package\'s own, or the only one elsewhere', async () => {
    const problem = async (): Promise<string> => (await chosen() as { problem: string }).problem;
    expect(await problem()).toMatch(/^no speech model is on this machine; get one with: lodestone models pull hf:openai\/whisper-base \(or name .* with --speech, or in LODESTONE_SPEECH\)$/u);
    const embedded = path.join(scratch(), 'own');
    mkdirSync(embedded);
    writeFileSync(path.join(embedded, 'model.safetensors'), '');
    hubRepository(path.join(home, '.cache/huggingface/hub'), 'openai', 'whisper-small', Object.fromEntries(Object.keys(needed).map((name) => [name, path.join(randomWhisper, name)])));
    expect(await chosen(undefined, embedded)).toEqual({ dir: embedded, name: 'own' });
    await pull();
    for (const own of [nowhere, embedded]) expect(await chosen(undefined, own)).toEqual({ dir: pulledTo(), name: 'hf:openai/whisper-tiny' });
    expect(await chosen('hf:openai/whisper-small')).toMatchObject({ name: 'hf:openai/whisper-small' });
    expect(await chosen(randomWhisper)).toEqual({ dir: randomWhisper, name: 'whisper-random' });
    expect([namedSpeech(where({ LODESTONE_SPEECH: 'x' })), namedSpeech(where({ LODESTONE_SPEECH: '' }))]).toEqual(['x', undefined]);
    await expect(chosen('hf:openai/whisper-base')).rejects.toThrow(/lodestone models pull hf:openai\/whisper-base$/u);
    await expect(chosen('lodestone-tiny')).rejects.toThrow(/is a Gemma 3, and a Whisper is needed here$/u);
  });

  it('is not chosen among several', async () => {
    await pull();
    const second = pulledTo('someone/whisper-fine');
    mkdirSync(second, { recursive: true });
    for (const [name, bytes] of Object.entries(needed)) writeFileSync(path.join(second, name), bytes);
    expect(await chosen()).toEqual({ problem: 'there are several speech models (hf:openai/whisper-tiny, hf:someone/whisper-fine); say which with --speech, or in LODESTONE_SPEECH' });
    // One that is broken is none to choose.
    rmSync(path.join(second, 'model.safetensors'));
    expect(await chosen()).toMatchObject({ name: 'hf:openai/whisper-tiny' });
  });
});
