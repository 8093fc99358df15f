/**
 * A `tokenizer.json` as GGUF's list of tokens, the other way round than tokenizer-json.ts. GGUF keeps no merges: its readers
 * join whatever makes a token, the best score first (pieces.ts). So a tokenizer that joins otherwise is refused.
 * Source: llama.cpp `conversion/base.py` (SentencePiece), gguf-py `TokenType`.
 */
import { space } from './pieces.js';

export interface GgufVocabulary {
  /** By id. */
  readonly tokens: readonly string[];
  /** The best is 0, that of the first piece; joining prefers the larger. */
  readonly scores: Float32Array;
  readonly types: Int32Array;
}

/** `tokenizer.ggml.token_type` */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Score of tokens that are found as they stand, or are never joined. */
const noScore = -1000;

const byteToken = /^<0x[0-9A-F]{2}>$/;
/** Converters call these control tokens for their looks; text may hold them, as with Gemma's own tokenizer. */
export const looksLikeControl = /^(?:<unused\d+>|<mask>|\[multimodal\])$/;

interface TokenizerJson {
  readonly normalizer?: { readonly type?: unknown; readonly pattern?: { readonly String?: unknown }; readonly content?: unknown } | null;
  readonly added_tokens?: readonly { readonly id: number; readonly content: string; readonly special?: boolean }[];
  readonly model: {
    readonly type?: unknown;
    readonly byte_fallback?: unknown;
    readonly unk_token?: unknown;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
  };
}

/**
 * @param json a tokenizer.json that a tokenizer was made of
 * @param size ids from this one on are left out; those that no token has become unused ones
 * @param fail throws, with what is wrong
 */
export function ggufVocabulary(json: unknown, size: number, fail: (what: string) => never): GgufVocabulary {
  const { normalizer, model, added_tokens: added = [] } = json as TokenizerJson;
  const spaces = normalizer?.type === 'Replace' && normalizer.pattern?.String === ' ' && normalizer.content === space;
  if (model.type !== 'BPE' || model.byte_fallback !== true || !spaces) fail("is not of Gemma's kind (BPE with byte fallback, spaces as U+2581), which a GGUF file would need");
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(size).fill(tokenTypes.unused);
  const scores = new Float32Array(size).fill(noScore);
  const listed = new Set(added.map(({ content }) => content));
  const pieces = new Map<string, number>();
  for (const [token, id] of Object.entries(model.vocab)) {
    if (id >= size) continue;
    tokens[id] = token;
    types[id] = byteToken.test(token) ? tokenTypes.byte : tokenTypes.normal;
    if (types[id] === tokenTypes.normal && !listed.has(token)) pieces.set(token, id);
  }
  for (const { id, content, special } of added) {
    if (id >= size) continue;
    const control = special === true || looksLikeControl.test(content);
    types[id] = content === model.unk_token ? tokenTypes.unknown : control ? tokenTypes.control : tokenTypes.userDefined;
    tokens[id] = control ? content : content.replaceAll(space, ' ');
  }
  checkMerges(model.merges, pieces, listed, fail);
  const first = [...pieces.values()].reduce((least, id) => Math.min(least, id), size);
  for (const id of pieces.values()) scores[id] = first - id;
  return { tokens, scores, types };
}

/** The merges must be all ways to put a piece together from two pieces, the lower ids first: only then do scores say the same. */
function checkMerges(merges: TokenizerJson['model']['merges'], pieces: ReadonlyMap<string, number>, listed: ReadonlySet<string>, fail: (what: string) => never): void {
  let before = -1;
  let count = 0;
  for (const merge of merges) {
    const [left, right] = typeof merge === 'string' ? (merge.split(' ', 2) as [string, string]) : merge;
    const id = pieces.get(left + right);
    if (id === undefined) {
      if (listed.has(left + right)) continue;
      return fail(`joins ${JSON.stringify(left)} and ${JSON.stringify(right)} to what is no token`);
    }
    if (id < before) return fail(`joins pieces in another order than that of their ids, which a GGUF file can't say`);
    before = id;
    count++;
  }
  let possible = 0;
  for (const piece of pieces.keys()) {
    for (let cut = 1; cut < piece.length; cut++) {
      if (pieces.has(piece.slice(0, cut)) && pieces.has(piece.slice(cut))) possible++;
    }
  }
  if (possible !== count) fail(`joins some pairs that make a token and others not (${count} of ${possible}), which a GGUF file can't say`);
}
