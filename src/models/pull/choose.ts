/** Which files of a repository are needed: a model directory's, or one GGUF model's and its vision part. */
import { basename } from 'node:path';
import { ggufStem, partPaths } from '../../weights/gguf-parts.js';
import { ExitCode, LodestoneError } from '../../errors.js';
import { fileMatches, isVisionPart, preferredVisionPart, quantOfFile, showRepoName, type RepoName } from '../names.js';
import type { HubFile, HubRepository } from './hub.js';

export interface Choice {
  readonly format: 'safetensors' | 'gguf';
  /** The config first, then small ones: what is wrong shows before gigabytes have come. The parts of a GGUF model in order. */
  readonly files: readonly HubFile[];
  /** Of a GGUF model: its vision part, where the repository has one. */
  readonly vision?: HubFile | undefined;
}

/** Taken where they are there: stop ids, chat template, how images and sound are prepared. */
const welcome = ['generation_config.json', 'tokenizer_config.json', 'chat_template.jinja', 'preprocessor_config.json', 'processor_config.json'];
/** Of a speech model without tokenizer.json: what it would be made of. */
const vocabulary = ['vocab.json', 'merges.txt'];

/** Errors: LodestoneError(badModel), one line that says what there is. */
export function chooseFiles(name: RepoName, { files, ggufArchitecture }: HubRepository): Choice {
  const shown = showRepoName('hf', name);
  const fail = (what: string): never => {
    throw new LodestoneError(ExitCode.badModel, `${shown}: ${what}`);
  };
  const ggufs = files.filter((file) => /\.gguf$/i.test(file.name) && !isVisionPart(file.name));
  const weights = safetensorsOf(files);
  if (name.quant === null && weights !== null) {
    const byName = new Map(files.map((file) => [file.name, file]));
    const tokenizer = !byName.has('tokenizer.json') && vocabulary.every((file) => byName.has(file)) ? vocabulary : ['tokenizer.json'];
    const required = ['config.json', ...tokenizer];
    const missing = required.filter((file) => !byName.has(file));
    if (missing.length > 0) return fail(`the repository has no ${missing.join(' and no ')}`);
    const others = [...tokenizer, ...(tokenizer === vocabulary ? ['added_tokens.json'] : []), ...welcome].flatMap((file) => byName.get(file) ?? []);
    return { format: 'safetensors', files: [byName.get('config.json')!, ...[...others, ...weights].sort((a, b) => a.size - b.size)] };
  }
  const quant = name.quant;
  const found = quant === null ? ggufs : ggufs.filter((file) => fileMatches(file.name, quant));
  const choices = [...new Set(ggufs.map((file) => quantOfFile(file.name) ?? basename(file.name)))].join(', ');
  if (ggufs.length === 0) return fail(quant === null ? 'the repository has neither model.safetensors nor a GGUF file' : 'the repository has no GGUF files; without the quantisation its safetensors are pulled');
  if (found.length === 0) return fail(`no GGUF file is ${quant}; there are ${choices}`);
  const [first] = found;
  const parts = partPaths(first!.name).map((part) => files.find((file) => file.name === part) ?? fail(`the repository has no ${part}, a part of ${ggufStem(part)}`));
  if (found.some((file) => !parts.includes(file))) return fail(`there are several GGUF files; say which after a colon: ${quant === null ? choices : found.map((file) => basename(file.name)).join(', ')}`);
  if (ggufArchitecture !== null && ggufArchitecture !== 'gemma3') return fail(`its GGUF files are of the architecture ${JSON.stringify(ggufArchitecture)}; only gemma3 is supported`);
  const vision = preferredVisionPart(files.map((file) => file.name));
  return { format: 'gguf', files: parts, vision: files.find((file) => file.name === vision) };
}

/** One file, or the index and its shards; null where there are none. */
function safetensorsOf(files: readonly HubFile[]): HubFile[] | null {
  const single = files.find((file) => file.name === 'model.safetensors');
  if (single) return [single];
  const index = files.find((file) => file.name === 'model.safetensors.index.json');
  const shards = files.filter((file) => /^model-\d+-of-\d+\.safetensors$/.test(file.name));
  return index && shards.length > 0 ? [index, ...shards] : null;
}
