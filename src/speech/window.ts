/**
 * One window of sound to tokens. Greedy; where what comes out repeats itself or is improbable, again at rising
 * temperatures; where it is improbable and the model thinks that nobody speaks, nothing.
 * Source: Whisper (arXiv 2212.04356), section 4.5.
 */
import { createRandom } from '../random.js';
import type { Tokenizer } from '../encode/tokenizer.js';
import type { SpeechTokens } from './config.js';
import type { Recogniser } from './model.js';
import { compressionRatio, mostCompression, repeatedEnd } from './repetition.js';
import { applyRules, largest } from './rules.js';

export interface WindowText {
  /** Times and text, without prompt and end. */
  readonly tokens: readonly number[];
  /** Probability of each of `tokens`. */
  readonly probabilities: readonly number[];
  /** Mean of the tokens' log probabilities. */
  readonly logProbability: number;
  /** That nobody speaks, as the model thinks; 0 where it does not say. */
  readonly noSpeech: number;
  /** The model repeated itself at every temperature; what it repeated is kept once. */
  readonly repeated: boolean;
}

const temperatures = [0, 0.2, 0.4, 0.6, 0.8, 1];
const leastLogProbability = -1;
const mostNoSpeech = 0.6;

/** What the decoder is given before it writes. `language`: null for a model of English alone. */
export function promptOf({ start, languages, transcribe }: SpeechTokens, language: string | null): number[] {
  return language === null || transcribe === null ? [start] : [start, languages.get(language)!, transcribe];
}

/** The language that the window sounds like; null for a model of English alone. `model` has listened to it. */
export async function detectLanguage(model: Recogniser, signal?: AbortSignal): Promise<string | null> {
  const { start, languages } = model.config.tokens;
  if (languages.size === 0) return null;
  const [logits] = await model.decode([start], 0, 1, signal);
  return [...languages].reduce((best, each) => (logits![each[1]]! > logits![best[1]]! ? each : best))[0];
}

/** @param seed of what is drawn at temperatures above 0. Null: nobody speaks. */
export async function transcribeWindow(model: Recogniser, prompt: readonly number[], seed: number, signal?: AbortSignal): Promise<WindowText | null> {
  let text: WindowText | undefined;
  for (const temperature of temperatures) {
    text = await write(model, prompt, temperature, seed, signal);
    const improbable = text.logProbability < leastLogProbability;
    if (improbable && text.noSpeech > mostNoSpeech) return null;
    if (!improbable && !text.repeated && !(await saysTheSame(text.tokens, model.tokenizer, model.config.tokens))) return text;
  }
  return text!;
}

async function saysTheSame(tokens: readonly number[], tokenizer: Tokenizer, { end }: SpeechTokens): Promise<boolean> {
  return compressionRatio(await tokenizer.decode(tokens.filter((id) => id < end))) > mostCompression;
}

async function write(model: Recogniser, prompt: readonly number[], temperature: number, seed: number, signal: AbortSignal | undefined): Promise<WindowText> {
  const { tokens: ids, targetPositions } = model.config;
  const random = createRandom(seed);
  const first = await model.decode(prompt, 0, prompt.length, signal);
  const noSpeech = ids.noSpeech === null ? 0 : softmaxOf(first[0]!, ids.noSpeech);
  let logits = first.at(-1)!;
  const tokens: number[] = [];
  const probabilities: number[] = [];
  let sum = 0;
  // As many again are for the prompt.
  const most = Math.floor(targetPositions / 2);
  for (;;) {
    applyRules(logits, tokens, ids);
    const id = temperature === 0 ? argmax(logits) : draw(logits, temperature, random);
    const probability = softmaxOf(logits, id);
    sum += Math.log(probability);
    if (id === ids.end) break;
    tokens.push(id);
    probabilities.push(probability);
    const repetition = repeatedEnd(tokens);
    if (repetition) {
      const kept = tokens.length - repetition.length + repetition.period;
      return { tokens: tokens.slice(0, kept), probabilities: probabilities.slice(0, kept), logProbability: sum / tokens.length, noSpeech, repeated: true };
    }
    if (tokens.length >= most) break;
    logits = (await model.decode([id], prompt.length + tokens.length - 1, 1, signal))[0]!;
  }
  return { tokens, probabilities, logProbability: sum / (tokens.length + 1), noSpeech, repeated: false };
}

function argmax(logits: Float32Array): number {
  return logits.indexOf(largest(logits));
}

function softmaxOf(logits: Float32Array, id: number): number {
  const most = largest(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return Math.exp(logits[id]! - most) / sum;
}

function draw(logits: Float32Array, temperature: number, random: () => number): number {
  const most = largest(logits);
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - most) / temperature));
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [id, weight] of weights.entries()) {
    left -= weight;
    if (weight > 0 && left < 0) return id;
  }
  return argmax(logits);
}
