/** What the terminal shows of a running `ask`, as plain data: a fold over its events. */
import type { Answer, AskEvent, PrefillEvent, SourceSummary } from '../answer/answer.js';
import type { Citation } from '../answer/citations.js';
import { sourceName } from '../ingest/name.js';
import { stepPlace, stopLine } from './budget.js';
import type { ContextPart } from './context-map.js';

/** A part that will not change any more, in the order in which it came. */
export type Finished =
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'source'; readonly source: SourceSummary }
  | { readonly type: 'more-sources'; readonly count: number }
  | { readonly type: 'question'; readonly text: string }
  /** Of a command. */
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'answer'; readonly answer: Answer }
  | { readonly type: 'citation'; readonly citation: Citation; readonly number: number };

export interface AskState {
  readonly finished: readonly Finished[];
  readonly reading: { readonly path: string; readonly unit: string; readonly done: number; readonly total: number } | null;
  readonly prefill: { readonly done: number; readonly total: number; readonly rate: number; readonly eta: number; readonly at: NonNullable<PrefillEvent['at']> | null } | null;
  /** Passages of the second look. */
  readonly look: { readonly done: number; readonly total: number } | null;
  /** Within a budget: what was read last. */
  readonly step: { readonly number: number; readonly place: string; readonly answer: string } | null;
  /** What lies in the context, in order, and how many tokens a session had of it. */
  readonly parts: readonly ContextPart[];
  readonly cached: number;
  /** Bytes of keys and values that it takes. */
  readonly kvBytes: number;
  /** Of the answer so far; empty once it is finished. */
  readonly text: string;
}

export const initialAskState: AskState = { finished: [], reading: null, prefill: null, look: null, step: null, parts: [], cached: 0, kvBytes: 0, text: '' };

/** More sources than these are counted, not named. */
const NAMED_SOURCES = 8;

function finishedSources(sources: readonly SourceSummary[]): Finished[] {
  const named = sources.slice(0, NAMED_SOURCES).map((source) => ({ type: 'source', source }) as const);
  return sources.length > named.length ? [...named, { type: 'more-sources', count: sources.length - named.length }] : named;
}

export function reduceAsk(state: AskState, event: AskEvent): AskState {
  switch (event.type) {
    case 'warning':
      return { ...state, finished: [...state.finished, { type: 'warning', message: event.message }] };
    case 'ingest':
      return { ...state, reading: { path: event.path, unit: event.unit, done: event.done, total: event.total } };
    case 'plan':
      return {
        ...state,
        reading: null,
        finished: [...state.finished, ...finishedSources(event.plan.sources)],
        parts: event.plan.sources.map(({ path, tokens }) => ({ name: sourceName(path), tokens })),
        kvBytes: event.plan.kv.bytes,
      };
    case 'image':
      return { ...state, reading: { path: 'looking at images', unit: 'images', done: Math.floor(event.done), total: event.total } };
    case 'prefill':
      return { ...state, reading: null, cached: event.cached, prefill: { done: event.done, total: event.total, rate: event.tokens_per_second, eta: event.eta_seconds, at: event.at ?? null } };
    case 'index':
      return { ...state, reading: null };
    case 'step':
      return { ...state, step: { number: event.number, place: stepPlace(event), answer: event.answer } };
    case 'stop':
      return { ...state, step: null, finished: [...state.finished, { type: 'text', text: stopLine(event) }] };
    case 'look':
      return { ...state, look: { done: event.done, total: event.total } };
    case 'token':
      return { ...state, text: state.text + event.text };
    case 'answer': {
      const citations = event.answer.citations.map((citation, i) => ({ type: 'citation', citation, number: i + 1 }) as const);
      return { ...state, text: '', look: null, prefill: null, step: null, finished: [...state.finished, { type: 'answer', answer: event.answer }, ...citations] };
    }
  }
}
