/**
 * From the pieces of text that a PDF page paints to its lines in the order a person reads them.
 *
 * A PDF paints text in any order. Here the pieces are put on lines by their baselines, the page is cut at gutters
 * between columns of prose (left column first, then the right one; what spans the gutter stays where it is), and what
 * isn't prose in columns, tables above all, stays together row by row.
 */

/** A piece of text as it is painted: `x`, `y` the start of its baseline, y growing downwards, in points. */
export interface TextPiece {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  /** Along the baseline. */
  readonly width: number;
  /** Font size, in points. */
  readonly size: number;
  /** Of the baseline, in degrees, clockwise; 0 reads left to right. */
  readonly angle: number;
  /** White space was painted before it. */
  readonly spaced: boolean;
  readonly rightToLeft?: boolean;
}

/** Pieces that stand together on a line: no gap between them is wider than a word space may be. */
interface Fragment {
  readonly pieces: readonly Placed[];
  readonly x0: number;
  readonly x1: number;
  readonly y: number;
  readonly size: number;
  readonly chars: number;
  readonly letters: number;
  /** The row of a table that it is in, from the left. */
  tableRow?: readonly Fragment[];
}

/** A piece turned so that its text reads left to right. */
interface Placed extends TextPiece {
  readonly end: number;
}

interface Line {
  readonly text: string;
  readonly y: number;
  readonly x0: number;
  readonly x1: number;
  readonly size: number;
  /** Usual distance between the baselines of the block it stands in; 0 where unknown. */
  readonly pitch: number;
}

/** The text of a page in reading order: lines end with "\n", paragraphs set apart by space with a blank line. */
export function layOutPage(pieces: readonly TextPiece[]): string {
  const blocks: string[] = [];
  for (const group of groupByAngle(pieces.map(withoutLeader))) {
    blocks.push(joinLines(readingOrder(toFragments(dropOverprints(group)), 0)));
  }
  return blocks.filter((block) => block !== '').join('\n\n');
}

/** Groups pieces by the direction of their text, the page's main direction first, and turns each group upright. */
function groupByAngle(pieces: readonly TextPiece[]): Placed[][] {
  const groups = new Map<number, { chars: number; placed: Placed[] }>();
  for (const piece of pieces) {
    const degrees = (Math.round(piece.angle) + 360) % 360;
    // Slightly tilted text (a scan's own text layer) belongs to the upright text around it.
    const nearest = Math.round(degrees / 90) * 90;
    const angle = Math.abs(degrees - nearest) <= 8 ? nearest % 360 : degrees;
    const radians = (angle * Math.PI) / 180;
    const cos = Math.cos(radians);
    const sin = Math.sin(radians);
    const x = piece.x * cos + piece.y * sin;
    const y = piece.y * cos - piece.x * sin;
    const group = groups.get(angle) ?? { chars: 0, placed: [] };
    groups.set(angle, group);
    group.chars += piece.text.length;
    group.placed.push({ ...piece, x, y, end: x + piece.width });
  }
  return [...groups.values()].sort((a, b) => b.chars - a.chars).map((group) => group.placed);
}

/** Bold is sometimes faked by painting the same text twice, a hair apart. */
function dropOverprints(pieces: readonly Placed[]): Placed[] {
  const seen = new Map<string, Placed[]>();
  return pieces.filter((piece) => {
    const cell = `${Math.round(piece.y / 4)}\n${piece.text}`;
    const same = seen.get(cell);
    const near = (other: Placed) => Math.abs(other.x - piece.x) < 0.15 * piece.size && Math.abs(other.y - piece.y) < 0.15 * piece.size;
    // One entry for each text and stretch of page, or a page that paints one letter a million times takes for ever.
    if (same?.slice(-8).some(near)) {
      return false;
    }
    if (same) {
      same.push(piece);
    } else {
      seen.set(cell, [piece]);
    }
    return true;
  });
}

