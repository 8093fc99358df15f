/** What every suite yields: documents with questions about them, as plain data that no model has seen yet. */
import type { Scoring } from './scoring.js';

export interface TrialQuestion {
  readonly question: string;
  /** What a right answer holds (`scoring` says how it is compared); none: the documents do not say. */
  readonly expected: readonly string[];
  readonly scoring: Scoring;
  /** Counted apart from the suite's other questions: "absent", "2 hops". */
  readonly part?: string;
  /** Where in the document the fact stands, in tokens: 0 is the start, 100 the end. */
  readonly depthPercent?: number;
}

export interface Trial {
  /** The document in pieces, to be joined as they are: prose, needles, prose. */
  readonly pieces: readonly string[];
  /** Each is asked by itself, of the same document. */
  readonly questions: readonly TrialQuestion[];
}

/** How many tokens a text takes by the tokenizer of the model that is measured. */
export type TokenCounter = (text: string) => Promise<number>;

export interface TrialRequest {
  /** The most tokens of the document, needles included; 0: as little as the suite can be asked about. */
  readonly tokens: number;
  /** How many questions to make, about as many documents as the suite needs for them. */
  readonly questions: number;
  /** The same seed and request, the same trials. */
  readonly seed: number;
  readonly count: TokenCounter;
}

export interface Suite {
  readonly name: string;
  /** What is asked, and how that differs from the published test of this name. */
  readonly about: string;
  /** In tokens of the whole prompt with its answer, unless others are asked for. */
  readonly lengths: readonly number[];
  /** Measured first, with `tokens` 0: the label of that row. */
  readonly shortest?: string;
  /** Questions per length, unless told otherwise. */
  readonly questions: number;
  /** What a hit is called in the report. */
  readonly hitName?: string;
  /** The mean score is reported beside the hits under this name, where it says more than they do. */
  readonly scoreName?: string;
  make(request: TrialRequest): AsyncIterable<Trial>;
}
