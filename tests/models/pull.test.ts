/** Pulling from a hub that does everything wrong that networks and servers do. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { listModels } from '../../src/models/list.js';
import { parseRepoName } from '../../src/models/names.js';
import { pullModel, type PullOptions, type PullProgress, type PullResult } from '../../src/models/pull/pull.js';
import { planRemoval, removeModel } from '../../src/models/remove.js';
import { resolveModel } from '../../src/models/resolve.js';
import { openModelFiles } from '../../src/runtime/model.js';
import { scratch } from '../cli/run.js';
import { commits, fakeHub, fileOf, listOf, rangeOf, sendFile, type FakeHub, type Fault } from './hub.js';
import { writeMmproj } from '../gemma/mmproj-file.js';
import { ggufFile, readGgufFile, tensorsOf } from '../weights/gguf-files.js';
import { at, folderFiles, surroundingsOf, tiny, fillStores } from './stores.js';

const model = Object.fromEntries(folderFiles.map((name) => [name, readFileSync(tiny(name))]));
const weights = model['model.safetensors']!;
const others = { 'README.md': Buffer.from('# a card'), 'original/consolidated.00.pth': Buffer.alloc(5), 'optimizer.bin': Buffer.alloc(200_000), 'model.onnx': Buffer.alloc(9) };

let hub: FakeHub;
let home: string;
beforeEach(async () => {
  hub = await fakeHub({ ...model, ...others, 'generation_config.json': Buffer.from('{"eos_token_id":[1,6]}') });
  home = scratch();
});
afterEach(() => hub.close());

const where = (env: Record<string, string> = {}) => surroundingsOf(home, { HF_ENDPOINT: hub.endpoint, ...env });
const own = (): string => path.join(home, '.local/share/lodestone/models');
const safetensors = (): string => path.join(own(), 'hf/google/gemma-3-tiny/safetensors');

function pull(text = 'google/gemma-3-tiny', options: Partial<PullOptions> = {}): Promise<PullResult> {
  return pullModel(parseRepoName('hf', text), { signal: new AbortController().signal, where: where(), segmentBytes: 65_536, backoffMs: 1, attempts: 3, idleMs: 2000, ...options });
}

async function refused(exitCode: ExitCode, message: RegExp, options: Partial<PullOptions> = {}, text?: string): Promise<void> {
  const error = await pull(text, options).then(() => null, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(LodestoneError);
  expect((error as LodestoneError).message).toMatch(message);
  expect((error as LodestoneError).message).not.toContain('\n');
  expect((error as LodestoneError).exitCode).toBe(exitCode);
}

const isWeights = (url: string): boolean => url === '/blobs/model.safetensors';

function expectWhole(): void {
  for (const name of [...folderFiles, 'generation_config.json']) expect(readFileSync(path.join(safetensors(), name)).equals(hub.files[name]!)).toBe(true);
}

describe('a model directory', () => {
  it('comes whole, with nothing that it does not need, and loads', async () => {
    const seen: PullProgress[] = [];
    const result = await pull(undefined, { onProgress: (progress) => seen.push(progress) });
    expect(result).toMatchObject({ schema: 'lodestone.pull/1', name: 'hf:google/gemma-3-tiny', path: safetensors(), commit: commits.first, unchanged: false });
    expect(readdirSync(safetensors()).sort()).toEqual(['config.json', 'generation_config.json', 'model.safetensors', 'source.json', 'tokenizer.json']);
    expectWhole();
    await openModelFiles(safetensors());
    // Many ranges, side by side, and no byte twice.
    expect(hub.requests('/blobs/model.safetensors')).toHaveLength(Math.ceil(weights.length / 65_536));
    expect(hub.sent).toBe(result.bytes);
    expect(seen.at(-1)).toEqual({ file: 'model.safetensors', done: result.bytes, total: result.bytes });
    expect(seen.every(({ done }, i) => i === 0 || done >= seen[i - 1]!.done)).toBe(true);
    expect(existsSync(path.join(own(), '.partial'))).toBe(false);
    expect((await listModels(where())).models.map(({ name, problem }) => [name, problem])).toEqual([['lodestone-tiny', null], ['hf:google/gemma-3-tiny', null]]);
    expect(await resolveModel('hf:google/gemma-3-tiny', where())).toMatchObject({ store: 'lodestone', path: safetensors() });
  });

  it('comes once; a new commit replaces it', async () => {
    await pull();
    hub.asked.length = 0;
    expect(await pull()).toMatchObject({ unchanged: true });
    expect(hub.asked.map(({ url }) => url)).toEqual(['/api/models/google/gemma-3-tiny/revision/main?blobs=true']);
    hub.commit = commits.second;
    hub.files['generation_config.json'] = Buffer.from('{"eos_token_id":[1]}');
    expect(await pull()).toMatchObject({ unchanged: false, commit: commits.second });
    expectWhole();
    expect(JSON.parse(readFileSync(path.join(safetensors(), 'source.json'), 'utf8'))).toMatchObject({ repository: 'google/gemma-3-tiny', commit: commits.second });
    expect(existsSync(path.join(own(), '.partial'))).toBe(false);
  });

  it('in shards', async () => {
    const { 'model.safetensors': whole, ...rest } = model;
    const index = Buffer.from(JSON.stringify({ weight_map: { x: 'model-00001-of-00001.safetensors' } }));
    hub.files = { ...rest, 'model.safetensors.index.json': index, 'model-00001-of-00001.safetensors': whole! };
    // The tiny index names no tensor of the model, so it comes and is then refused by name.
    await refused(ExitCode.badModel, /^hf:google\/gemma-3-tiny was pulled, but can't be used: .*tensor x is not in model-00001/u);
    expect(readdirSync(safetensors())).toContain('model-00001-of-00001.safetensors');
  });

  it('of another architecture is refused before its weights come', async () => {
    hub.files['config.json'] = Buffer.from('{"model_type":"llama"}');
    await refused(ExitCode.badModel, /config\.json: model_type is "llama"/u);
    expect(hub.requests('model.safetensors')).toHaveLength(0);
  });
});

describe('a GGUF file', () => {
  beforeEach(() => {
    hub.files = { 'README.md': Buffer.from('#'), 'gemma-3-tiny-Q4_0.gguf': readFileSync(tiny('q4_0.gguf')), 'gemma-3-tiny-Q8_0.gguf': readFileSync(tiny('q8_0.gguf')) };
  });

  it('comes alone, by its quantisation', async () => {
    const result = await pull('google/gemma-3-tiny:q4_0');
    expect(result.path).toBe(path.join(own(), 'hf/google/gemma-3-tiny/gguf/gemma-3-tiny-Q4_0.gguf'));
    expect(readFileSync(result.path).equals(hub.files['gemma-3-tiny-Q4_0.gguf']!)).toBe(true);
    expect(hub.sent).toBe(result.bytes);
    expect((await resolveModel('hf:google/gemma-3-tiny:Q4_0', where())).path).toBe(result.path);
    expect(await pull('google/gemma-3-tiny:Q4_0')).toMatchObject({ unchanged: true });
    expect(existsSync(path.join(own(), '.partial'))).toBe(false);
    // Beside another of the same repository.
    await pull('google/gemma-3-tiny:gemma-3-tiny-Q8_0.gguf');
    expect((await listModels(where())).models.map(({ name }) => name)).toEqual(['lodestone-tiny', 'hf:google/gemma-3-tiny:Q4_0', 'hf:google/gemma-3-tiny:Q8_0']);
  });

  it('comes with its vision part, which its quantisations share and the last takes along', async () => {
    const mmproj = { 'mmproj-model-bf16.gguf': Buffer.from('never'), 'mmproj-model-f16.gguf': readFileSync(await writeMmproj(path.join(home, 'x.gguf'), false)) };
    hub.files = { ...hub.files, ...mmproj };
    const first = await pull('google/gemma-3-tiny:q4_0');
    const vision = path.join(path.dirname(first.path), 'mmproj-model-f16.gguf');
    expect(first).toMatchObject({ mmproj: vision, files: [{ name: 'gemma-3-tiny-Q4_0.gguf' }, { name: 'mmproj-model-f16.gguf' }] });
    expect(first.bytes).toBe(hub.files['gemma-3-tiny-Q4_0.gguf']!.length + mmproj['mmproj-model-f16.gguf'].length);
    expect(await resolveModel('hf:google/gemma-3-tiny:Q4_0', where())).toMatchObject({ path: first.path, mmproj: vision });
    const seeing = await openModelFiles(first.path, { mmproj: vision });
    expect(seeing.visionPlaces?.layers).toHaveLength(3);
    const { sent } = hub;
    await pull('google/gemma-3-tiny:q8_0');
    expect(hub.sent - sent).toBe(hub.files['gemma-3-tiny-Q8_0.gguf']!.length);
    expect((await listModels(where())).models.map(({ name }) => name)).toEqual(['lodestone-tiny', 'hf:google/gemma-3-tiny:Q4_0', 'hf:google/gemma-3-tiny:Q8_0']);
    await removeModel(await planRemoval('hf:google/gemma-3-tiny:Q4_0', where()));
    expect(existsSync(vision)).toBe(true);
    await removeModel(await planRemoval('hf:google/gemma-3-tiny:Q8_0', where()));
    expect(existsSync(own())).toBe(true);
    expect(readdirSync(own())).toEqual([]);
    expect(await pull('google/gemma-3-tiny:q4_0', { textOnly: true })).not.toHaveProperty('mmproj');
    expect(existsSync(vision)).toBe(false);
  });

  it('comes in all its parts', async () => {
    const { gguf, metadata } = await readGgufFile(tiny('q8_0.gguf'));
    const tensors = Object.entries(tensorsOf(gguf));
    const parts = [0, 1].map((i) => {
      const keys = { 'split.no': { u32: i }, 'split.count': { u32: 2 }, 'split.tensors.count': { u32: tensors.length } };
      return ggufFile({ ...(i === 0 ? metadata : {}), ...keys }, Object.fromEntries(tensors.filter((_, t) => t % 2 === i)));
    });
    hub.files = { 'q8/g-Q8_0-00001-of-00002.gguf': parts[0]!, 'q8/g-Q8_0-00002-of-00002.gguf': parts[1]!, 'g-Q4_0.gguf': readFileSync(tiny('q4_0.gguf')) };
    await refused(ExitCode.badModel, /say which after a colon: Q8_0, Q4_0$/u);
    const result = await pull('google/gemma-3-tiny:Q8_0');
    expect(result.path).toBe(path.join(own(), 'hf/google/gemma-3-tiny/gguf/g-Q8_0-00001-of-00002.gguf'));
    expect(await pull('google/gemma-3-tiny:Q8_0')).toMatchObject({ unchanged: true });
    expect((await listModels(where())).models.map(({ name, problem }) => [name, problem])).toEqual([['lodestone-tiny', null], ['hf:google/gemma-3-tiny:Q8_0', null]]);
    await removeModel(await planRemoval('hf:google/gemma-3-tiny:Q8_0', where()));
    expect(readdirSync(own())).toEqual([]);
  });

  it('of a revision, which is known again', async () => {
    hub.revision = encodeURIComponent('refs/pr/1');
    hub.commit = commits.second;
    await refused(ExitCode.badModel, /no such repository \(HTTP 404\)/u);
    await refused(ExitCode.badModel, /no such repository, or no such revision of it \(HTTP 404\)/u, {}, 'google/gemma-3-tiny@v2:Q4_0');
    hub.revision = 'refs/pr/1';
    const result = await pull('google/gemma-3-tiny@refs/pr/1:Q4_0');
    expect(result).toMatchObject({ name: 'hf:google/gemma-3-tiny@refs/pr/1:Q4_0', commit: commits.second });
    expect(hub.requests('/resolve/').every(({ url }) => url.includes(`/resolve/${commits.second}/`))).toBe(true);
    for (const revision of ['refs/pr/1', commits.second.slice(0, 7)]) expect(await resolveModel(`hf:google/gemma-3-tiny@${revision}:Q4_0`, where())).toMatchObject({ path: result.path });
    await expect(resolveModel('hf:google/gemma-3-tiny@main:Q4_0', where())).rejects.toThrow(/hf:google\/gemma-3-tiny@main:Q4_0: not on this machine .* lodestone models pull hf:google\/gemma-3-tiny@main:Q4_0$/u);
    // The same files under another name: nothing comes, and the record follows.
    hub.revision = 'main';
    expect(await pull('google/gemma-3-tiny:Q4_0')).toMatchObject({ unchanged: true });
    await resolveModel('hf:google/gemma-3-tiny@main:Q4_0', where());
  });

  it.each([
    ['google/gemma-3-tiny', /there are several GGUF files; say which after a colon: Q4_0, Q8_0$/u],
    ['google/gemma-3-tiny:Q6_K', /no GGUF file is Q6_K; there are Q4_0, Q8_0$/u],
  ])('%s is refused with the choice there is', (text, message) => refused(ExitCode.badModel, message, {}, text));

  it('of another architecture, in parts, or of none', async () => {
    hub.list = { ...listOf(hub), gguf: { architecture: 'llama' } };
    await refused(ExitCode.badModel, /architecture "llama"; only gemma3/u, {}, 'google/gemma-3-tiny:Q4_0');
    hub.list = null;
    hub.files = { 'g-Q4_0-00001-of-00002.gguf': Buffer.alloc(1) };
    await refused(ExitCode.badModel, /the repository has no g-Q4_0-00002-of-00002\.gguf, a part of g-Q4_0/u, {}, 'google/gemma-3-tiny:Q4_0');
    hub.files = { 'README.md': Buffer.alloc(1) };
    await refused(ExitCode.badModel, /neither model\.safetensors nor a GGUF file/u);
    hub.files = model;
    await refused(ExitCode.badModel, /has no GGUF files/u, {}, 'google/gemma-3-tiny:Q4_0');
    hub.files = { 'model.safetensors': weights };
    await refused(ExitCode.badModel, /has no config\.json and no tokenizer\.json$/u);
  });

  it('that is no Gemma 3 after all is kept, and refused', async () => {
    hub.files = { 'g-Q4_0.gguf': Buffer.from('PK') };
    await refused(ExitCode.badModel, /was pulled, but can't be used: .*is not a GGUF file$/u, {}, 'google/gemma-3-tiny');
  });
});

describe('a server that', () => {
  const onWeights = (fault: Fault): Fault => (asked, response, nth) => (isWeights(asked.url) ? fault(asked, response, nth) : false);

  it('drops every connection mid-way: goes on from the byte where it was', async () => {
    hub.fault = onWeights((asked, response) => {
      sendFile(hub, asked, response, { cutAfter: 20_000 });
      return true;
    });
    const { bytes } = await pull();
    expectWhole();
    expect(hub.sent).toBe(bytes);
  });

  it('claims more bytes than it sends, or fewer', async () => {
    for (const claimed of [100_000, 30_000]) {
      home = scratch();
      hub.fault = onWeights((asked, response) => {
        const { from, to } = rangeOf(weights, asked);
        response.writeHead(206, { 'content-length': String(claimed), 'content-range': `bytes ${from}-${to - 1}/${weights.length}` });
        response.write(weights.subarray(from, to), () => setTimeout(() => response.destroy(), 5));
        return true;
      });
      await pull();
      expectWhole();
    }
  });

  it('ignores Range: the whole file, once', async () => {
    hub.fault = onWeights((asked, response) => {
      sendFile(hub, { ...asked, range: undefined }, response);
      return true;
    });
    await pull();
    expectWhole();
    expect(hub.requests('/blobs/model.safetensors')).toHaveLength(2);
  });

  it('ignores Range and drops connections: starts over, and is given up', async () => {
    let cuts = 2;
    hub.fault = onWeights((asked, response) => {
      sendFile(hub, { ...asked, range: undefined }, response, cuts-- > 0 ? { cutAfter: 300_000 } : {});
      return true;
    });
    await pull();
    expectWhole();
    home = scratch();
    cuts = Infinity;
    await refused(ExitCode.badModel, /model\.safetensors: .*, 3 times; what has come is kept, the same command goes on from there$/u);
  });

  it('sends wrong bytes: nothing of them stays', async () => {
    hub.fault = onWeights((asked, response) => {
      const { from, to } = rangeOf(weights, asked);
      const lie = Buffer.from(weights.subarray(from, to));
      if (from === 131_072) lie[17]! ^= 1;
      response.writeHead(206, { 'content-range': `bytes ${from}-${to - 1}/${weights.length}` }).end(lie);
      return true;
    });
    await refused(ExitCode.badModel, /model\.safetensors: the bytes that came are not the hub's \(sha256 [0-9a-f]{64}, not [0-9a-f]{64}\); they were deleted$/u);
    expect(existsSync(safetensors())).toBe(false);
    hub.fault = null;
    await pull();
    expectWhole();
  });

  it('sends a small file that is another of the same length', async () => {
    hub.fault = (asked, response) => {
      if (asked.url !== '/blobs/tokenizer.json') return false;
      response.end(Buffer.alloc(fileOf(hub, asked).length, 32));
      return true;
    };
    await refused(ExitCode.badModel, /tokenizer\.json: the bytes that came are not the hub's \(git [0-9a-f]{40}, not /u);
  });

  it('sends another range than was asked for, or of another file', async () => {
    for (const range of [`bytes 7-100/${weights.length}`, `bytes 0-65535/${weights.length + 1}`, 'nonsense']) {
      hub.fault = onWeights((asked, response) => {
        response.writeHead(206, { 'content-range': range }).end(Buffer.alloc(10));
        return true;
      });
      await refused(ExitCode.badModel, /the server sends .*, but bytes from 0 on of a file of 770032 were asked for$/u);
    }
  });

  it('stalls: the connection is given up, and another made', async () => {
    hub.fault = onWeights((asked, response, nth) => {
      const { from, to } = rangeOf(weights, asked);
      if (nth > 0 || from % 65_536 !== 0) return false;
      response.writeHead(206, { 'content-length': String(to - from), 'content-range': `bytes ${from}-${to - 1}/${weights.length}` });
      response.write(weights.subarray(from, from + 100));
      return true;
    });
    await pull(undefined, { idleMs: 150 });
    expectWhole();
  });

  it('stalls for ever', async () => {
    hub.fault = onWeights(() => true);
    await refused(ExitCode.badModel, /sent nothing for 0\.05 s, 3 times/u, { idleMs: 50 });
  });

  it.each([429, 500, 503])('answers %i for a while, then works', async (status) => {
    hub.fault = (asked, response, nth) => {
      if (nth > 0) return false;
      response.writeHead(status, { 'retry-after': '0' }).end();
      return true;
    };
    await pull();
    expectWhole();
  });

  it('answers 429 and says when to come back', async () => {
    hub.fault = (asked, response, nth) => {
      if (!asked.url.startsWith('/api/') || nth > 0) return false;
      response.writeHead(429, { 'retry-after': '1' }).end();
      return true;
    };
    const before = performance.now();
    await pull();
    expect(performance.now() - before).toBeGreaterThan(990);
  });

  it.each([
    [401, {}, /wants a token: accept the model's terms on http:\/\/127\.0\.0\.1:\d+\/google\/gemma-3-tiny, make a token there, and set HF_TOKEN; or it is misspelled \(HTTP 401\)$/u],
    [401, { HF_TOKEN: 'hf_x' }, /does not take the token .*\(HTTP 401\)$/u],
    [403, {}, /gives it only with a token: accept .*\(HTTP 403\)$/u],
    [403, { HF_TOKEN: 'hf_x' }, /does not give it to the token's account: accept .*\(HTTP 403\)$/u],
    [404, {}, /no such repository \(HTTP 404\)$/u],
    [418, {}, /refuses it \(HTTP 418\)$/u],
    [500, {}, /answered HTTP 500, 3 times; what has come is kept/u],
    [429, {}, /answered HTTP 429, 3 times/u],
  ] as const)('answers %i to the list (%j)', async (status, env, message) => {
    hub.fault = (asked, response) => {
      response.writeHead(status).end();
      return true;
    };
    await refused(ExitCode.badModel, message, { where: where(env) });
    expect(hub.asked).toHaveLength(status === 500 || status === 429 ? 3 : 1);
  });

  it.each([
    [401, /model\.safetensors: .*wants a token/u],
    [404, /model\.safetensors: .*no such file \(HTTP 404\)$/u],
    [416, /has fewer bytes of it than the hub lists \(HTTP 416\)$/u],
  ] as const)('answers %i to a file', async (status, message) => {
    hub.fault = onWeights((asked, response) => {
      response.writeHead(status).end();
      return true;
    });
    await refused(ExitCode.badModel, message);
  });

  it('is not there', async () => {
    const gone = await fakeHub({});
    await gone.close();
    await refused(ExitCode.badModel, /^hf:google\/gemma-3-tiny: .*ECONNREFUSED.*, 3 times/u, { where: where({ HF_ENDPOINT: gone.endpoint }) });
  });

  it('redirects in circles, or to somewhere odd', async () => {
    for (const location of ['/blobs/model.safetensors', 'file:///etc/passwd', 'http://']) {
      hub.fault = onWeights((asked, response) => {
        response.writeHead(302, { location }).end();
        return true;
      });
      await refused(ExitCode.badModel, /redirects (?:in circles|to "(?:file:\/\/\/etc\/passwd|http:\/\/)"), 3 times/u);
    }
  });

  it('is no hub', async () => {
    hub.fault = (asked, response) => {
      response.end('<html>Welcome to the Wi-Fi');
      return true;
    };
    await refused(ExitCode.badModel, /answered something that is not JSON; is HF_ENDPOINT a mirror of the hub\?$/u);
    hub.fault = null;
    for (const list of [null, {}, { sha: '../..', siblings: [] }, { sha: commits.first }, []]) {
      hub.list = list ?? 'null';
      await refused(ExitCode.badModel, /did not answer as the hub does/u);
    }
  });

  it('lists files that would lie elsewhere', async () => {
    const list = listOf(hub);
    const evil = ['../../evil.json', '/etc/evil', 'a//b', 'a/../../b', 'C:\\evil', '', 'nul\0'];
    list.siblings.push(...evil.map((rfilename) => ({ rfilename, size: 1, blobId: '0'.repeat(40) })), { rfilename: 'x.gguf' }, null as never, { rfilename: 'y.gguf', size: -1, blobId: '0'.repeat(40) });
    hub.list = list;
    await pull();
    expectWhole();
    hub.list = { sha: commits.first, siblings: [{ rfilename: 'a/../../../evil-Q4_0.gguf', size: 1, blobId: '0'.repeat(40) }] };
    await refused(ExitCode.badModel, /has no GGUF files/u, {}, 'google/gemma-3-tiny:Q4_0');
  });
});

describe('the token', () => {
  it('goes to the hub and to no other host', async () => {
    await pull(undefined, { where: where({ HF_TOKEN: 'hf_secret' }) });
    const at = (host: string): (string | undefined)[] => hub.asked.filter((asked) => asked.host === host).map(({ authorization }) => authorization);
    expect(new Set(at('hub'))).toEqual(new Set(['Bearer hf_secret']));
    expect(at('files').length).toBeGreaterThan(3);
    expect(new Set(at('files'))).toEqual(new Set([undefined]));
  });

  it('is that of a login where the environment has none', async () => {
    writeFileSync(at(home, '.cache/huggingface/token'), 'hf_login\n');
    await pull();
    expect(hub.asked[0]!.authorization).toBe('Bearer hf_login');
    hub.asked.length = 0;
    writeFileSync(at(home, 'elsewhere'), 'hf_elsewhere');
    await pull(undefined, { where: where({ HF_TOKEN_PATH: path.join(home, 'elsewhere') }) });
    expect(hub.asked[0]!.authorization).toBe('Bearer hf_elsewhere');
    await refused(ExitCode.usage, /token .* holds characters that no token has$/u, { where: where({ HF_TOKEN: 'a\nb' }) });
  });
});

describe('interrupted', () => {
  it('it goes on where it stopped', async () => {
    const stop = new AbortController();
    const interrupted = new LodestoneError(ExitCode.interrupted, 'interrupted');
    const onProgress = ({ done }: PullProgress): void => {
      if (done > 400_000) stop.abort(interrupted);
    };
    await expect(pull(undefined, { signal: stop.signal, onProgress })).rejects.toBe(interrupted);
    expect(existsSync(safetensors())).toBe(false);
    expect(existsSync(path.join(own(), '.partial/hf/google/gemma-3-tiny/safetensors/lock'))).toBe(false);
    const before = hub.sent;
    const first: PullProgress[] = [];
    const { bytes } = await pull(undefined, { onProgress: (progress) => first.push(progress) });
    expectWhole();
    // What had come counts from the start, and only what was on its way comes again.
    expect(first.find(({ file }) => file === 'model.safetensors')!.done).toBeGreaterThan(400_000);
    expect(hub.sent - before).toBeLessThan(bytes - 300_000);
  });

  it('by a crash: state that says too little costs bytes, and damaged state all of them', async () => {
    hub.fault = (asked, response, nth) => {
      if (!isWeights(asked.url) || rangeOf(weights, asked).from < 262_144) return false;
      if (nth < 9) response.destroy();
      return nth < 9;
    };
    await refused(ExitCode.badModel, /3 times/u);
    hub.fault = null;
    const state = path.join(own(), '.partial/hf/google/gemma-3-tiny/safetensors/files/model.safetensors.state.json');
    for (const damage of ['{', '{}', JSON.stringify({ size: weights.length, hash: { hex: 'x' }, segments: [] }), readFileSync(state, 'utf8').replace('"from":65536', '"from":65537')]) {
      const kept = scratch();
      cpSync(path.dirname(state), kept, { recursive: true });
      writeFileSync(state, damage);
      const stop = new AbortController();
      let first = -1;
      const onProgress = ({ file, done }: PullProgress): void => {
        if (file !== 'model.safetensors' || first >= 0) return;
        first = done;
        stop.abort(new LodestoneError(ExitCode.interrupted, 'interrupted'));
      };
      await expect(pull(undefined, { signal: stop.signal, onProgress })).rejects.toThrow('interrupted');
      // Nothing but the small files.
      expect(first).toBeLessThan(20_000);
      cpSync(kept, path.dirname(state), { recursive: true });
    }
    await pull();
    expectWhole();
  });
});

describe('the lock', () => {
  it('lets one pull of a model work at a time', async () => {
    let second: unknown = null;
    hub.fault = async (asked) => {
      if (isWeights(asked.url) && second === null) {
        second = 'under way';
        second = await pull().then(() => 'pulled', (error: unknown) => error);
      }
      return false;
    };
    await pull();
    expect((second as Error).message).toMatch(new RegExp(`^hf:google/gemma-3-tiny: is being pulled already, by process ${process.pid}; if that is not so, delete .*lock$`, 'u'));
    expectWhole();
  });

  it('of a dead process is taken over', async () => {
    const dead = spawn(process.execPath, ['-e', '0']);
    await new Promise((resolve) => dead.on('exit', resolve));
    for (const holder of [String(dead.pid), 'nonsense', '']) {
      home = scratch();
      writeFileSync(at(own(), '.partial/hf/google/gemma-3-tiny/safetensors/lock'), holder);
      await pull();
      expectWhole();
    }
  });
});

describe('the disk', () => {
  it('must have room for what is to come, and not for what is there', async () => {
    await refused(ExitCode.outOfMemory, /1 MiB are to come, but .* has room for 0 MiB; LODESTONE_HOME puts the store on another disk$/u, { freeBytes: async () => 64 * 2 ** 20 + 5000 });
    expect(hub.requests('/resolve/')).toHaveLength(0);
    const stop = new AbortController();
    const onProgress = ({ done }: PullProgress): void => {
      if (done > 700_000) stop.abort(new LodestoneError(ExitCode.interrupted, 'interrupted'));
    };
    await expect(pull(undefined, { signal: stop.signal, onProgress })).rejects.toThrow('interrupted');
    await pull(undefined, { freeBytes: async () => 64 * 2 ** 20 + 300_000 });
    expectWhole();
  });

  it('that takes no folder is named', async () => {
    writeFileSync(path.join(home, 'file'), '');
    await refused(ExitCode.badModel, /\/file\/models.*: can't be made \(/u, { where: where({ LODESTONE_HOME: path.join(home, 'file') }) });
  });
});

it('offline by choice, and an endpoint that is none', async () => {
  await refused(ExitCode.usage, /^HF_HUB_OFFLINE is set/u, { where: where({ HF_HUB_OFFLINE: '1' }) });
  await refused(ExitCode.usage, /^HF_ENDPOINT is "ftp:\/\/x", not an http\(s\) address$/u, { where: where({ HF_ENDPOINT: 'ftp://x' }) });
  expect(hub.asked).toHaveLength(0);
});

describe('rm', () => {
  it('removes a pulled model, and what stood around it', async () => {
    await pull();
    const removal = await planRemoval('hf:google/gemma-3-tiny', where());
    expect(removal.bytes).toBeGreaterThan(weights.length);
    await removeModel(removal);
    expect(readdirSync(own())).toEqual([]);
    await expect(planRemoval('hf:google/gemma-3-tiny', where())).rejects.toMatchObject({ exitCode: ExitCode.badModel });
  });

  it('one file of a repository leaves the others', async () => {
    hub.files = { 'g-Q4_0.gguf': readFileSync(tiny('q4_0.gguf')), 'g-Q8_0.gguf': readFileSync(tiny('q8_0.gguf')) };
    const { path: q8 } = await pull('google/gemma-3-tiny:Q8_0');
    await pull('google/gemma-3-tiny:Q4_0');
    await removeModel(await planRemoval('hf:google/gemma-3-tiny:q4_0', where()));
    expect(readdirSync(path.dirname(q8)).sort()).toEqual(['g-Q8_0.gguf', 'g-Q8_0.gguf.json']);
  });

  it('removes what an interrupted pull left', async () => {
    hub.fault = (asked, response) => {
      if (isWeights(asked.url)) response.destroy();
      return isWeights(asked.url);
    };
    await refused(ExitCode.badModel, /3 times/u);
    const removal = await planRemoval('hf:google/gemma-3-tiny', where());
    expect(removal.name).toBe('hf:google/gemma-3-tiny, unfinished');
    await removeModel(removal);
    expect(readdirSync(own())).toEqual([]);
  });

  it("keeps its hands off other programs' models, paths, and its own", async () => {
    fillStores(home);
    for (const [name, message] of [
      ['ollama:gemma3:4b', /^ollama:gemma3:4b: is in Ollama's store, which belongs to Ollama \(ollama rm\); Lodestone removes nothing there$/u],
      ['hf:google/gemma-3-1b-it', /is in Hugging Face's cache/u],
      ['gemma3-12b', /is in LM Studio's store/u],
      ['gemma-3-270m', /is in llama\.cpp's cache/u],
      ['lodestone-tiny', /comes with Lodestone/u],
      [tiny('q4_0.gguf'), /is a path, not a model of our own store/u],
    ] as const) {
      await expect(planRemoval(name, where())).rejects.toMatchObject({ exitCode: ExitCode.usage, message: expect.stringMatching(message) as string });
    }
    expect(statSync(tiny('q4_0.gguf')).size).toBeGreaterThan(0);
  });
});
