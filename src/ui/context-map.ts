/** A map of the context: who occupies what. */
import { clean, count } from './format.js';
import { table } from './models.js';

export interface ContextPart {
  readonly name: string;
  readonly tokens: number;
}

/** Sources are lettered in their order; the dialogue is the last part. */
const letters = 'abcdefghijklmnopqrstuvwxyz';
export const dialogueLetter = '=';

export function partLetter(index: number): string {
  return letters[index] ?? '+';
}

/**
 * Cells of a bar, each the letter of the part that lies there; every part that has tokens has a cell, as long as there are
 * cells. The bar covers what is occupied: beside a context of millions, nothing could be seen otherwise.
 */
export function mapCells(parts: readonly ContextPart[], dialogue: number, width: number): string {
  const all = [...parts.map(({ tokens }, i) => ({ letter: partLetter(i), tokens })), { letter: dialogueLetter, tokens: dialogue }].filter(({ tokens }) => tokens > 0);
  const shown = all.slice(0, width);
  const total = shown.reduce((sum, { tokens }) => sum + tokens, 0);
  const free = width - shown.length;
  let used = 0;
  let cells = '';
  for (const { letter, tokens } of shown) {
    const before = Math.round((free * used) / total);
    used += tokens;
    cells += letter.repeat(1 + Math.round((free * used) / total) - before);
  }
  return cells;
}

/** What `/context` prints. */
export function formatContextMap(parts: readonly ContextPart[], dialogue: number, most: number, width: number): string {
  const occupied = parts.reduce((sum, { tokens }) => sum + tokens, 0) + dialogue;
  const percent = (tokens: number): string => `${((100 * tokens) / Math.max(1, occupied)).toFixed(0)} %`;
  const rows = parts.map(({ name, tokens }, i) => [partLetter(i), clean(name), `${count(tokens)} tokens`, percent(tokens)]);
  if (dialogue > 0) rows.push([dialogueLetter, 'dialogue', `${count(dialogue)} tokens`, percent(dialogue)]);
  return `${mapCells(parts, dialogue, width)}\n${table(rows)}\n${count(occupied)} of ${count(most)} tokens\n`;
}
