/**
 * A GGUF file's pieces as a `tokenizer.json`: a BPE model whose merges are all the ways to put a piece together from two,
 * in the order of the pieces' ids, as the converters of SentencePiece models make it.
 * Source: transformers `convert_slow_tokenizer.py` (GemmaConverter, generate_merges).
 */
import type { GgufTokens } from './gguf-tokenizer.js';
import { space } from './pieces.js';

export function tokenizerJson({ tokens, pieces, added, controls }: GgufTokens): object {
  const merges: [string, string][] = [];
  for (const [piece] of [...pieces].sort(([, a], [, b]) => a - b)) {
    const characters = [...piece];
    // Of several ways the one with the longer left half goes first.
    for (let cut = characters.length - 1; cut > 0; cut--) {
      const left = characters.slice(0, cut).join('');
      const right = characters.slice(cut).join('');
      if (pieces.has(left) && pieces.has(right)) merges.push([left, right]);
    }
  }
  const token = (content: string, id: number, special: boolean): object => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    // Runs of spaces are found once the text's spaces are U+2581, as they are.
    normalized: !special,
    special,
  });
  const listed = [...[...controls].map(([name, id]) => ({ name, id, special: true })), ...[...added].map(([name, id]) => ({ name, id, special: false }))];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: listed.sort((a, b) => a.id - b.id).map(({ name, id, special }) => token(name, id, special)),
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: space },
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: space }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }] },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: controls.has('<unk>') ? '<unk>' : null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
      merges,
    },
  };
}
