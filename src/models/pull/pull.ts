/**
 * `lodestone models pull`: a repository's model from the hub into our own store.
 *
 * Everything grows in OWN/.partial/hf/org/repo/<what>/ and moves to its place, by a rename, when all of it is there and
 * checked. Beside it then lies a record of what it is: source.json in a model directory, FILE.gguf.json beside a GGUF file.
 */
import { mkdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ExitCode, LodestoneError } from '../../errors.js';
import { openTokenizer } from '../../encode/tokenizer.js';
import { parseConfig } from '../../gemma/config.js';
import { openModelFiles } from '../../runtime/model.js';
import { openSpeechFiles } from '../../speech/files.js';
import { showJson } from '../../weights/json.js';
import { declaredFamily, folderFamily } from '../family.js';
import { showRepoName, type RepoName } from '../names.js';
import { storePlaces, surroundings, type Surroundings } from '../places.js';
import { ownFolders, partialFolder, readRecord, recordPath, removeEmpty, type PullRecord } from '../own.js';
import { chooseFiles, type Choice } from './choose.js';
import { bytesThere, downloadFile, forgetState } from './download.js';
import { fileUrl, hubEndpoint, hubToken, listRepository, refusal, type HubFile, type HubRepository } from './hub.js';
import type { HttpOptions } from './http.js';
import { takeLock } from './lock.js';

export interface PullProgress {
  readonly file: string;
  /** Bytes of all files. */
  readonly done: number;
  readonly total: number;
}

export interface PullOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly where?: Surroundings;
  /** Leave the vision part of a GGUF model out. */
  readonly textOnly?: boolean;
  /** Side by side, for one file. */
  readonly connections?: number;
  readonly segmentBytes?: number;
  readonly backoffMs?: number;
  readonly attempts?: number;
  readonly idleMs?: number;
  /** Bytes free on a folder's disk; null where that can't be told. */
  readonly freeBytes?: (dir: string) => Promise<number | null>;
}

export interface PullResult {
  readonly schema: 'lodestone.pull/1';
  /** What `-m` takes. */
  readonly name: string;
  readonly path: string;
  /** The vision part of a GGUF model. */
  readonly mmproj?: string;
  readonly commit: string;
  readonly bytes: number;
  /** It was there already. */
  readonly unchanged: boolean;
  readonly files: readonly { readonly name: string; readonly size: number; readonly hash: string }[];
}

/** Room that is left on the disk whatever happens. */
const spareBytes = 64 * 2 ** 20;

/**
 * Errors: LodestoneError: badModel (no such model, no permission, a server that does not deliver, wrong bytes, neither a
 * Gemma 3 nor a Whisper), outOfMemory (no room on the disk), usage (offline by choice); the signal's reason. After an error or a signal the
 * same call goes on where this one stopped.
 */
export async function pullModel(name: RepoName, options: PullOptions): Promise<PullResult> {
  const where = options.where ?? surroundings();
  const shown = showRepoName('hf', name);
  const http: HttpOptions = {
    endpoint: hubEndpoint(where),
    token: await hubToken(where),
    signal: options.signal,
    backoffMs: options.backoffMs ?? 500,
    attempts: options.attempts ?? 6,
    idleMs: options.idleMs ?? 30_000,
  };
  const { own } = await storePlaces(where);
  const repository = await listRepository(name, http);
  const choice = chooseFiles(name, repository);
  // The vision part is a model file of its own: other quantisations of the repository share it.
  const choices: Choice[] = choice.vision === undefined || options.textOnly === true ? [choice] : [choice, { format: 'gguf', files: [choice.vision] }];
  const job: Job = { own, name, shown, repository, http, options, total: choices.reduce((sum, { files }) => sum + total(files), 0) };
  let unchanged = true;
  let before = 0;
  for (const each of choices) {
    unchanged = (await pullChoice(job, each, before)) && unchanged;
    before += total(each.files);
  }
  const place = placeOf(own, name, choice);
  const vision = choices[1] && placeOf(own, name, choices[1]).path;
  if (!unchanged) {
    await openPulled(place.path, vision).catch((cause: unknown) => {
      throw new LodestoneError(ExitCode.badModel, `${shown} was pulled, but can't be used: ${(cause as Error).message}`, { cause });
    });
  }
  return {
    schema: 'lodestone.pull/1',
    name: shown,
    path: place.path,
    ...(vision === undefined ? {} : { mmproj: vision }),
    commit: repository.commit,
    bytes: job.total,
    unchanged,
    files: choices.flatMap(({ files }) => files).map((file) => ({ name: file.name, size: file.size, hash: `${file.hash.kind}:${file.hash.hex}` })),
  };
}

