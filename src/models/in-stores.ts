/** Names of models -> the places where the stores on this machine keep them. */
import { basename } from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { describe } from './describe.js';
import type { Family } from './family.js';
import { fileMatches, parseOllamaName, parseRepoName, shortNameMatches, showOllamaName, showRepoName, type RepoName } from './names.js';
import { readRecord } from './own.js';
import { storePlaces, type StorePlaces, type Surroundings } from './places.js';
import type { ModelPlace } from './resolve.js';
import { survey, type Candidate, type Store } from './stores.js';

/** @param model `hf:`, `ollama:` or `lmstudio:` and a name, or a short name. Errors: those of `resolveModel`. */
export async function findInStores(model: string, where: Surroundings, wanted: Family | undefined): Promise<ModelPlace> {
  const [, prefix, rest = ''] = /^(hf|ollama|lmstudio):(.*)$/su.exec(model) ?? [];
  if (prefix === 'hf') return inHub(parseRepoName('hf', rest), await storePlaces(where));
  if (prefix === 'lmstudio') return inLmStudio(parseRepoName('lmstudio', rest), await storePlaces(where));
  if (prefix === 'ollama') return inOllama(rest, await storePlaces(where));
  return byShortName(model, await storePlaces(where), wanted);
}

const placeOf = ({ path, mmproj, id, store, name }: Candidate): ModelPlace => ({ path, ...(mmproj === undefined ? {} : { mmproj }), id, store, name });

function missing(message: string): LodestoneError {
  return new LodestoneError(ExitCode.badModel, message);
}

function ambiguous(name: string, found: readonly Candidate[]): LodestoneError {
  const names = new Set(found.map((candidate) => candidate.name));
  return missing(`${name}: there are several: ${[...names].join(', ')}; say which`);
}

async function inHub(name: RepoName, places: StorePlaces): Promise<ModelPlace> {
  const { candidates } = await survey(places);
  const inStores = ofRepository(candidates, ['lodestone', 'hugging-face', 'llama.cpp'], name);
  const found = name.revision === null ? (inStores.length > 0 ? inStores : inFlatCache(candidates, name)) : await ofRevision(inStores, name.revision);
  const shown = showRepoName('hf', name);
  const looked = [places.own, ...places.huggingFace, ...places.llamaCpp].join(', ');
  return theOne(shown, found, `${shown}: not on this machine (looked in ${looked}); get it with: lodestone models pull ${shown}`);
}

/** Those that are known to be of a revision: ours by their record, Hugging Face's by the commit in their path. */
async function ofRevision(candidates: readonly Candidate[], revision: string): Promise<Candidate[]> {
  const isCommit = (commit: string | undefined): boolean => commit !== undefined && /^[0-9a-f]{7,}$/.test(revision) && commit.startsWith(revision);
  const found: Candidate[] = [];
  for (const candidate of candidates) {
    const record = candidate.store === 'lodestone' ? await readRecord(candidate.path) : null;
    const snapshot = /[/\\]snapshots[/\\]([0-9a-f]+)/.exec(candidate.path)?.[1];
    if (record?.revision === revision || isCommit(record?.commit ?? snapshot)) found.push(candidate);
  }
  return found;
}

async function inLmStudio(name: RepoName, places: StorePlaces): Promise<ModelPlace> {
  const { candidates } = await survey(places);
  const shown = showRepoName('lmstudio', name);
  const hub = showRepoName('hf', name);
  return theOne(shown, ofRepository(candidates, ['lm-studio'], name), `${shown}: not in LM Studio's store (looked in ${places.lmStudio.join(', ')}); lodestone models pull ${hub} gets the hub's`);
}

async function inOllama(text: string, places: StorePlaces): Promise<ModelPlace> {
  const shown = showOllamaName(parseOllamaName(text));
  const { candidates, unreadable } = await survey(places);
  const found = candidates.filter(({ store, name }) => store === 'ollama' && name.toLowerCase() === shown.toLowerCase());
  const why = unreadable.find((line) => places.ollama.some((dir) => line.startsWith(dir)));
  const looked = why ?? `looked in ${places.ollama.join(', ')}`;
  return theOne(shown, found, `${shown}: not in Ollama's store (${looked}); get it with: ollama pull ${shown.slice('ollama:'.length)}`);
}

/** The first of what goes by one name, as stores come in their order. Errors: none found, several names, or a broken one. */
function theOne(name: string, found: readonly Candidate[], none: string): ModelPlace {
  const [first] = found;
  if (first === undefined) throw missing(none);
  if (found.some((candidate) => candidate.name !== first.name)) throw ambiguous(name, found);
  const sound = found.find(({ problem }) => problem === undefined);
  if (sound === undefined) throw missing(`${first.path}: ${first.problem}`);
  return placeOf(sound);
}

/** Without a quantisation: the model directory where there is one. */
function ofRepository(candidates: readonly Candidate[], stores: readonly Store[], { owner, repo, quant }: RepoName): Candidate[] {
  const same = (a: string | undefined, b: string): boolean => a?.toLowerCase() === b.toLowerCase();
  const found = candidates.filter((candidate) => stores.includes(candidate.store) && same(candidate.owner, owner) && same(candidate.repo, repo));
  const isFile = ({ path }: Candidate): boolean => /\.gguf$/i.test(path);
  if (quant !== null) return found.filter((candidate) => isFile(candidate) && fileMatches(candidate.path, quant));
  const folders = found.filter((candidate) => !isFile(candidate));
  return folders.some(({ problem }) => problem === undefined) || found.length === folders.length ? folders : found.filter(isFile);
}

/** llama.cpp's older cache calls a file org_repo_file.gguf. */
function inFlatCache(candidates: readonly Candidate[], { owner, repo, quant }: RepoName): Candidate[] {
  const prefix = `${owner}_${repo}_`.toLowerCase();
  return candidates.filter(({ store, path }) => {
    const file = basename(path);
    return store === 'llama.cpp' && file.toLowerCase().startsWith(prefix) && (quant === null || fileMatches(file.slice(prefix.length), quant));
  });
}

const familyNames: Readonly<Record<Family, string>> = { gemma3: 'Gemma 3', whisper: 'Whisper' };

/** Of all models on this machine, the one whose name holds the words of the short one. */
async function byShortName(short: string, places: StorePlaces, wanted: Family | undefined): Promise<ModelPlace> {
  const { candidates } = await survey(places);
  const matching = candidates.filter(({ id, name, repo }) => [id, repo, name.replace(/^[a-z]+:/, '')].some((full) => full !== undefined && shortNameMatches(short, full)));
  const found: Candidate[] = [];
  let problem: string | null = null;
  for (const candidate of matching) {
    const model = await describe(candidate);
    if (model === null) continue;
    if (wanted !== undefined && model.family !== null && model.family !== wanted) problem ??= `${model.name}: is a ${familyNames[model.family]}, and a ${familyNames[wanted]} is needed here`;
    else if (model.problem === null) found.push(candidate);
    else problem ??= `${model.path}: ${model.problem}`;
  }
  const exact = found.filter(({ id, repo }) => id === short || repo === short);
  const kind = wanted === undefined ? 'Gemma 3 or Whisper' : familyNames[wanted];
  const none = `${short}: no such model directory, and no ${kind} of that name in the stores; lodestone models ls shows what is there, lodestone models pull hf:org/repo gets one`;
  return theOne(short, exact.length > 0 ? exact : found, problem ?? none);
}