/** Rows of pieces on one baseline, from the top; super- and subscripts belong to the row they stand at. */
function toRows<T extends { readonly y: number; readonly size: number }>(items: readonly T[]): T[][] {
  const fromTop = [...items].sort((a, b) => a.y - b.y);
  const rows: { y: number; size: number; items: T[] }[] = [];
  for (const item of fromTop) {
    let best: (typeof rows)[number] | undefined;
    // Only the last few rows can be near enough: the items come from the top.
    for (const row of rows.slice(-4)) {
      const distance = item.y - row.y;
      if (distance <= 0.4 * Math.max(item.size, row.size) && (best === undefined || distance < item.y - best.y)) {
        best = row;
      }
    }
    if (best === undefined) {
      rows.push({ y: item.y, size: item.size, items: [item] });
    } else {
      best.items.push(item);
      if (item.size > 1.2 * best.size) {
        // The row's baseline is that of its largest text, not that of a superscript met before it.
        best.y = item.y;
        best.size = item.size;
      }
    }
  }
  return rows.map((row) => row.items);
}

function toFragments(pieces: readonly Placed[]): Fragment[] {
  const asPainted: Fragment[][] = [];
  for (const row of toRows(pieces)) {
    row.sort((a, b) => a.x - b.x);
    const inRow: Fragment[] = [];
    let open: Placed[] = [];
    let end = -Infinity;
    const close = () => {
      if (open.length > 0) {
        inRow.push(makeFragment(open));
      }
      open = [];
    };
    for (const piece of row) {
      if (piece.x - end > piece.size) {
        close();
      }
      open.push(piece);
      end = open.length === 1 ? piece.end : Math.max(end, piece.end);
    }
    close();
    asPainted.push(inRow);
  }
  const rows = asPainted.map((row, i) => joinJustified(row, [...(asPainted[i - 1] ?? []), ...(asPainted[i + 1] ?? [])]));
  const chars = rows.map((row) => median(row.map((f) => f.chars)));
  // A single row of short pieces is what paragraphs' ends make of three columns of prose; two are a table.
  const short = rows.map((row, i) => row.length >= 3 && chars[i]! < 12);
  for (const [i, row] of rows.entries()) {
    if ((row.length >= 4 && chars[i]! < 24) || (short[i] && (short[i - 1] || short[i + 1]))) {
      row.forEach((fragment) => (fragment.tableRow = row));
    }
  }
  return rows.flat();
}

function makeFragment(pieces: readonly Placed[]): Fragment {
  const largest = pieces.reduce((a, b) => (b.size > a.size ? b : a));
  return {
    pieces,
    x0: pieces[0]!.x,
    x1: pieces.reduce((x, p) => Math.max(x, p.end), -Infinity),
    y: largest.y,
    size: largest.size,
    chars: pieces.reduce((n, p) => n + p.text.length, 0),
    letters: pieces.reduce((n, p) => n + (p.text.match(/\p{L}/gu)?.length ?? 0), 0),
  };
}

/** A line of more pieces than this, across all columns, is none that was justified. */
const mostWords = 200;

/**
 * A justified line of few words has gaps as wide as those between cells. It is told from a row of cells by its gaps,
 * which are all alike, and by a line of prose next to it that fills the same measure.
 */
function joinJustified(row: Fragment[], neighbours: readonly Fragment[]): Fragment[] {
  if (row.length < 2 || row.reduce((n, f) => n + f.pieces.length, 0) > mostWords) {
    return row;
  }
  for (const measure of neighbours.filter((f) => f.chars >= proseChars)) {
    const from = row.findIndex((f) => f.x0 >= measure.x0 - 0.2 * f.size);
    const to = row.findLastIndex((f) => f.x1 <= measure.x1 + 0.2 * f.size) + 1;
    const [first, last] = [row[from], row[to - 1]];
    if (first === undefined || last === undefined || to - from < 2) {
      continue;
    }
    const words = row.slice(from, to).flatMap((f) => f.pieces);
    const gaps = words.slice(1).map((word, i) => word.x - words[i]!.end);
    const alike = Math.max(...gaps) - Math.min(...gaps) < 0.15 * first.size;
    // The first line of a paragraph may be indented.
    if (alike && gaps.length >= 2 && first.x0 - measure.x0 < 3 * first.size && measure.x1 - last.x1 < 0.2 * last.size) {
      const text = words.map((word) => word.text).join(' ');
      const line: Placed = { ...words[0]!, text, width: last.x1 - first.x0, end: last.x1 };
      return [...row.slice(0, from), makeFragment([line]), ...row.slice(to)];
    }
  }
  return row;
}

/** Deeper than any page is nested; and more fragments than a page of prose has are no prose. */
const deepest = 12;
const mostFragments = 6000;

