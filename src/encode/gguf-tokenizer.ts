/**
 * The tokenizer in a GGUF file's metadata, as the content of a `tokenizer.json`.
 *
 * GGUF stores a SentencePiece BPE model ("llama") as a list of pieces with types, and no merges. SentencePiece joins the
 * neighbours whose piece has the best score, and in Gemma's list a better score is a lower id; so the merges, best first,
 * are all pairs of pieces whose concatenation is a piece, in the order of its id. In front of them stand the merges of
 * runs of spaces, the longest first: such runs are tokens that the user defined, which GGUF stores with real spaces.
 * Source: llama.cpp `conversion/base.py` (types), transformers `convert_slow_tokenizer.py` (order of the merges).
 */
import { badFile } from '../weights/errors.js';
import { showValue, type Gguf, type GgufValue } from '../weights/gguf.js';

/** `tokenizer.ggml.token_type`. */
const types = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Control tokens of Gemma whatever the file says: Google's first quantised files call some of them ordinary. */
const gemmaControls = new Set(['<pad>', '<eos>', '<bos>', '<unk>', '<start_of_turn>', '<end_of_turn>', '<start_of_image>', '<end_of_image>']);

/** The converter calls these control tokens for their looks; text may hold them, as with Gemma's own tokenizer. */
const looksLikeControl = /^(?:<unused\d+>|<mask>|\[multimodal\])$/;

const byteToken = /^<0x[0-9A-F]{2}>$/;

/** SentencePiece's space. */
const space = '\u2581';

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/**
 * @param size ids from this one on are left out
 * Errors: LodestoneError(badModel), one line naming the key.
 */
export function ggufTokenizerJson({ path, metadata }: Pick<Gguf, 'path' | 'metadata'>, size: number): object {
  const fail = (what: string): never => {
    throw badFile(path, what);
  };
  const model = metadata.get('tokenizer.ggml.model');
  if (model !== 'llama') fail(`tokenizer.ggml.model is ${showValue(model)}; only Gemma's ("llama") is supported`);
  if (metadata.get('tokenizer.ggml.add_space_prefix') === true) fail("tokenizer.ggml.add_space_prefix is true, which it is not of Gemma's");
  const tokens = stringsOf(metadata.get('tokenizer.ggml.tokens'), fail);
  const typeOf = typesOf(metadata.get('tokenizer.ggml.token_type'), tokens.length, fail);
  const unknown = metadata.get('tokenizer.ggml.unknown_token_id') ?? 3;

  const vocab = new Map<string, number>();
  const runs: string[] = [];
  const pieces: string[] = [];
  const added: AddedToken[] = [];
  for (const [id, stored] of tokens.slice(0, size).entries()) {
    const token = /^ {2,}$/.test(stored) ? space.repeat(stored.length) : stored;
    if (token === '') fail(`token ${id} is empty`);
    const twin = vocab.get(token);
    if (twin !== undefined) fail(`tokens ${twin} and ${id} are both ${JSON.stringify(token)}`);
    vocab.set(token, id);
    if (byteToken.test(token)) continue;
    const type = typeOf(id);
    const special = gemmaControls.has(token) || (type === types.control && !looksLikeControl.test(token)) || id === unknown;
    if (special || type === types.control || type === types.userDefined) added.push({ id, content: token, special });
    else if (type === types.normal) pieces.push(token);
    if (token !== stored) runs.push(token);
  }
  if (typeof unknown !== 'number' || !(unknown in tokens)) return fail('tokenizer.ggml.unknown_token_id is no token');
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map((token) => ({ ...token, single_word: false, lstrip: false, rstrip: false, normalized: false })),
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: space },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [{ type: 'Replace', pattern: { String: space }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: tokens[unknown],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges: mergesOf(new Set([...runs.sort((a, b) => b.length - a.length), ...pieces])),
    },
  };
}

/** All pairs of pieces that make a piece: by the piece's place in `pieces`, then the longest left part first. */
export function mergesOf(pieces: ReadonlySet<string>): [string, string][] {
  const merges: [string, string][] = [];
  for (const piece of pieces) {
    for (let cut = piece.length - 1; cut > 0; cut--) {
      // Not between the halves of a surrogate pair: neither is a piece.
      const left = piece.slice(0, cut);
      if (!pieces.has(left)) continue;
      const right = piece.slice(cut);
      if (pieces.has(right)) merges.push([left, right]);
    }
  }
  return merges;
}

function stringsOf(value: GgufValue | undefined, fail: (what: string) => never): readonly string[] {
  if (!Array.isArray(value) || value.some((token) => typeof token !== 'string')) return fail('the metadata has no list tokenizer.ggml.tokens');
  return value as readonly string[];
}

function typesOf(value: GgufValue | undefined, count: number, fail: (what: string) => never): (id: number) => number {
  if (typeof value !== 'object' || value.length !== count) return fail(`tokenizer.ggml.token_type is not a list of ${count} types`);
  return (id) => Number(value[id]);
}
