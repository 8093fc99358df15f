/** The stores of models: what is found in each, what is broken, and what a name leads to. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ExitCode } from '../../src/errors.js';
import type { StoredModel } from '../../src/models/describe.js';
import { listModels } from '../../src/models/list.js';
import { fileMatches, parseOllamaName, parseRepoName, quantOfFile, shortNameMatches, showOllamaName } from '../../src/models/names.js';
import { storePlaces } from '../../src/models/places.js';
import { resolveModel } from '../../src/models/resolve.js';
import { embeddedModelDir } from '../../src/paths.js';
import { openModelFiles } from '../../src/runtime/model.js';
import { scratch } from '../cli/run.js';
import { at, fillStores, folderFiles, hubRepository, ollamaModel, surroundingsOf, tiny } from './stores.js';

let home: string;
beforeAll(() => {
  home = scratch();
  fillStores(home);
});

async function listed(dir: string, env: Record<string, string> = {}): Promise<StoredModel[]> {
  return [...(await listModels(surroundingsOf(dir, env))).models];
}

/** Everything under a folder: names, sizes, times, content. */
function snapshot(dir: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()) {
    const info = statSync(path.join(dir, name));
    hash.update(`${name} ${info.size} ${info.mtimeMs} ${info.isFile() ? readFileSync(path.join(dir, name)).toString('base64') : ''}\n`);
  }
  return hash.digest('hex');
}