/** Lines of a region in reading order. `gutters`: x of the gutters found around it, where fewer lines will do. */
function readingOrder(fragments: readonly Fragment[], depth: number, gutters: readonly number[] = []): Line[] {
  const sorted = [...fragments].sort((a, b) => a.y - b.y);
  const cut = depth < deepest && sorted.length <= mostFragments ? findColumns(sorted, gutters) : undefined;
  if (cut === undefined) {
    return toLines(sorted);
  }
  const around = [...gutters, cut.x];
  return [
    ...readingOrder(sorted.slice(0, cut.from), depth + 1, around),
    ...readingOrder(cut.left, depth + 1, gutters),
    ...readingOrder(cut.right, depth + 1, gutters),
    ...readingOrder(sorted.slice(cut.to), depth + 1, around),
  ];
}

interface Columns {
  readonly x: number;
  /** The band [from, to) of the fragments, sorted by y, that the gutter runs through. */
  readonly from: number;
  readonly to: number;
  readonly left: readonly Fragment[];
  readonly right: readonly Fragment[];
}

/** The gutter with the most text beside it: a vertical strip that nothing crosses, with prose on both sides. */
function findColumns(sorted: readonly Fragment[], gutters: readonly number[]): Columns | undefined {
  if (sorted.length < 4) {
    return undefined;
  }
  const half = 0.3 * median(sorted.map((f) => f.size));
  const proseStarts = new Set(sorted.filter((f) => f.chars >= proseChars).map((f) => Math.round(f.x0)));
  // A gutter begins where some line ends.
  const candidates = new Set(sorted.map((f) => Math.round(f.x1 + half + 0.5)));
  let best: Columns | undefined;
  let bestScore = 0;
  for (const x of [...candidates, ...gutters]) {
    const known = gutters.includes(x);
    for (let from = 0; from < sorted.length; ) {
      let to = from;
      while (to < sorted.length && !crosses(sorted[to]!, x, half, proseStarts)) {
        to++;
      }
      const score = (to - from) * (known ? 2 : 1);
      if (score > bestScore) {
        const found = columnsAt(sorted, x, from, to, known);
        if (found) {
          best = found;
          bestScore = score;
        }
      }
      from = to + 1;
    }
  }
  return best;
}

/** A piece this long is no cell of figures. */
const proseChars = 25;

function crosses(fragment: Fragment, x: number, half: number, proseStarts: ReadonlySet<number>): boolean {
  if (fragment.x0 < x + half && fragment.x1 > x - half) {
    return true;
  }
  if (fragment.tableRow === undefined) {
    return false;
  }
  // No gutter runs through a table; but a table may fill one column, beside a line of prose in the next.
  const isLine = (side: readonly Fragment[]) => {
    const x0 = Math.round(side[0]?.x0 ?? 0);
    return side.length === 0 || (side.length === 1 && [x0 - 1, x0, x0 + 1].some((start) => proseStarts.has(start)));
  };
  return !isLine(fragment.tableRow.filter((f) => f.x1 <= x)) && !isLine(fragment.tableRow.filter((f) => f.x1 > x));
}

function columnsAt(sorted: readonly Fragment[], x: number, start: number, end: number, known: boolean): Columns | undefined {
  const [from, to] = withoutFurniture(sorted, start, end);
  const band = sorted.slice(from, to);
  const left = band.filter((f) => f.x1 <= x);
  const right = band.filter((f) => f.x1 > x);
  const found = { x, from, to, left, right };
  if (isProse(left, known) && isProse(right, known)) {
    return found;
  }
  // A table in one column, beside prose in the other, whose lines keep to their own baselines.
  return (isSolidProse(left) || isSolidProse(right)) && !onSameBaselines(left, right) ? found : undefined;
}

/** Leaves out single rows at a band's ends that stand well apart: running heads, page numbers. */
function withoutFurniture(sorted: readonly Fragment[], start: number, end: number): [number, number] {
  let from = start;
  let to = end;
  const apart = (upper: Fragment, lower: Fragment) => lower.y - upper.y > 2.2 * Math.max(upper.size, lower.size);
  for (let i = from; i + 1 < to && sorted[i]!.y - sorted[from]!.y < 2; i++) {
    if (apart(sorted[i]!, sorted[i + 1]!)) {
      from = i + 1;
      break;
    }
  }
  for (let i = to - 1; i > from && sorted[to - 1]!.y - sorted[i]!.y < 2; i--) {
    if (apart(sorted[i - 1]!, sorted[i]!)) {
      to = i;
      break;
    }
  }
  return [from, to];
}

