/**
 * When each word was said: the path through the cross attention of the alignment heads on which tokens and sound go
 * forward together (dynamic time warping).
 * Source: Whisper's `timing.py`; H. Sakoe and S. Chiba 1978.
 */
import type { Tokenizer } from '../encode/tokenizer.js';
import type { Recogniser } from './model.js';

export interface SpeechWord {
  /** With the space in front of it, if there is one. */
  readonly text: string;
  /** Seconds. */
  readonly from: number;
  readonly to: number;
  /** Mean of its tokens' probabilities. */
  readonly probability: number;
}

/** Tokens of one word, with the text that they are. */
interface TokenWord {
  readonly text: string;
  readonly count: number;
}

/** Languages that put no spaces between words: each character is one. */
const spaceless = new Set(['zh', 'ja', 'th', 'lo', 'my', 'yue']);

export async function splitWords(tokens: readonly number[], tokenizer: Tokenizer, language: string | null): Promise<TokenWord[]> {
  const words: { text: string; count: number }[] = [];
  let waiting: number[] = [];
  for (const [i, id] of tokens.entries()) {
    waiting.push(id);
    const text = await tokenizer.decode(waiting);
    // A character may be spread over several tokens.
    if (text.includes('\uFFFD') && i + 1 < tokens.length && waiting.length < 8) continue;
    const joins = words.length > 0 && !text.startsWith(' ') && !(language !== null && spaceless.has(language));
    if (joins) {
      const last = words.at(-1)!;
      last.text += text;
      last.count += waiting.length;
    } else {
      words.push({ text, count: waiting.length });
    }
    waiting = [];
  }
  return words;
}

/** Positions over which attention is smoothed. */
const medianWidth = 7;

/** The median of each value and its neighbours along a row, which is mirrored at its ends. */
function medianFilter(row: Float32Array): Float32Array {
  const half = medianWidth >> 1;
  if (row.length <= half) return row;
  const neighbours = new Float32Array(medianWidth);
  return row.map((_, i) => {
    for (let j = 0; j < medianWidth; j++) {
      const at = i + j - half;
      neighbours[j] = row[at < 0 ? -at : at >= row.length ? 2 * (row.length - 1) - at : at]!;
    }
    return neighbours.slice().sort()[half]!;
  });
}

/** Of each head: standardised at each position over the tokens, smoothed along the sound; then their mean [rows, columns]. */
function combineHeads(heads: readonly Float32Array[], rows: number, columns: number): Float32Array {
  const sum = new Float32Array(rows * columns);
  for (const attention of heads) {
    const standard = new Float32Array(rows * columns);
    for (let c = 0; c < columns; c++) {
      let [mean, squares] = [0, 0];
      for (let r = 0; r < rows; r++) mean += attention[r * columns + c]! / rows;
      for (let r = 0; r < rows; r++) squares += (attention[r * columns + c]! - mean) ** 2 / rows;
      const deviation = Math.sqrt(squares) || 1;
      for (let r = 0; r < rows; r++) standard[r * columns + c] = (attention[r * columns + c]! - mean) / deviation;
    }
    for (let r = 0; r < rows; r++) {
      const smooth = medianFilter(standard.subarray(r * columns, (r + 1) * columns));
      for (let c = 0; c < columns; c++) sum[r * columns + c]! += smooth[c]! / heads.length;
    }
  }
  return sum;
}

/**
 * The path of least cost from the first row and column to the last, by steps of one row, one column or both.
 * @param cost [rows, columns]
 * @returns for each row, the column at which the path enters it
 */
export function warp(cost: Float32Array, rows: number, columns: number): number[] {
  const total = new Float64Array((rows + 1) * (columns + 1)).fill(Infinity);
  const step = new Uint8Array((rows + 1) * (columns + 1));
  total[0] = 0;
  const width = columns + 1;
  for (let r = 1; r <= rows; r++) {
    for (let c = 1; c <= columns; c++) {
      const [both, down, right] = [total[(r - 1) * width + c - 1]!, total[(r - 1) * width + c]!, total[r * width + c - 1]!];
      const least = Math.min(both, down, right);
      step[r * width + c] = least === both ? 0 : least === down ? 1 : 2;
      total[r * width + c] = cost[(r - 1) * columns + c - 1]! + least;
    }
  }
  const entered: number[] = Array.from({ length: rows }, () => 0);
  for (let r = rows, c = columns; r > 0 && c > 0; ) {
    entered[r - 1] = c - 1;
    const way = step[r * width + c];
    if (way !== 2) r--;
    if (way !== 1) c--;
  }
  return entered;
}

/** Text that belongs together: ids of text alone, and their probabilities. */
export interface TokenPiece {
  readonly text: readonly number[];
  readonly probabilities: readonly number[];
}

/**
 * The words of each piece with their times in the window, in seconds.
 * @param positions of the window that hold sound
 * Errors: the signal's reason.
 */
export async function alignWords(
  model: Recogniser,
  prompt: readonly number[],
  pieces: readonly TokenPiece[],
  positions: number,
  language: string | null,
  signal?: AbortSignal,
): Promise<SpeechWord[][]> {
  const all = pieces.flatMap(({ text }) => text);
  if (all.length === 0) return pieces.map(() => []);
  const noTimes = model.config.tokens.firstTime - 1;
  const heads = await model.alignment([...prompt, noTimes, ...all], positions, signal);
  // The token in front of a text token is the one that looks for it; the last text token looks for the end.
  const rows = all.length + 1;
  const cost = combineHeads(heads.map((head) => head.subarray(prompt.length * positions)), rows, positions).map((value) => -value);
  const times = warp(cost, rows, positions).map((column) => column * model.config.secondsPerPosition);
  const words: SpeechWord[][] = [];
  let at = 0;
  for (const { text, probabilities } of pieces) {
    const ofPiece: SpeechWord[] = [];
    let inside = 0;
    for (const { text: word, count } of await splitWords(text, model.tokenizer, language)) {
      const probability = probabilities.slice(inside, inside + count).reduce((sum, each) => sum + each, 0) / count;
      ofPiece.push({ text: word, from: times[at + inside]!, to: times[at + inside + count]!, probability });
      inside += count;
    }
    at += text.length;
    words.push(ofPiece);
  }
  return words;
}
