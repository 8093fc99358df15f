/** What the terminal shows of a running `ask`, as plain data: a fold over its events. */
import type { Answer, AskEvent, SourceSummary } from '../answer/answer.js';

export interface AskState {
  readonly reading: { readonly path: string; readonly unit: string; readonly done: number; readonly total: number } | null;
  readonly sources: readonly SourceSummary[];
  readonly prefill: { readonly done: number; readonly total: number; readonly rate: number; readonly eta: number } | null;
  readonly text: string;
  readonly warnings: readonly string[];
  readonly answer: Answer | null;
}

export const initialAskState: AskState = { reading: null, sources: [], prefill: null, text: '', warnings: [], answer: null };

export function reduceAsk(state: AskState, event: AskEvent): AskState {
  switch (event.type) {
    case 'warning':
      return { ...state, warnings: [...state.warnings, event.message] };
    case 'ingest':
      return { ...state, reading: { path: event.path, unit: event.unit, done: event.done, total: event.total } };
    case 'plan':
      return { ...state, reading: null, sources: event.plan.sources };
    case 'prefill':
      return { ...state, prefill: { done: event.done, total: event.total, rate: event.tokens_per_second, eta: event.eta_seconds } };
    case 'token':
      return { ...state, text: state.text + event.text };
    case 'answer':
      return { ...state, answer: event.answer };
  }
}
