/** What `ask` does unless it is told otherwise; apart, so that the options can say it without loading what answers. */
import type { Tiles } from '../encode/image.js';

/** As Gemma's authors run it: wide and tall images are shown in parts too. */
export const defaultTiles: Tiles = 'auto';

/** One a second, as Gemini 1.5 was measured; none again that shows the same. */
export const defaultFrames = { fps: 1, choice: 'changed' } as const;

/** Passages read again, of each length. */
export const defaultLooks = 6;
