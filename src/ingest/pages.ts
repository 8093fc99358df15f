import { ExitCode, LodestoneError } from '../errors.js';

/** 1-based, inclusive; `to` is Infinity for "12-". */
export interface PageRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Parses what `--pages` takes: "3-7,12", "5-" (to the end), "-4" (from the first).
 * @throws LodestoneError (usage) when it is no such list.
 */
export function parsePageRanges(list: string): PageRange[] {
  return list.split(',').map((part) => {
    const match = /^\s*(?:(\d{1,9})|(\d{1,9})?\s*[-–]\s*(\d{1,9})?)\s*$/.exec(part);
    const [, single, first, last] = match ?? [];
    if (!match || (single === undefined && first === undefined && last === undefined)) {
      throw new LodestoneError(ExitCode.usage, `--pages ${list}: write pages as 3-7,12 or 5- (counted from 1)`);
    }
    const from = Number(single ?? first ?? 1);
    const to = single === undefined ? Number(last ?? Infinity) : from;
    if (from < 1 || to < from) {
      throw new LodestoneError(ExitCode.usage, `--pages ${list}: ${part.trim()} is no range of pages (counted from 1)`);
    }
    return { from, to };
  });
}

/**
 * The chosen pages of a document in rising order, each once; all of them without ranges.
 * A range wholly or partly beyond the last page is returned as `beyond`, for the caller to refuse.
 */
export function choosePages(total: number, ranges?: readonly PageRange[]): { pages: number[]; beyond?: number } {
  if (ranges === undefined) {
    return { pages: Array.from({ length: total }, (_, i) => i + 1) };
  }
  const chosen = new Set<number>();
  for (const { from, to } of ranges) {
    const last = to === Infinity ? Math.max(total, from) : to;
    if (last > total) {
      return { pages: [], beyond: last };
    }
    for (let page = from; page <= last; page++) {
      chosen.add(page);
    }
  }
  return { pages: [...chosen].sort((a, b) => a - b) };
}

/** [3, 5, 6, 7] -> "3, 5-7"; after `most` entries, "and N more". */
export function describePages(pages: readonly number[], most = 8): string {
  const runs: string[] = [];
  let covered = 0;
  for (let i = 0; i < pages.length && runs.length < most; ) {
    let j = i;
    while (pages[j + 1] === pages[j]! + 1) {
      j++;
    }
    runs.push(i === j ? `${pages[i]}` : `${pages[i]}-${pages[j]}`);
    covered = j + 1;
    i = covered;
  }
  const rest = pages.length - covered;
  return runs.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
