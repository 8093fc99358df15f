/** What `ask` gives: the shapes of `--json` (schema lodestone.answer/1) and of the events of `--jsonl`. */
import type { KvFormat } from '../device/device.js';
import type { FrameCounts, IngestProgress, SourceKind } from '../ingest/segment.js';
import type { KvFormats } from '../runtime/kv.js';
import type { Citation } from './citations.js';
import type { UnknownName } from './names.js';

export interface Answer {
  readonly schema: 'lodestone.answer/1';
  readonly question: string;
  /** Empty if not found. */
  readonly answer: string;
  readonly found: boolean;
  /**
   * Product of the answer's token probabilities, 0..1: how sure the model was of these very words. If it gave none, the
   * probability of its saying so.
   */
  readonly confidence: number;
  readonly citations: readonly Citation[];
  /**
   * Names of the question that stand in no source, with the word there that is most like each: misspelt, or not spoken of. Left out
   * where there are none, and where a chat model or a budget found an answer.
   */
  readonly unknown_names?: readonly UnknownName[];
  /** What was read for it: everything, then, by an extractive model, the most related passages alone. */
  readonly readings: readonly ReadingSummary[];
  /** Why the model stopped: at the end of its answer, at `--max-tokens`, or where its context is full. */
  readonly finish: 'stop' | 'length' | 'context';
  /** sha256: of the weight files; always there in JSON, left out where nobody asked (`AskRequest.hashWeights`). */
  readonly model: { readonly id: string; readonly sha256?: string; readonly quantization: string; readonly kv: KvFormats; readonly context: number };
  readonly device: { readonly name: string; readonly adapter: string };
  readonly tokens: { readonly input: number; readonly cached: number; readonly generated: number; readonly context: number };
  /** Always false: what does not fit is an error, never cut. */
  readonly truncated: false;
  readonly timings: {
    readonly ingest_ms: number;
    readonly load_ms: number;
    readonly prefill_ms: number;
    readonly decode_ms: number;
    /** Of the second look. */
    readonly look_ms: number;
    readonly prefill_tps: number;
    readonly decode_tps: number;
  };
  readonly sources: readonly SourceSummary[];
  /** Where `--budget` chose what to read: `tokens.input` is what was read, and the sources' tokens are estimates. */
  readonly budget?: BudgetTrace;
}

/** What may be read: tokens that go through the model, or seconds from the start. */
export type Budget = { readonly tokens: number } | { readonly seconds: number };

/** How a budget was spent. Worth and gain are in units of one right answer. */
export interface BudgetTrace {
  readonly asked: Budget;
  /** Who decided: a trained policy, or a fixed rule, and its name. */
  readonly by: string;
  readonly trained: boolean;
  /** Pieces of the sources that could be read, and about how many tokens they have. */
  readonly leaves: number;
  readonly corpus_tokens: number;
  readonly index_ms: number;
  /** The index was there from an earlier question. */
  readonly index_kept: boolean;
  /** In the order in which they were done. */
  readonly steps: readonly BudgetStep[];
  /** decided: it chose to end; budget: tokens or time ran out; steps: it had taken as many steps as it may. */
  readonly stopped: 'decided' | 'budget' | 'steps';
  /** What reading on was thought to be worth at the end, and at each step; null: who decided has no such values. */
  readonly gain: number | null;
}

export interface BudgetStep {
  readonly action: 'skim' | 'read' | 'inspect' | 'requery';
  /** Where what was read begins; absent for `requery`. */
  readonly source?: string;
  readonly page?: number;
  readonly line?: number;
  readonly time?: number;
  readonly tokens: number;
  /** What the model made of it; empty: nothing. */
  readonly answer: string;
  /** Of the best answer after it: 0 and up. */
  readonly worth: number;
  readonly gain: number | null;
}

/** One reading, and what the model made of it; page, line or time (in seconds) is where a passage begins. */
export interface ReadingSummary {
  readonly of: 'everything' | 'passage';
  readonly page?: number;
  readonly line?: number;
  readonly time?: number;
  /** Share of the question's words in the passage, rare ones weighing more. */
  readonly relevance?: number;
  readonly answer: string;
  readonly confidence: number;
}

export interface SourceSummary {
  readonly path: string;
  readonly kind: SourceKind;
  readonly sha256: string;
  readonly pages?: number;
  /** Of a recording, in seconds. */
  readonly seconds?: number;
  /** Of a video whose pictures are looked at. */
  readonly frames?: FrameCounts;
  /** Of a source with images: how many the model is shown, each once whole and then its crops. */
  readonly views?: number;
  /** Pages of a PDF that are shown as images. */
  readonly page_images?: number;
  readonly segments: number;
  readonly tokens: number;
}

/** What a run would cost, before anything is computed (`--dry-run`, schema lodestone.plan/1). */
export interface Plan {
  readonly schema: 'lodestone.plan/1';
  readonly model: { readonly id: string; readonly quantization: string; readonly context: number; readonly weight_bytes: number };
  readonly device: { readonly name: string; readonly adapter: string };
  readonly sources: readonly SourceSummary[];
  /** cached: of the prompt, what a session has read already. */
  readonly tokens: { readonly sources: number; readonly prompt: number; readonly cached: number; readonly answer: number; readonly context: number };
  /** Bytes of keys and values that reading and answering take; local layers hold a ring, global layers every position. */
  readonly kv: {
    readonly bytes: number;
    readonly local: PlannedLayers;
    readonly global: PlannedLayers;
    /** What the same context would take if every layer held every position, stored as in global layers. */
    readonly bytes_if_all_global: number;
  };
  /** Pictures of videos: so many are looked at, and so many of them would fit. */
  readonly frames?: { readonly shown: number; readonly fit: number };
  readonly fits: boolean;
  /** Where `--budget` is to choose what to read: `tokens.prompt` is what may be read, and the sources' tokens are estimates. */
  readonly budget?: Pick<BudgetTrace, 'asked' | 'by' | 'trained' | 'leaves' | 'corpus_tokens'>;
}

/** The layers of one kind, together. */
export interface PlannedLayers {
  readonly layers: number;
  readonly format: KvFormat;
  readonly bytes: number;
  /** Of each. */
  readonly positions: number;
}

/** Tokens read and to read; `cached` before them came from a session. */
export interface PrefillEvent {
  readonly type: 'prefill';
  readonly done: number;
  readonly total: number;
  readonly cached: number;
  readonly tokens_per_second: number;
  readonly eta_seconds: number;
  /** What is being read, while that is a document. */
  readonly at?: { readonly source: string; readonly page?: number; readonly line?: number };
}

export type AskEvent =
  | { readonly type: 'warning'; readonly message: string }
  | ({ readonly type: 'ingest' } & IngestProgress)
  | { readonly type: 'plan'; readonly plan: Plan }
  | PrefillEvent
  /** Images and crops that the vision tower has gone through; of the one under way, a part. */
  | { readonly type: 'image'; readonly done: number; readonly total: number }
  | { readonly type: 'look'; readonly done: number; readonly total: number }
  /** With `--budget`: what there is to read is known. */
  | { readonly type: 'index'; readonly leaves: number; readonly corpus_tokens: number; readonly kept: boolean; readonly ms: number }
  | ({ readonly type: 'step'; readonly number: number } & BudgetStep)
  /** Reading is over. */
  | { readonly type: 'stop'; readonly reason: BudgetTrace['stopped']; readonly tokens: number; readonly steps: number; readonly corpus_tokens: number; readonly gain: number | null }
  | { readonly type: 'token'; readonly text: string }
  | { readonly type: 'answer'; readonly answer: Answer };
