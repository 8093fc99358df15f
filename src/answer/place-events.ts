/** Tells with the progress of reading which source, and which page of it, is being read. */
import type { Prompt } from '../encode/prompt.js';
import type { IngestedSource, Segment } from '../ingest/segment.js';
import type { AskEvent } from './answer.js';

/** The segment at a position of the prompt; null behind the documents. */
export function segmentAt({ segmentEnds }: Pick<Prompt, 'segmentEnds'>, sources: readonly IngestedSource[], position: number): Segment | null {
  const segments = sources.flatMap((entry) => entry.segments);
  if (segments.length !== segmentEnds.length) return null;
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (segmentEnds[middle]! > position) high = middle;
    else low = middle + 1;
  }
  return segments[low] ?? null;
}

export function withPlaces(prompt: Prompt, sources: readonly IngestedSource[], emit: (event: AskEvent) => void): (event: AskEvent) => void {
  return (event) => {
    const segment = event.type === 'prefill' ? segmentAt(prompt, sources, event.cached + event.done) : null;
    if (event.type !== 'prefill' || segment === null) return emit(event);
    const { page, line } = segment;
    const at = { source: sources[segment.source]!.source.path, ...(page === undefined ? {} : { page }), ...(line === undefined ? {} : { line }) };
    emit({ ...event, at });
  };
}