interface Job {
  readonly own: string;
  readonly name: RepoName;
  readonly shown: string;
  readonly repository: HubRepository;
  readonly http: HttpOptions;
  readonly options: PullOptions;
  /** Bytes of all choices. */
  readonly total: number;
}

/**
 * @param before bytes of the choices before this one
 * @returns whether it was there already
 */
async function pullChoice(job: Job, choice: Choice, before: number): Promise<boolean> {
  const { own, name, shown, repository, options } = job;
  const place = placeOf(own, name, choice);
  const record = recordOf(name, repository.commit, choice);
  if (await isRecorded(place, choice)) {
    // The same files may be those of another revision.
    await writeFile(recordPath(place.path), record);
    return true;
  }
  await makeFolder(place.partial);
  const release = await takeLock(place.partial, shown);
  try {
    // Another process may have finished it meanwhile.
    if (await isRecorded(place, choice)) return true;
    await checkRoom(place, choice, shown, options.freeBytes ?? freeBytes);
    await fetchAll(job, choice, place, before);
    await settle(place, choice, record);
  } finally {
    await release();
    await removeEmpty(place.partial, own);
  }
  return false;
}

const total = (files: readonly HubFile[]): number => files.reduce((sum, { size }) => sum + size, 0);

interface Place {
  /** Where the model will be. */
  readonly path: string;
  /** Where it grows. */
  readonly partial: string;
  /** Where a file of the repository lies in `partial`, and at the end. */
  readonly growing: (file: HubFile) => string;
  readonly final: (file: HubFile) => string;
}

function placeOf(own: string, { owner, repo }: RepoName, { format, files }: Choice): Place {
  const { safetensors, gguf } = ownFolders(own, owner, repo);
  const partial = partialFolder(own, owner, repo);
  if (format === 'safetensors') {
    const growing = join(partial, 'safetensors');
    return { path: safetensors, partial: growing, growing: (file) => join(growing, 'files', file.name), final: (file) => join(safetensors, file.name) };
  }
  const file = basename(files[0]!.name);
  const growing = join(partial, file);
  return { path: join(gguf, file), partial: growing, growing: (part) => join(growing, basename(part.name)), final: (part) => join(gguf, basename(part.name)) };
}

async function makeFolder(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true }).catch((cause: unknown) => {
    throw new LodestoneError(ExitCode.badModel, `${dir}: can't be made (${(cause as Error).message})`, { cause });
  });
}

