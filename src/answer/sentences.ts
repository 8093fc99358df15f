/** Sentence bounds around a place in a text: enough for a quote that can be read on its own. */

const MAX_QUOTE = 320;
// Not ends of sentences: initials, titles and common abbreviations before the full stop.
const ABBREVIATION = /(?:^|[\s("'])(?:\p{Lu}|Mr|Mrs|Ms|Dr|St|Prof|Capt|Gen|Col|Sgt|Lt|Rev|Hon|No|Nos|vs|etc|e\.g|i\.e|cf|Fig|Sec|Art|vol|pp|p|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|U\.S|Inc|Ltd|Co)$/u;

function isEnd(text: string, at: number): boolean {
  const unit = text[at];
  if (unit === '\n' && text[at + 1] === '\n') return true;
  if (unit !== '.' && unit !== '!' && unit !== '?') return false;
  let next = at + 1;
  while (next < text.length && /["'\u2019\u201d)\]]/u.test(text[next]!)) next++;
  if (next < text.length && !/\s/u.test(text[next]!)) return false;
  return !(unit === '.' && ABBREVIATION.test(text.slice(Math.max(0, at - 8), at)));
}

/** [start, end) of the sentence that holds [from, to), at most about 320 characters long. */
export function sentenceAround(text: string, from: number, to: number): [number, number] {
  const floor = Math.max(0, from - MAX_QUOTE / 2);
  const ceiling = Math.min(text.length, Math.max(to, from + MAX_QUOTE / 2));
  let start = from;
  while (start > floor && !isEnd(text, start - 1)) start--;
  // A quote starts at a word, not at the mark that closed the sentence before.
  while (start < from && /[\s"'\u2019\u201d)\]]/u.test(text[start]!) && !/["']/u.test(text[start]!)) start++;
  if (start === floor && floor > 0) {
    const space = text.slice(start, from).search(/\s/u);
    if (space >= 0) start += space + 1;
  }
  let end = to;
  while (end < ceiling && !isEnd(text, end - 1)) end++;
  while (end < ceiling && /["\u2019\u201d)\]]/u.test(text[end]!)) end++;
  if (end === ceiling && ceiling < text.length && !isEnd(text, end - 1)) {
    const space = text.slice(to, end).search(/\s\S*$/u);
    if (space >= 0) end = to + space;
  }
  return [start, Math.max(end, to)];
}
