/**
 * The tokenizer in a GGUF file's metadata: a SentencePiece BPE model ("llama"), as a list of tokens with types.
 * Source: llama.cpp `conversion/base.py`.
 */
import { badFile } from '../weights/errors.js';
import { showValue, type Gguf, type GgufValue } from '../weights/gguf.js';
import { looksLikeControl, tokenTypes as types, type GgufVocabulary } from './gguf-vocabulary.js';
import { PieceTokenizer, space, type PieceList } from './pieces.js';
import { TextTokenizer, type Backend, type Tokenizer } from './tokenizer.js';

/** Control tokens of Gemma whatever the file says: Google's first quantised files call some of them ordinary. */
const gemmaControls = new Set(['<pad>', '<eos>', '<bos>', '<unk>', '<start_of_turn>', '<end_of_turn>', '<start_of_image>', '<end_of_image>']);

const spaces = /^ {2,}$/;
const byteToken = /^<0x([0-9A-F]{2})>$/;

export interface GgufTokens extends PieceList {
  /** Control tokens, name -> id. */
  readonly controls: ReadonlyMap<string, number>;
  /** The largest id that text can have. */
  readonly largestTextId: number;
}

/** The tokenizer, with ids below `size`. Errors: LodestoneError(badModel), one line. */
export function openGgufTokenizer(gguf: Pick<Gguf, 'path' | 'metadata'>, size: number): Tokenizer {
  const tokens = ggufTokens(gguf, size);
  const pieces = new PieceTokenizer(tokens);
  const backend: Backend = { name: 'pieces', encode: async (text) => pieces.encode(text), decode: async (ids) => pieces.decode(ids) };
  return new TextTokenizer(gguf.path, backend, tokens.controls, null, tokens.largestTextId);
}

/**
 * @param size ids from this one on are left out
 * Errors: LodestoneError(badModel), one line naming the key.
 */
export function ggufTokens({ path, metadata }: Pick<Gguf, 'path' | 'metadata'>, size: number): GgufTokens {
  const fail = (what: string): never => {
    throw badFile(path, what);
  };
  const model = metadata.get('tokenizer.ggml.model');
  if (model !== 'llama') fail(`tokenizer.ggml.model is ${showValue(model)}; only Gemma's ("llama") is supported`);
  if (metadata.get('tokenizer.ggml.add_space_prefix') === true) fail("tokenizer.ggml.add_space_prefix is true, which it is not of Gemma's");
  const stored = stringsOf(metadata.get('tokenizer.ggml.tokens'), fail);
  const typeOf = typesOf(metadata.get('tokenizer.ggml.token_type'), stored.length, fail);

  // Runs of spaces are tokens that the user defined, which GGUF stores with real spaces.
  const tokens = stored.slice(0, size).map((token) => (token.startsWith('  ') && spaces.test(token) ? space.repeat(token.length) : token));
  const failTwins = (token: string): never => {
    const first = tokens.indexOf(token);
    return fail(`tokens ${first} and ${tokens.indexOf(token, first + 1)} are both ${JSON.stringify(token)}`);
  };
  // Gemma's 262,144 tokens are gone through whenever a model is opened: almost all are pieces, which cost one look-up each.
  const pieces = new Map<string, number>();
  const others = new Map<string, number>();
  const added = new Map<string, number>();
  const controls = new Map<string, number>();
  const bytes: number[] = [];
  let largestTextId = 0;
  for (let id = 0; id < tokens.length; id++) {
    const token = tokens[id]!;
    const type = typeOf(id);
    const byte = token.startsWith('<0x') ? byteToken.exec(token) : null;
    const control = type === types.unknown || (type === types.control && !looksLikeControl.test(token)) || (token.startsWith('<') && gemmaControls.has(token));
    const home = type === types.normal && !byte && !control ? pieces : others;
    const known = home.size;
    home.set(token, id);
    if (token === '') fail(`token ${id} is empty`);
    if (home.size === known) failTwins(token);
    if (control) controls.set(token, id);
    else largestTextId = id;
    if (control || home === pieces) continue;
    if (byte) bytes[Number.parseInt(byte[1]!, 16)] = id;
    else if (type === types.control || type === types.userDefined) added.set(token, id);
  }
  for (const token of others.keys()) {
    if (pieces.has(token)) failTwins(token);
  }
  const byteCount = Object.keys(bytes).length;
  if (byteCount !== 256) fail(`has ${byteCount} of the 256 tokens of single bytes (<0x00> to <0xFF>)`);
  return { tokens, pieces, added, bytes, controls, largestTextId, skipped: new Set(controls.values()) };
}

/** The list as it is, for a file that is written again. Errors: those of `ggufTokens`. */
export function storedVocabulary(gguf: Pick<Gguf, 'path' | 'metadata'>, size: number): GgufVocabulary {
  const fail = (what: string): never => {
    throw badFile(gguf.path, what);
  };
  const stored = stringsOf(gguf.metadata.get('tokenizer.ggml.tokens'), fail);
  const typeOf = typesOf(gguf.metadata.get('tokenizer.ggml.token_type'), stored.length, fail);
  const tokens = stored.slice(0, size);
  const scores = gguf.metadata.get('tokenizer.ggml.scores');
  const scored = scores instanceof Float32Array && scores.length === stored.length;
  return {
    tokens,
    types: Int32Array.from(tokens, (token, id) => (gemmaControls.has(token) && typeOf(id) === types.normal ? types.control : typeOf(id))),
    // Readers that have no scores join by ids, as Gemma's are in order.
    scores: scored ? scores.slice(0, size) : Float32Array.from(tokens, (_, id) => -id),
  };
}

function stringsOf(value: GgufValue | undefined, fail: (what: string) => never): readonly string[] {
  if (!Array.isArray(value) || value.some((token) => typeof token !== 'string')) return fail('the metadata has no list tokenizer.ggml.tokens');
  return value as readonly string[];
}

function typesOf(value: GgufValue | undefined, count: number, fail: (what: string) => never): (id: number) => number {
  if (typeof value !== 'object' || value.length !== count) return fail(`tokenizer.ggml.token_type is not a list of ${count} types`);
  return (id) => Number(value[id]);
}
