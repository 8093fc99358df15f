/** The text around a citation's quote, to show it where it stands. */
import type { IngestedSource } from '../ingest/segment.js';
import type { Citation } from './citations.js';

export interface CitedText {
  /** Of the page, or of the lines around. */
  readonly text: string;
  /** [from, to) of the quote in it. */
  readonly from: number;
  readonly to: number;
}

/** null where the quote is not found again: it began on this page and ended on the next one, for instance. */
export function citedText({ source, page, lines, quote }: Citation, sources: readonly IngestedSource[]): CitedText | null {
  const segments = sources.find((entry) => entry.source.path === source)?.segments ?? [];
  // Quotes have their white space folded.
  const words = quote.split(/\s+/u).map((word) => word.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, String.raw`\$&`));
  const pattern = new RegExp(words.join(String.raw`\s+`), 'u');
  for (const { text, page: at, line } of segments) {
    if (page !== undefined && at !== page) continue;
    if (lines !== undefined && line !== undefined && (lines[0] < line || lines[0] > line + (text.match(/\n/gu)?.length ?? 0))) continue;
    const match = pattern.exec(text);
    if (match) return { text, from: match.index, to: match.index + match[0].length };
  }
  return null;
}
