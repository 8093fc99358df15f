/** A suite as a table of boxes: lengths across, depths (0 % on top) or parts down. */
import { lengthName } from '../gate.js';
import type { Counts, SuiteSummary } from '../summary.js';

export interface HeatMap {
  readonly columns: readonly string[];
  /** null: not asked yet, or not at all. */
  readonly rows: readonly { readonly name: string; readonly cells: readonly (Counts | null)[] }[];
}

export function heatMap(suite: SuiteSummary): HeatMap {
  const { lengths, depths, cells, rows, shortest } = suite;
  const columns = lengths.map((length) => lengthName(length, shortest));
  if (depths.length > 0) {
    return {
      columns,
      rows: depths.map((depth) => ({
        name: `${Math.round(depth)} %`,
        cells: lengths.map((length) => cells.find((cell) => cell.length === length && cell.depth === depth) ?? null),
      })),
    };
  }
  const parts = [...new Set(rows.map(({ part }) => part))];
  return {
    columns,
    rows: parts.map((part) => ({ name: part === '' ? 'all' : part, cells: lengths.map((length) => rows.find((row) => row.length === length && row.part === part) ?? null) })),
  };
}
