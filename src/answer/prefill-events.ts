/** Progress of reading, as events with the speed so far. */
import type { AskEvent } from './answer.js';

/** Least time between two events: a text of millions of tokens has many thousands of chunks. */
const progressMs = 50;

/**
 * @param end positions of the whole prompt
 * @returns takes the position that was reached, and how many of the first were there without reading
 */
export function prefillEvents(emit: (event: AskEvent) => void, end: number): (position: number, cached: number) => void {
  const started = performance.now();
  let shown = -Infinity;
  return (position, cached) => {
    const now = performance.now();
    if (position < end && now - shown < progressMs) return;
    shown = now;
    const [done, total] = [position - cached, end - cached];
    const rate = done / Math.max(1e-3, (now - started) / 1e3);
    emit({ type: 'prefill', done, total, cached, tokens_per_second: rate, eta_seconds: (total - done) / Math.max(rate, 1e-9) });
  };
}
