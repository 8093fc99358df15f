/** Lists and descriptions of models as plain text. */
import type { StoredModel } from '../models/describe.js';
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