/** Whether one side of a gutter reads as lines of text: several, mostly letters, in long pieces, most filling it. */
function isProse(side: readonly Fragment[], gutterIsKnown: boolean): boolean {
  let chars = 0;
  let inLong = 0;
  let letters = 0;
  for (const f of side) {
    chars += f.chars;
    inLong += f.chars >= 15 ? f.chars : 0;
    letters += f.letters;
  }
  if (inLong < 0.7 * chars || letters < 0.5 * chars) {
    return false;
  }
  const rows = toRows(side);
  if (gutterIsKnown) {
    return rows.length >= 1 && chars > 0;
  }
  const x0 = quantile(side.map((f) => f.x0), 0.1);
  const x1 = quantile(side.map((f) => f.x1), 0.9);
  const filled = rows.filter((row) => Math.max(...row.map((f) => f.x1)) - Math.min(...row.map((f) => f.x0)) >= 0.6 * (x1 - x0));
  return rows.length >= 3 && chars >= 60 && filled.length >= 0.4 * rows.length;
}

/** Whether this is a column of prose beyond doubt, whatever stands beside it. */
function isSolidProse(side: readonly Fragment[]): boolean {
  const rows = toRows(side);
  const x0 = quantile(side.map((f) => f.x0), 0.1);
  const x1 = quantile(side.map((f) => f.x1), 0.9);
  const full = rows.filter(([line, ...more]) => line && more.length === 0 && line.chars >= proseChars && line.x1 - line.x0 >= 0.8 * (x1 - x0));
  return rows.length >= 8 && full.length >= 0.6 * rows.length;
}

/** Whether nearly every line of the side with fewer has one on its own height on the other side, as cells of a row do. */
function onSameBaselines(left: readonly Fragment[], right: readonly Fragment[]): boolean {
  const heights = (side: readonly Fragment[]) => [...new Set(side.map((f) => Math.round(f.y)))];
  const [a, b] = [heights(left), heights(right)];
  const [fewer, more] = a.length <= b.length ? [a, b] : [b, a];
  const shared = fewer.filter((y) => more.some((other) => Math.abs(other - y) <= 1));
  return shared.length > 0.8 * fewer.length;
}

function toLines(fragments: readonly Fragment[]): Line[] {
  const rows = toRows(fragments).map((row) => row.sort((a, b) => a.x0 - b.x0));
  const baselines = rows.map((row) => largestOf(row).y);
  const pitch = rows.length >= 4 ? median(baselines.slice(1).map((y, i) => y - baselines[i]!)) : 0;
  return rows.map((row) => ({
    text: lineText(row),
    y: largestOf(row).y,
    x0: row[0]!.x0,
    x1: row.reduce((x, f) => Math.max(x, f.x1), -Infinity),
    size: largestOf(row).size,
    pitch,
  }));
}

function largestOf(row: readonly Fragment[]): Fragment {
  return row.reduce((a, b) => (b.size > a.size ? b : a));
}

/** What stands between the cells of a table's row. */
export const cellSeparator = ' | ';

function lineText(row: readonly Fragment[]): string {
  const pieces = row.flatMap((f) => f.pieces);
  if (2 * pieces.filter((p) => p.rightToLeft).length > pieces.length) {
    pieces.reverse();
  }
  const gaps = pieces.map((p, i) => (i === 0 ? 0 : Math.max(p.x - pieces[i - 1]!.end, pieces[i - 1]!.x - p.end)));
  // Two or more wide gaps between short pieces are a table's; one must be wider to be more than loose setting.
  const wide = gaps.filter((gap, i) => gap > pieces[i]!.size).length;
  const chars = pieces.reduce((n, p) => n + p.text.length, 0);
  const isTable = row.some((f) => f.tableRow !== undefined) || (wide >= 2 && chars < 24 * (wide + 1));
  let text = '';
  for (const [i, piece] of pieces.entries()) {
    if (text !== '') {
      const gap = gaps[i]!;
      const figures = wide > 0 && startsFigure.test(piece.text) && startsFigure.test(pieces[i - 1]!.text);
      if (piece.text === leader && gap <= piece.size) {
        continue;
      }
      if (gap > (figures ? 0.4 : isTable ? 1 : 2) * piece.size) {
        // The first thing on a line may be what marks an item of a list.
        text += !isTable && isListMark(text) ? ' ' : cellSeparator;
      } else if (piece.spaced || gap > 0.12 * piece.size) {
        text += ' ';
      }
    }
    text += piece.text;
  }
  return text.replace(/\s+/g, ' ').trim();
}

