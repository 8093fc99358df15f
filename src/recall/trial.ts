/** What every suite yields: documents with questions about them, as plain data that no model has seen yet. */
import { createRandom, seedOf, type Random } from '../random.js';
import type { Scoring, ScoringContext } from './scoring.js';

/** How a published test words its prompt around the document, for models that chat; others get document and question. */
export interface PublishedPrompt {
  /** After the document, to the end of the user's turn. */
  readonly tail: string;
  /** What is put into the model's mouth. */
  readonly prefix: string;
}

export interface TrialQuestion extends ScoringContext {
  readonly question: string;
  /** What a right answer holds (`scoring` says how it is compared); none: the documents do not say. */
  readonly expected: readonly string[];
  readonly scoring: Scoring;
  /** Without it, the question is asked as `lodestone ask` asks. */
  readonly published?: PublishedPrompt;
  /** Counted apart from the suite's other questions: "absent", "2 hops". */
  readonly part?: string;
  /** Where in the document the fact stands, in tokens: 0 is the start, 100 the end. */
  readonly depthPercent?: number;
  /** Tokens of the document behind the fact, where the suite knows: how far back a reader at the end must see. */
  readonly tokensBehind?: number;
  /**
   * What somebody may answer who knows what such answers look like, and nothing else of the document: the mean of their
   * scores is chance. None: there are so many that chance is nothing.
   */
  readonly guesses?: readonly string[];
}

export interface Trial {
  /** The document in pieces, to be joined as they are: prose, needles, prose. */
  readonly pieces: readonly string[];
  /** Of published prompts: the user's turn before the document. */
  readonly head?: string;
  /** What was hidden, as it stands in `pieces` without the white space around it; none where the haystack is made of it. */
  readonly needles?: readonly string[];
  /** The document is read from a PDF that is made of it. */
  readonly pdf?: boolean;
  /** The document is heard: each piece is a sentence of which there is a clip (`SpeechClips`). */
  readonly spoken?: boolean;
  /** The document is a film: each piece is a second of it, and a piece that is a needle lies over its picture. */
  readonly film?: { readonly seed: number };
  /** The longest answer, in tokens (default: `ANSWER_TOKENS`). */
  readonly answerTokens?: number;
  /** Each is asked by itself, of the same document. */
  readonly questions: readonly TrialQuestion[];
}

/** The longest answer in tokens, unless a suite says otherwise. */
export const ANSWER_TOKENS = 64;

/** A prompt must hold a needle and more, the question and the answer. */
export const LEAST_TOKENS = 256;

/** What of a prompt is not the document. */
export interface Around {
  /** All words around the document; none: those of `lodestone ask`. */
  readonly words?: string;
  /** Default: `ANSWER_TOKENS`. */
  readonly answerTokens?: number;
}

/** How many tokens a text takes by the tokenizer of the model that is measured. */
export type TokenCounter = (text: string) => Promise<number>;

export interface TrialRequest {
  /** The most tokens of a document that is asked about as `lodestone ask` does, needles included; 0: as little as the suite can be asked about. */
  readonly tokens: number;
  /** The same for other prompts. */
  room(around: Around): Promise<number>;
  /** How many questions to make, about as many documents as the suite needs for them. */
  readonly questions: number;
  /** The same seed and request, the same trials. */
  readonly seed: number;
  /**
   * What the draws of this length are called (default: `tokens`). `tokens` hangs on the tokenizer; under a name of their
   * own, two models are asked about the same keys at the same depths, and their answers can be compared pair by pair.
   */
  readonly stream?: number;
  readonly count: TokenCounter;
}

export interface Suite {
  readonly name: string;
  /** What is asked, and how that differs from the published test of this name. */
  readonly about: string;
  /** What lengths count (default: tokens of the whole prompt with its answer). */
  readonly unit?: 'seconds';
  /** Unless others are asked for. */
  readonly lengths: readonly number[];
  /** Of a grid: every length is asked about at each of these depths, in this order, again and again. */
  readonly depths?: readonly number[];
  /** Measured first, with `tokens` 0: the label of that row. */
  readonly shortest?: string;
  /** Questions that ask about everything once (default: as many as there are depths). */
  readonly round?: number;
  /** The kinds of question it asks by turns, where they were chosen among more. */
  readonly parts?: readonly string[];
  /** The shortest length that has room for what it hides (default: `LEAST_TOKENS`). */
  readonly least?: number;
  /** Questions about one document of a length (default: 1). */
  readonly together?: (length: number | null) => number;
  /** Questions per length, unless told otherwise. */
  readonly questions: number;
  /** What a hit is called in the report. */
  readonly hitName?: string;
  /** The mean score is reported beside the hits under this name, where it says more than they do. */
  readonly scoreName?: string;
  make(request: TrialRequest): AsyncIterable<Trial>;
}

/** The random numbers of a suite's trials at one length. */
export function trialRandom({ seed, stream, tokens }: Pick<TrialRequest, 'seed' | 'stream' | 'tokens'>, ...suite: readonly string[]): Random {
  return createRandom(seedOf(...suite, seed, stream ?? tokens));
}
