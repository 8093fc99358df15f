/**
 * What the cells of a picture hold -> the text in it.
 *
 * A vision tower that reads says of each cell which character has its middle there, or that none has. A middle on the border of
 * two cells, or of two rows of them, may be in either, and the tower says so: there it gives the character a half in each. So
 * characters are counted by mass: cells beside each other that may hold the same one belong together, and what they hold of it
 * in sum says how often it stands there.
 */

/** Probabilities f32 [rows][columns][classes]; class 0 is "nothing". */
export interface Cells {
  readonly rows: number;
  readonly columns: number;
  /** Of each class but the first, the character. */
  readonly characters: readonly string[];
  readonly probabilities: Float32Array;
}

interface Placed {
  /** Of its middle, in cells. */
  readonly row: number;
  readonly column: number;
  readonly character: string;
}

/** Less than this is no part of a character. */
const FAINT = 0.1;
/** The least mass that is a character. Tuned, as the next, on pictures in the training's fonts. */
const LEAST = 0.3;
/** Mass of a further one beside it: letters that stand twice are rarer than letters that are smeared. */
const AGAIN = 0.85;
/** Rows, in cells, that are nearer are of one line of text. */
const LINE = 1.25;
/** A line of fewer characters than this is taken for a pattern in the picture. */
const SHORTEST = 2;

/** Lines of text from top to bottom; none: there is nothing to read. */
export function readCells(cells: Cells): string[] {
  const { rows, columns, characters, probabilities } = cells;
  const classes = characters.length + 1;
  const placed: Placed[] = [];
  for (const [i, character] of characters.entries()) {
    const mass = (cell: number): number => probabilities[cell * classes + i + 1]!;
    for (const group of groups(rows, columns, (cell) => mass(cell) > FAINT)) placed.push(...place(group, columns, mass, character));
  }
  return lines(placed).filter((line) => line.length >= SHORTEST);
}

/** Cells for which `holds`, those that touch each other, corners included, together. */
function groups(rows: number, columns: number, holds: (cell: number) => boolean): number[][] {
  const left = new Set<number>();
  for (let cell = 0; cell < rows * columns; cell++) if (holds(cell)) left.add(cell);
  const found: number[][] = [];
  for (const first of left) {
    left.delete(first);
    const group = [first];
    for (const cell of group) {
      const [row, column] = [Math.floor(cell / columns), cell % columns];
      for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y++) {
        for (let x = Math.max(0, column - 1); x <= Math.min(columns - 1, column + 1); x++) {
          if (left.delete(y * columns + x)) group.push(y * columns + x);
        }
      }
    }
    found.push(group);
  }
  return found;
}

/** A group's characters: its mass, from left to right, in as many equal parts, each at its centre. */
function place(group: readonly number[], columns: number, mass: (cell: number) => number, character: string): Placed[] {
  const sorted = group.map((cell) => ({ row: Math.floor(cell / columns), column: cell % columns, mass: mass(cell) })).sort((a, b) => a.column - b.column || a.row - b.row);
  const total = sorted.reduce((sum, one) => sum + one.mass, 0);
  const count = total < LEAST ? 0 : Math.max(1, Math.floor(total + 1 - AGAIN));
  const row = sorted.reduce((sum, one) => sum + one.mass * one.row, 0) / total;
  const each = total / count;
  const placed: Placed[] = [];
  let filled = 0;
  let moment = 0;
  for (const { column, mass: all } of sorted) {
    for (let left = all; left > 0 && placed.length < count; ) {
      const taken = Math.min(left, each - filled);
      filled += taken;
      moment += taken * column;
      left -= taken;
      // What rounding leaves of a part is no part.
      if (filled < each - 1e-9) continue;
      placed.push({ row, column: moment / filled, character });
      filled = moment = 0;
    }
  }
  return placed;
}

function lines(placed: readonly Placed[]): string[] {
  const found: Placed[][] = [];
  for (const one of placed.toSorted((a, b) => a.row - b.row || a.column - b.column)) {
    const last = found.at(-1);
    const middle = last && last.reduce((sum, { row }) => sum + row, 0) / last.length;
    if (last && one.row - middle! < LINE) last.push(one);
    else found.push([one]);
  }
  const text = (line: readonly Placed[]): string => line.toSorted((a, b) => a.column - b.column).map(({ character }) => character).join('');
  return found.map((line) => text(line).replace(/\s+/gu, ' ').trim());
}
