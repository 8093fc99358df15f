/**
 * How people name models: `hf:org/repo[@revision][:quant]`, `ollama:name[:tag]`, `lmstudio:publisher/model[:quant]`, or a short name
 * (`gemma3-1b`), and what the names of files say.
 */
import { basename } from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { ggufStem } from '../weights/gguf-parts.js';

/** A repository of the hub (or a folder of LM Studio's), and which of its files. */
export interface RepoName {
  readonly owner: string;
  readonly repo: string;
  /** A branch, tag or commit of the hub; null: its main branch, or whatever is there. */
  readonly revision: string | null;
  /** A quantisation (Q4_0) or a file's name; null: whatever is the only one. */
  readonly quant: string | null;
}

/** One part of a name becomes a folder's name: no way out of it, nothing hidden. */
const part = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?$/;
const quantPart = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/;

/** Git's names, slashes among them (refs/pr/1); they go into an address, so no way up. */
const revisionPart = /^(?!.*(?:\.\.|\/\/))[A-Za-z0-9_][A-Za-z0-9_./-]*$/;

/** @param text what stands after `hf:` or `lmstudio:`. Errors: LodestoneError(usage). */
export function parseRepoName(prefix: 'hf' | 'lmstudio', text: string): RepoName {
  const [name = '', quant, ...rest] = text.split(':');
  const at = prefix === 'hf' ? name.indexOf('@') : -1;
  const [path, revision] = at < 0 ? [name, null] : [name.slice(0, at), name.slice(at + 1)];
  const [owner = '', repo = '', ...deeper] = path.split('/');
  if (rest.length > 0 || deeper.length > 0 || !part.test(owner) || !part.test(repo) || (quant !== undefined && !quantPart.test(quant)) || (revision !== null && !revisionPart.test(revision))) {
    throw new LodestoneError(ExitCode.usage, `${prefix}:${text}: is not of the form ${prefix}:${prefix === 'hf' ? 'org/repo[@revision]' : 'publisher/model'}[:quant]`);
  }
  return { owner, repo, revision, quant: quant ?? null };
}

export function showRepoName(prefix: 'hf' | 'lmstudio', { owner, repo, revision, quant }: RepoName): string {
  return `${prefix}:${owner}/${repo}${revision === null ? '' : `@${revision}`}${quant === null ? '' : `:${quant}`}`;
}

/** Where Ollama keeps a manifest: host, namespace, model and tag. */
export interface OllamaName {
  readonly host: string;
  readonly namespace: string;
  readonly model: string;
  readonly tag: string;
}

export const ollamaHost = 'registry.ollama.ai';
const ollamaNamespace = 'library';

/** @param text what stands after `ollama:`: [[host/]namespace/]model[:tag]. Errors: LodestoneError(usage). */
export function parseOllamaName(text: string): OllamaName {
  const colon = text.lastIndexOf(':');
  const tagged = colon > text.lastIndexOf('/');
  const tag = tagged ? text.slice(colon + 1) : 'latest';
  const [model = '', namespace = ollamaNamespace, host = ollamaHost, ...rest] = (tagged ? text.slice(0, colon) : text).split('/').toReversed();
  if (rest.length > 0 || ![host, namespace, model, tag].every((name) => part.test(name))) {
    throw new LodestoneError(ExitCode.usage, `ollama:${text}: is not of the form ollama:model[:tag]`);
  }
  return { host, namespace, model, tag };
}

/** As short as `ollama list` shows it. */
export function showOllamaName({ host, namespace, model, tag }: OllamaName): string {
  const scope = host !== ollamaHost ? `${host}/${namespace}/` : namespace !== ollamaNamespace ? `${namespace}/` : '';
  return `ollama:${scope}${model}:${tag}`;
}

/** The quantisation that a GGUF file's name ends with, in capitals: gemma-3-4b-it-q4_0.gguf -> Q4_0; null where it says none. */
export function quantOfFile(file: string): string | null {
  const stem = ggufStem(file);
  const found = /(?:^|[-._])((?:UD-)?(?:I?Q\d[A-Za-z0-9_]*|B?F16|F32))$/i.exec(stem);
  return found ? found[1]!.toUpperCase() : null;
}

/** Does a file of this name go by `quant`? By its quantisation, or its own name with or without `.gguf`. */
export function fileMatches(file: string, quant: string): boolean {
  const wanted = quant.toLowerCase();
  const name = basename(file).toLowerCase();
  return quantOfFile(file)?.toLowerCase() === wanted || name === wanted || ggufStem(file).toLowerCase() === wanted;
}

/** GGUF files that hold no text model: the vision part of one. */
export function isVisionPart(file: string): boolean {
  return /mmproj/i.test(basename(file));
}

/** Of the vision parts among some files, the one to take: in f16, as published most; else bf16, f32, the first. */
export function preferredVisionPart(files: readonly string[]): string | undefined {
  const parts = files.filter((file) => /\.gguf$/i.test(file) && isVisionPart(file));
  return ['F16', 'BF16', 'F32'].map((quant) => parts.find((file) => quantOfFile(file) === quant)).find((file) => file !== undefined) ?? parts[0];
}

/** Words and numbers: gemma3-4b-it-q4_0 -> gemma 3 4 b it q 4 0. */
function words(text: string): string[] {
  return text.toLowerCase().match(/[a-z]+|\d+/g) ?? [];
}

/** Is `short` a shorter way to write `name`? Its words stand there in the same order, the first one first. */
export function shortNameMatches(short: string, name: string): boolean {
  const wanted = words(short);
  const all = words(name);
  const start = all.indexOf(wanted[0] ?? '');
  if (start < 0) return false;
  let at = start;
  for (const word of wanted) {
    const found = all.indexOf(word, at);
    if (found < 0) return false;
    at = found + 1;
  }
  return true;
}
