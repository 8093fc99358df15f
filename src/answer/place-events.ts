/** Tells with the progress of reading which source, and which page of it, is being read. */
import type { Prompt } from '../encode/prompt.js';
import type { IngestedSource } from '../ingest/segment.js';
import type { AskEvent } from './answer.js';

/** Index of the segment at a position of the prompt; the number of segments behind the documents. */
export function segmentAt({ segmentEnds }: Pick<Prompt, 'segmentEnds'>, position: number): number {
  let [low, high] = [0, segmentEnds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (segmentEnds[middle]! > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function withPlaces(prompt: Prompt, sources: readonly IngestedSource[], emit: (event: AskEvent) => void): (event: AskEvent) => void {
  const segments = sources.flatMap((entry) => entry.segments);
  return (event) => {
    const segment = event.type === 'prefill' ? segments[segmentAt(prompt, event.cached + event.done)] : undefined;
    if (event.type !== 'prefill' || segment === undefined) return emit(event);
    const { page, line } = segment;
    const at = { source: sources[segment.source]!.source.path, ...(page === undefined ? {} : { page }), ...(line === undefined ? {} : { line }) };
    emit({ ...event, at });
  };
}