/** "•", "-", "1.", "(a)", "iv)", but not "12", which may be a page's number. */
function isListMark(text: string): boolean {
  return text.length <= 5 && /^[^\p{L}\p{N}]{1,2}$|^\(?\p{L}{1,3}[.)]$|^\(?\d{1,3}[.)]$|^[\d.]{2,5}$|^o$/u.test(text) && !/^\d+$/.test(text);
}

const startsFigure = /^[-–(+$€£<>≤≥]?\d/;

/** What is left of dots that lead the eye to a column. A cell may hold nothing else: "no figure". */
const leader = '...';

/**
 * Shortens leaders ("Preface . . . . . 9"): they say nothing, at a token a dot. One at a piece's end is cut off, which
 * leaves the gap that sets apart the next cell.
 */
function withoutLeader(piece: TextPiece): TextPiece {
  const dots = /(?:[.·_…\ufffd] ?){5,}/g;
  const text = piece.text.replace(dots, ` ${leader} `).trim();
  if (text === piece.text) {
    return piece;
  }
  const kept = text.endsWith(leader) && text !== leader ? text.slice(0, -leader.length).trimEnd() : text;
  // By the share of characters: dots are narrow, so that the cell's end is not put too far to the left.
  const width = Math.min(piece.width, (piece.width * kept.length) / piece.text.length);
  return { ...piece, text: kept, width };
}

function joinLines(lines: readonly Line[]): string {
  const hyphenated = new Set(lines.flatMap((line) => line.text.toLowerCase().match(/\p{L}[\p{L}-]*-\p{L}+/gu) ?? []));
  const joined: string[] = [];
  let previous: Line | undefined;
  for (const line of lines) {
    if (line.text === '') {
      continue;
    }
    if (previous === undefined) {
      joined.push(line.text);
    } else if (breaksParagraph(previous, line)) {
      joined.push('', line.text);
    } else {
      appendLine(joined, line.text, hyphenated);
    }
    previous = line;
  }
  return joined.join('\n');
}

function breaksParagraph(upper: Line, lower: Line): boolean {
  const gap = lower.y - upper.y;
  const size = Math.max(upper.size, lower.size);
  if (gap < 0) {
    // The top of the next column goes on with what the last one said.
    return false;
  }
  const pitch = upper.pitch > 0 && upper.pitch === lower.pitch ? upper.pitch : 1.3 * size;
  return gap > 1.35 * pitch && gap > 1.25 * size;
}

/**
 * Adds a line; a word that was broken at the last line's end is mended, and the line breaks after it instead.
 * The hyphen stays where the page writes the word with one elsewhere, or has one in it already (state-of-the-art).
 */
function appendLine(joined: string[], next: string, hyphenated: ReadonlySet<string>): void {
  const last = joined.at(-1)!;
  const head = endsInHyphen.test(last.slice(-3)) ? /[\p{L}\p{M}-]*\p{L}(?=.$)/u.exec(last.slice(-60))?.[0] : undefined;
  const tail = head === undefined ? undefined : /^[\p{L}\p{M}]+/u.exec(next)?.[0];
  if (head !== undefined && tail !== undefined) {
    const compound = `${head}-${tail}`.toLowerCase();
    const isCompound = head.includes('-') || [...hyphenated].some((word) => word.startsWith(compound));
    // "Non-" before "Hispanic" may as well be the end of one phrase and the beginning of another.
    if (isCompound || /^\p{Ll}/u.test(tail)) {
      const space = next.indexOf(' ');
      const wordEnd = space < 0 ? next.length : space;
      joined[joined.length - 1] = last.slice(0, -1) + (isCompound ? '-' : '') + next.slice(0, wordEnd);
      if (wordEnd < next.length) {
        joined.push(next.slice(wordEnd + 1));
      }
      return;
    }
  }
  joined.push(next);
}

const endsInHyphen = /\p{L}[-\u00ad\u2010]$/u;

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