describe('ls', () => {
  it('finds the Gemma 3 of every store, and what each is', async () => {
    const models = await listed(home);
    expect(models.map(({ name, store, format, quantization }) => [name, store, format, quantization])).toEqual([
      ['lodestone-tiny', 'embedded', 'safetensors', 'BF16'],
      ['hf:ggml-org/gemma-3-4b-it-GGUF:Q4_0', 'hugging-face', 'gguf', 'Q4_0'],
      ['hf:ggml-org/gemma-3-4b-it-GGUF:Q8_0', 'hugging-face', 'gguf', 'Q8_0'],
      ['hf:google/gemma-3-1b-it', 'hugging-face', 'safetensors', 'BF16'],
      [path.join(home, '.cache/llama.cpp/unsloth_gemma-3-270m-it-GGUF_gemma-3-270m-it-BF16.gguf'), 'llama.cpp', 'gguf', 'BF16'],
      ['lmstudio:lmstudio-community/gemma-3-12b-it-GGUF:Q4_0', 'lm-studio', 'gguf', 'Q4_0'],
      ['ollama:gemma3:4b', 'ollama', 'gguf', 'Q4_0'],
    ]);
    for (const { problem } of models) expect(problem).toBeNull();
    const q4 = models.find(({ store }) => store === 'ollama')!;
    expect(q4.bytes).toBe(statSync(tiny('q4_0.gguf')).size);
    // Whatever the format, it is one model.
    expect(new Set(models.slice(1).map(({ parameters }) => parameters)).size).toBe(1);
  });

  it('every name that it prints is one that -m takes, and leads there', async () => {
    for (const { name, path: place } of await listed(home)) {
      const found = await resolveModel(name, surroundingsOf(home));
      expect(found.path).toBe(place);
      await openModelFiles(found.path, { id: found.id });
    }
  });

  it('writes nothing', async () => {
    const before = snapshot(home);
    await listed(home);
    await resolveModel('ollama:gemma3:4b', surroundingsOf(home));
    expect(snapshot(home)).toBe(before);
  });

  it('finds stores where the environment puts them', async () => {
    const elsewhere = scratch();
    fillStores(elsewhere);
    const nobody = scratch();
    const { env } = { env: {
      HF_HUB_CACHE: path.join(elsewhere, '.cache/huggingface/hub'),
      LLAMA_CACHE: path.join(elsewhere, '.cache/llama.cpp'),
      OLLAMA_MODELS: path.join(elsewhere, '.ollama/models'),
    } };
    writeFileSync(at(nobody, '.lmstudio-home-pointer'), path.join(elsewhere, '.lmstudio'));
    expect((await listed(nobody, env)).map(({ store }) => store)).toEqual(['embedded', 'hugging-face', 'hugging-face', 'hugging-face', 'llama.cpp', 'lm-studio', 'ollama']);
    expect((await listed(scratch(), { HF_HOME: path.join(elsewhere, '.cache/huggingface') })).map(({ store }) => store)).toEqual(['embedded', 'hugging-face', 'hugging-face', 'hugging-face']);
    expect((await listed(scratch(), { XDG_CACHE_HOME: path.join(elsewhere, '.cache') })).map(({ store }) => store)).toEqual(['embedded', 'hugging-face', 'hugging-face', 'hugging-face', 'llama.cpp']);
    // Settings of LM Studio.
    const settled = scratch();
    writeFileSync(at(settled, '.lmstudio', 'settings.json'), JSON.stringify({ downloadsFolder: path.join(elsewhere, '.lmstudio/models') }));
    expect((await listed(settled)).map(({ store }) => store)).toEqual(['embedded', 'lm-studio']);
    // Their own folder, twice over.
    expect((await storePlaces(surroundingsOf('/h', { XDG_DATA_HOME: '/data' }))).own).toBe('/data/lodestone/models');
    expect((await storePlaces(surroundingsOf('/h', { XDG_DATA_HOME: 'relative' }))).own).toBe('/h/.local/share/lodestone/models');
    expect((await storePlaces(surroundingsOf('/h', { XDG_DATA_HOME: '/data', LODESTONE_HOME: '~/mine' }))).own).toBe('/h/mine/models');
  });

  it('lists what is broken with its reason, and goes on', async () => {
    const broken = scratch();
    fillStores(broken);
    const hub = path.join(broken, '.cache/huggingface/hub');
    rmSync(path.join(hub, 'models--google--gemma-3-1b-it/blobs/blob-of-model.safetensors'));
    truncateSync(path.join(hub, 'models--ggml-org--gemma-3-4b-it-GGUF/blobs/blob-of-gemma-3-4b-it-Q8_0.gguf'), 100_000);
    mkdirSync(path.join(hub, 'models--google--gemma-3-27b-it/blobs'), { recursive: true });
    const store = path.join(broken, '.ollama/models');
    ollamaModel(store, 'gemma3', '12b', null);
    ollamaModel(store, 'gemma3', 'text', tiny('q4_0.gguf'), 'nonsense');
    ollamaModel(store, 'gemma3', 'escape', null, [{ mediaType: 'application/vnd.ollama.image.model', digest: 'sha256:../../../etc/passwd' }]);
    writeFileSync(at(store, 'manifests/registry.ollama.ai/library/gemma3/json'), '{');
    const models = await listed(broken);
    const problem = (name: string): string | null | undefined => models.find((model) => model.name === name)?.problem;
    expect(problem('hf:google/gemma-3-1b-it')).toMatch(/model\.safetensors/u);
    expect(problem('hf:ggml-org/gemma-3-4b-it-GGUF:Q8_0')).toMatch(/is the download complete/u);
    expect(problem('hf:ggml-org/gemma-3-4b-it-GGUF:Q4_0')).toBeNull();
    expect(problem('hf:google/gemma-3-27b-it')).toMatch(/unfinished download/u);
    expect(problem('ollama:gemma3:12b')).toMatch(/blob sha256-[0-9a-f]{64} is missing/u);
    expect(problem('ollama:gemma3:text')).toMatch(/names no GGUF model/u);
    expect(problem('ollama:gemma3:escape')).toMatch(/names no blob/u);
    expect(problem('ollama:gemma3:json')).toMatch(/manifest can't be read/u);
    expect(problem('ollama:gemma3:4b')).toBeNull();
  });

  it("leaves other models out, and other people's damage", async () => {
    const mixed = scratch();
    const hub = path.join(mixed, '.cache/huggingface/hub');
    const llama = path.join(scratch(), 'config.json');
    writeFileSync(llama, JSON.stringify({ model_type: 'llama' }));
    const junk = path.join(scratch(), 'junk');
    writeFileSync(junk, 'junk');
    hubRepository(hub, 'meta', 'llama', { 'config.json': llama, 'model.safetensors': tiny('model.safetensors') });
    hubRepository(hub, 'meta', 'llama-GGUF', { 'llama-Q4_0.gguf': junk });
    hubRepository(hub, 'someone', 'gemma-3-broken-GGUF', { 'gemma-3-broken-Q4_0.gguf': junk });
    expect((await listed(mixed)).map(({ name }) => name)).toEqual(['lodestone-tiny', 'hf:someone/gemma-3-broken-GGUF:Q4_0']);
    // A Gemma 3 that can't be used is listed whatever it is called.
    const embedding = path.join(scratch(), 'config.json');
    writeFileSync(embedding, JSON.stringify({ model_type: 'gemma3_text', use_bidirectional_attention: true }));
    hubRepository(hub, 'google', 'embedder', { 'config.json': embedding, 'model.safetensors': tiny('model.safetensors') });
    expect((await listed(mixed)).find(({ name }) => name === 'hf:google/embedder')?.problem).toMatch(/EmbeddingGemma/u);
  });

  it('takes the newest snapshot where refs/main is gone', async () => {
    const dir = scratch();
    const hub = path.join(dir, '.cache/huggingface/hub');
    const repository = hubRepository(hub, 'google', 'gemma-3-1b-it', Object.fromEntries(folderFiles.map((name) => [name, tiny(name)])));
    rmSync(path.join(repository, 'refs'), { recursive: true });
    expect((await listed(dir)).map(({ problem }) => problem)).toEqual([null, null]);
  });

  it('says which folder it could not read', async () => {
    const dir = scratch();
    // A link that leads to itself can't be read by anybody, root included.
    symlinkSync('models', at(dir, '.lmstudio', 'models'));
    const { models, unreadable } = await listModels(surroundingsOf(dir));
    expect(models).toHaveLength(1);
    expect(unreadable).toEqual([expect.stringMatching(/\.lmstudio\/models: can't be read \(ELOOP/u)]);
  });
});

describe('-m', () => {
  const resolve = (name: string, dir = home) => resolveModel(name, surroundingsOf(dir));

  it('takes names of every form', async () => {
    const ollama = await resolve('ollama:gemma3:4b');
    expect([path.basename(path.dirname(ollama.path)), ollama.id]).toEqual(['blobs', 'gemma3:4b']);
    expect(path.basename((await resolve('hf:ggml-org/gemma-3-4b-it-gguf:q8_0')).path)).toBe('gemma-3-4b-it-Q8_0.gguf');
    expect(path.basename((await resolve('hf:ggml-org/gemma-3-4b-it-GGUF:gemma-3-4b-it-Q4_0.gguf')).path)).toBe('gemma-3-4b-it-Q4_0.gguf');
    expect((await resolve('hf:unsloth/gemma-3-270m-it-GGUF:BF16')).store).toBe('llama.cpp');
    expect((await resolve('lmstudio:lmstudio-community/gemma-3-12b-it-GGUF')).store).toBe('lm-studio');
    expect((await resolve('gemma3-1b')).id).toBe('gemma-3-1b-it');
    expect((await resolve('gemma3-12b')).store).toBe('lm-studio');
    expect((await resolve('gemma-3-4b-it-q8_0')).name).toBe('hf:ggml-org/gemma-3-4b-it-GGUF:Q8_0');
    expect((await resolve('lodestone-tiny')).path).toBe(embeddedModelDir);
    expect(await resolve(tiny('q4_0.gguf'))).toEqual({ path: tiny('q4_0.gguf'), store: null, name: tiny('q4_0.gguf') });
  });

  it.each([
    ['gemma3-27b', ExitCode.badModel, /^gemma3-27b: no such model directory, and no Gemma 3 or Whisper of that name in the stores; .*lodestone models ls.*lodestone models pull/u],
    ['gemma3-4b', ExitCode.badModel, /^gemma3-4b: there are several: hf:ggml-org\/gemma-3-4b-it-GGUF:Q4_0, .*Q8_0, ollama:gemma3:4b; say which$/u],
    ['hf:ggml-org/gemma-3-4b-it-GGUF', ExitCode.badModel, /there are several: .*:Q4_0, .*:Q8_0; say which$/u],
    ['hf:google/gemma-3-4b-it', ExitCode.badModel, /^hf:google\/gemma-3-4b-it: not on this machine \(looked in .*lodestone\/models, .*hub, .*llama\.cpp\); get it with: lodestone models pull hf:google\/gemma-3-4b-it$/u],
    ['hf:ggml-org/gemma-3-4b-it-GGUF:Q6_K', ExitCode.badModel, /lodestone models pull hf:ggml-org\/gemma-3-4b-it-GGUF:Q6_K$/u],
    ['ollama:gemma3:27b', ExitCode.badModel, /^ollama:gemma3:27b: not in Ollama's store .*ollama pull gemma3:27b$/u],
    ['lmstudio:google/gemma-3-4b', ExitCode.badModel, /not in LM Studio's store/u],
    ['hf:gemma', ExitCode.usage, /is not of the form hf:org\/repo\[@revision\]\[:quant\]$/u],
    ['hf:../etc', ExitCode.usage, /is not of the form/u],
    ['hf:a/..', ExitCode.usage, /is not of the form/u],
    ['hf:a/b:../c', ExitCode.usage, /is not of the form/u],
    ['ollama:../../x', ExitCode.usage, /is not of the form/u],
  ] as const)('%s is refused', async (name, exitCode, message) => {
    await expect(resolve(name)).rejects.toMatchObject({ name: 'LodestoneError', exitCode, message: expect.stringMatching(message) as string });
  });

  it('says what is broken about the only one of a name', async () => {
    const broken = scratch();
    ollamaModel(path.join(broken, '.ollama/models'), 'gemma3', '4b', null);
    await expect(resolve('ollama:gemma3:4b', broken)).rejects.toThrow(/blob sha256-.* is missing/u);
    await expect(resolve('gemma3-4b', broken)).rejects.toThrow(/blob sha256-.* is missing/u);
  });

  it('prefers the model directory of a repository that has both', async () => {
    const both = scratch();
    const files = { ...Object.fromEntries(folderFiles.map((name) => [name, tiny(name)])), 'gemma-3-1b-it-Q4_0.gguf': tiny('q4_0.gguf') };
    hubRepository(path.join(both, '.cache/huggingface/hub'), 'someone', 'both', files);
    expect(path.basename((await resolve('hf:someone/both', both)).path)).toBe('c0ffee');
    expect(path.basename((await resolve('hf:someone/both:q4_0', both)).path)).toBe('gemma-3-1b-it-Q4_0.gguf');
  });

  it('opens a copy of a store that has no links', async () => {
    const copy = scratch();
    cpSync(home, copy, { recursive: true, dereference: true });
    const { path: place } = await resolve('hf:google/gemma-3-1b-it', copy);
    expect(realpathSync(path.join(place, 'config.json'))).toContain('snapshots');
    await openModelFiles(place);
  });
});

describe('names', () => {
  it('of repositories and of Ollama', () => {
    expect(parseRepoName('hf', 'google/gemma-3-1b-it')).toEqual({ owner: 'google', repo: 'gemma-3-1b-it', revision: null, quant: null });
    expect(parseRepoName('hf', 'a/b@refs/pr/1:Q4_0')).toEqual({ owner: 'a', repo: 'b', revision: 'refs/pr/1', quant: 'Q4_0' });
    for (const odd of ['a/b@', 'a/b@../x', 'a/b@x//y', 'a/b@/x', 'a/b@x y']) expect(() => parseRepoName('hf', odd)).toThrow(/is not of the form/u);
    expect(() => parseRepoName('lmstudio', 'a/b@main')).toThrow(/is not of the form/u);
    expect(parseRepoName('hf', 'a/b:Q4_K_M').quant).toBe('Q4_K_M');
    for (const [name, shown] of [['gemma3', 'ollama:gemma3:latest'], ['gemma3:4b', 'ollama:gemma3:4b'], ['me/g:x', 'ollama:me/g:x'], ['hf.co/a/b:Q4_0', 'ollama:hf.co/a/b:Q4_0']] as const) {
      expect(showOllamaName(parseOllamaName(name))).toBe(shown);
    }
  });

  it.each([
    ['gemma-3-4b-it-q4_0.gguf', 'Q4_0'], ['gemma-3-4b-it-Q4_K_M.gguf', 'Q4_K_M'], ['gemma-3-4b-it.Q8_0.gguf', 'Q8_0'], ['x-UD-Q4_K_XL.gguf', 'UD-Q4_K_XL'],
    ['x-IQ4_XS.gguf', 'IQ4_XS'], ['x-BF16.gguf', 'BF16'], ['x-f16-00001-of-00002.gguf', 'F16'], ['gemma-3-4b-it.gguf', null],
  ] as const)('%s is %s', (file, quant) => expect(quantOfFile(file)).toBe(quant));

  it('a quantisation is all of it', () => {
    expect([fileMatches('x-Q4_K_M.gguf', 'q4_k_m'), fileMatches('x-Q4_K_M.gguf', 'Q4_K'), fileMatches('x-Q4_K_M.gguf', 'x-q4_k_m')]).toEqual([true, false, true]);
  });

  it.each([
    ['gemma3-1b', 'gemma-3-1b-it', true], ['gemma3-1b', 'gemma-3-12b-it', false], ['gemma3:4b', 'gemma-3-4b-it', true], ['gemma3-4b-q4_0', 'gemma-3-4b-it-qat-q4_0-gguf', true],
    ['gemma3-4b-q4_0', 'gemma-3-4b-it-Q8_0', false], ['gemma3', 'gemma-3-4b', true], ['1b', 'gemma-3-1b', true], ['', 'gemma-3-1b', false], ['-', 'gemma-3-1b', false],
  ] as const)('%s for %s: %s', (short, name, matches) => expect(shortNameMatches(short, name)).toBe(matches));
});
