/**
 * Text folded for comparison: a quote must be found again although the page breaks lines elsewhere, sets curly
 * quotes or a ligature. Every folded character knows where it came from, so a match points into the original.
 */
export interface FoldedText {
  readonly text: string;
  /** origin[i]: index in the original of the i-th folded UTF-16 unit; origin[text.length]: the original's length. */
  readonly origin: Uint32Array;
}

const SAME: ReadonlyMap<string, string> = new Map([
  ['\u2018', "'"], ['\u2019', "'"], ['\u201a', "'"], ['\u201b', "'"], ['\u2032', "'"],
  ['\u201c', '"'], ['\u201d', '"'], ['\u201e', '"'], ['\u2033', '"'],
  ['\u2010', '-'], ['\u2011', '-'], ['\u2012', '-'], ['\u2013', '-'], ['\u2014', '-'], ['\u2212', '-'],
  ['\u00ad', ''], ['\u200b', ''], ['\u2060', ''], ['\ufeff', ''],
  ['\ufb00', 'ff'], ['\ufb01', 'fi'], ['\ufb02', 'fl'], ['\ufb03', 'ffi'], ['\ufb04', 'ffl'],
]);

const SPACE = 32;
/** Longest folding of one UTF-16 unit: "ffi". */
const LONGEST = 3;

/** ASCII is most of most texts: its folding by table, white space as SPACE. */
const ASCII = Uint8Array.from({ length: 128 }, (_, code) => {
  const unit = String.fromCharCode(code);
  return /\s/u.test(unit) ? SPACE : unit.toLowerCase().charCodeAt(0);
});

const UTF_16 = new TextDecoder('utf-16le');

/** Lower-case, one space for any white space, straight quotes, plain hyphens, no ligatures or soft hyphens. */
export function fold(original: string): FoldedText {
  const units = new Uint16Array(LONGEST * original.length);
  const origin = new Uint32Array(LONGEST * original.length + 1);
  let length = 0;
  const put = (code: number, from: number): void => {
    if (code === SPACE && (length === 0 || units[length - 1] === SPACE)) return;
    units[length] = code;
    origin[length] = from;
    length++;
  };
  for (let i = 0; i < original.length; i++) {
    const code = original.charCodeAt(i);
    if (code < 128) {
      put(ASCII[code]!, i);
      continue;
    }
    const unit = original[i]!;
    const folded = /\s/u.test(unit) ? ' ' : (SAME.get(unit) ?? unit.toLowerCase());
    for (let j = 0; j < folded.length && j < LONGEST; j++) put(folded.charCodeAt(j), i);
  }
  if (length > 0 && units[length - 1] === SPACE) length--;
  origin[length] = original.length;
  return { text: UTF_16.decode(units.subarray(0, length)), origin: origin.slice(0, length + 1) };
}

function isWordUnit(unit: string | undefined): boolean {
  return unit !== undefined && /[\p{L}\p{N}_]/u.test(unit);
}

/** True where [start, end) of `text` is cut out of a longer word or number: 73 in 1973, 300 in 1,300. */
function insideWord(text: string, start: number, end: number): boolean {
  const first = text[start]!;
  const last = text[end - 1]!;
  if (isWordUnit(first) && isWordUnit(text[start - 1])) return true;
  if (isWordUnit(last) && isWordUnit(text[end])) return true;
  const digit = (unit: string | undefined): boolean => unit !== undefined && unit >= '0' && unit <= '9';
  const joint = (unit: string | undefined): boolean => unit === ',' || unit === '.';
  if (digit(first) && joint(text[start - 1]) && digit(text[start - 2])) return true;
  return digit(last) && joint(text[end]) && digit(text[end + 1]);
}

/** Start offsets (in the folded text) of `needle`, which is folded too, as whole words. */
export function occurrences(haystack: string, needle: string): number[] {
  const found: number[] = [];
  if (needle === '') return found;
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) {
    if (!insideWord(haystack, at, at + needle.length)) found.push(at);
  }
  return found;
}
