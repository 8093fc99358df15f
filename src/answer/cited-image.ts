/** What was to be seen where a citation stands: the page's image, or the picture of a video at that time. */
import type { IngestedSource, Raster } from '../ingest/segment.js';
import type { Citation } from './citations.js';

/** null: nothing was looked at there. */
export function citedImage({ source, page, time }: Citation, sources: readonly IngestedSource[]): Raster | null {
  const seen = (sources.find((entry) => entry.source.path === source)?.segments ?? []).filter(({ image }) => image);
  const there = seen.findLast((segment) => (time === undefined ? page !== undefined && segment.page === page : segment.time !== undefined && segment.time[0] <= time[0]));
  return there?.image ?? null;
}
