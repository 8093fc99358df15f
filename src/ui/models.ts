/** Lists and descriptions of models as plain text. */
import type { StoredModel } from '../models/describe.js';
import type { PullProgress } from '../models/pull/pull.js';
import { bytes, clean, count } from './format.js';

/** Parameters in the field's short form: 270M, 4.3B. */
export function parameters(value: number): string {
  const [scaled, unit] = value >= 1e9 ? [value / 1e9, 'B'] : value >= 1e6 ? [value / 1e6, 'M'] : [value / 1e3, 'K'];
  return `${scaled >= 100 ? Math.round(scaled) : Number(scaled.toFixed(1))}${unit}`;
}

/** Columns as wide as their longest cell; the last one is free. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!))).join('  ').trimEnd()).join('\n');
}

export function formatModels(models: readonly StoredModel[]): string {
  const rows = models.map((model) => [
    clean(model.name),
    model.store,
    model.problem === null ? `${parameters(model.parameters!)}  ${model.quantization}` : 'broken',
    model.bytes === null ? '' : bytes(model.bytes),
    model.context === null ? '' : `${count(model.context)} tokens`,
    model.problem === null ? clean(model.path) : clean(`${model.problem} (${model.path})`),
  ]);
  return `${table(rows)}\n`;
}

/**
 * The live line of a download, at the rate since the first call.
 * @param now ms
 */
export function pullLine(): (progress: PullProgress, now: number) => string {
  let start: { readonly at: number; readonly done: number } | null = null;
  return ({ file, done, total }, now) => {
    start ??= { at: now, done };
    const seconds = (now - start.at) / 1e3;
    const rate = seconds > 0 ? (done - start.done) / seconds : 0;
    const left = rate > 0 && done < total ? `  ${count(Math.ceil((total - done) / rate))} s left` : '';
    return clean(`pulling ${Math.floor((100 * done) / Math.max(1, total))} %  ${bytes(done)} / ${bytes(total)}  ${bytes(rate)}/s${left}  ${file}`);
  };
}