function recordOf({ owner, repo, revision }: RepoName, commit: string, { files }: Choice): string {
  const record: PullRecord = { repository: `${owner}/${repo}`, revision: revision ?? 'main', commit, files: files.map(({ name, size, hash }) => ({ name, size, hash: hash.hex })) };
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** Are these very files there already? By the record, and their sizes. */
async function isRecorded(place: Place, { files }: Choice): Promise<boolean> {
  const record = await readRecord(place.path);
  for (const file of files) {
    if (!record?.files?.some(({ name, hash }) => name === file.name && hash === file.hash.hex)) return false;
    if ((await stat(place.final(file)).catch(() => null))?.size !== file.size) return false;
  }
  return true;
}

async function freeBytes(dir: string): Promise<number | null> {
  return statfs(dir).then(({ bavail, bsize }) => bavail * bsize, () => null);
}

async function checkRoom({ partial, growing }: Place, { files }: Choice, shown: string, free: (dir: string) => Promise<number | null>): Promise<void> {
  const there = await free(partial);
  if (there === null) return;
  const kept = await Promise.all(files.map((file) => bytesThere({ path: growing(file), size: file.size, hash: file.hash })));
  const needed = total(files) - kept.reduce((sum, bytes) => sum + bytes, 0);
  if (needed + spareBytes <= there) return;
  throw new LodestoneError(ExitCode.outOfMemory, `${shown}: ${Math.ceil(needed / 2 ** 20)} MiB are to come, but ${partial} has room for ${Math.floor(Math.max(0, there - spareBytes) / 2 ** 20)} MiB; LODESTONE_HOME puts the store on another disk`);
}

async function fetchAll({ name, repository: { commit }, http, options, total: all }: Job, choice: Choice, place: Place, earlier: number): Promise<void> {
  let before = earlier;
  for (const file of choice.files) {
    const shown = `${showRepoName('hf', name)}: ${file.name}`;
    await downloadFile({
      url: fileUrl(http.endpoint, name, commit, file.name),
      path: place.growing(file),
      size: file.size,
      hash: file.hash,
      name: shown,
      connections: options.connections ?? 4,
      segmentBytes: options.segmentBytes ?? 32 * 2 ** 20,
      http,
      onProgress: (done) => options.onProgress?.({ file: file.name, done: before + done, total: all }),
      explain: (error) => refusal(error, shown, name, http, 'no such file'),
    });
    before += file.size;
    if (file.name === 'config.json') await checkConfig(place.growing(file), shown, choice);
  }
}

/** Before gigabytes of another architecture come, or of a model that lacks what cannot be done without. */
async function checkConfig(path: string, shown: string, { files }: Choice): Promise<void> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new LodestoneError(ExitCode.badModel, `${shown}: is not JSON`, { cause });
  }
  const { type, family } = declaredFamily(json);
  if (type !== null && family === null) throw new LodestoneError(ExitCode.badModel, `${shown}: model_type is ${showJson(type)}; the models that are used here are Gemma 3 and, for speech, Whisper`);
  if (family !== 'whisper') parseConfig(json, shown);
  const needed = family === 'whisper' ? 'generation_config.json' : 'tokenizer.json';
  if (!files.some(({ name }) => name === needed)) throw new LodestoneError(ExitCode.badModel, `${shown}: the repository has no ${needed}, which a model of this kind needs`);
}

/** Everything that can be checked without reading the weights. Errors: LodestoneError(badModel). */
async function openPulled(path: string, mmproj: string | undefined): Promise<void> {
  if ((await folderFamily(path)).family !== 'whisper') {
    await openModelFiles(path, { mmproj });
    return;
  }
  await openSpeechFiles(path);
  await openTokenizer(path);
}

/** All of it is there: into its place, by renames. */
async function settle(place: Place, { format, files }: Choice, record: string): Promise<void> {
  await makeFolder(dirname(place.path));
  if (format === 'gguf') {
    await rm(recordPath(place.path), { force: true });
    for (const file of files) await rename(place.growing(file), place.final(file));
    await writeFile(recordPath(place.path), record);
    for (const file of files) await forgetState(place.growing(file));
    return;
  }
  const grown = join(place.partial, 'files');
  await writeFile(join(grown, 'source.json'), record);
  // An older commit's directory steps aside for the moment between two renames.
  const old = join(place.partial, 'old');
  await rm(old, { recursive: true, force: true });
  await rename(place.path, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(grown, place.path);
  await rm(old, { recursive: true, force: true });
  for (const file of files) await forgetState(place.final(file));
}
