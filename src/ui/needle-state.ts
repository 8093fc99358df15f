/** What the terminal shows of a running `needle`, as plain data. */
import type { SuiteSummary } from '../recall/summary.js';

/** A part that will not change any more, in the order in which it came. */
export type NeedlePart =
  | { readonly type: 'line'; readonly text: string; readonly tone: 'plain' | 'good' | 'bad' }
  | { readonly type: 'suite'; readonly suite: SuiteSummary; readonly threshold: number };

export interface NeedleState {
  readonly finished: readonly NeedlePart[];
  /** The suite that is being asked; null: none. */
  readonly current: SuiteSummary | null;
  /** Questions. */
  readonly done: number;
  readonly total: number;
  /** What is being read, such as "32K, 40 %". */
  readonly reading: string;
}

export const initialNeedleState: NeedleState = { finished: [], current: null, done: 0, total: 0, reading: '' };
