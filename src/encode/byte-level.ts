/**
 * The tokenizer of a folder without tokenizer.json: byte-level BPE (GPT-2's, which Whisper's is too) from vocab.json,
 * merges.txt and added_tokens.json, as the `tokenizer.json` that transformers would make of them.
 * Source: transformers `convert_slow_tokenizer.py` (WhisperConverter), `tokenization_whisper.py`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { badFile } from '../weights/errors.js';
import { showJson } from '../weights/json.js';

/** The first line of merges.txt; each of the others is a pair of pieces that becomes one, the most important first. */
const versionLine = /^#version/;
/** `<|0.00|>` is a place in time, and no control token. */
const controlToken = /^<\|(?!\d+\.\d+\|>).*\|>$/u;

/** null where there is no vocab.json. Errors: LodestoneError(badModel), one line with the file. */
export async function byteLevelTokenizerJson(dir: string): Promise<object | null> {
  const [vocabPath, mergesPath, addedPath] = ['vocab.json', 'merges.txt', 'added_tokens.json'].map((name) => join(dir, name)) as [string, string, string];
  const vocabulary = await readIds(vocabPath);
  if (vocabulary === null) return null;
  const text = await read(mergesPath);
  if (text === null) throw badFile(dir, 'has a vocab.json, and no merges.txt');
  const merges = text.split(/\r?\n/).filter((line) => line !== '' && !versionLine.test(line)).map((line) => line.split(' '));
  const odd = merges.find((pair) => pair.length !== 2 || pair.includes(''));
  if (odd !== undefined) throw badFile(mergesPath, `${showJson(odd.join(' '))} is not a pair of pieces`);
  const controls = Object.entries(vocabulary).filter(([content]) => controlToken.test(content));
  const added = [...controls, ...Object.entries((await readIds(addedPath)) ?? {})].sort(([, a], [, b]) => a - b);
  return {
    version: '1.0',
    added_tokens: added.map(([content, id]) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: controlToken.test(content) })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false, byte_fallback: false, ignore_merges: false, vocab: vocabulary, merges },
  };
}

async function read(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return null;
    throw badFile(path, `can't be read (${cause.message})`, cause);
  });
}

async function readIds(path: string): Promise<Record<string, number> | null> {
  const text = await read(path);
  if (text === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw badFile(path, 'is not JSON', cause);
  }
  const isId = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof json !== 'object' || json === null || Array.isArray(json) || !Object.values(json).every(isId)) throw badFile(path, 'is not an object of ids by their tokens');
  return json as Record<string, number>;
}
