/**
 * The first key that occurs twice in one object of a JSON text, or null. JSON.parse keeps the last of two silently, so a
 * file could show one tensor to one reader and another to the next. `text` must be valid JSON.
 */
export function duplicateKey(text: string): string | null {
  /** Keys seen in each open object; null for an open array. */
  const open: (Set<string> | null)[] = [];
  const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}[\]]/gsu;
  for (const match of text.matchAll(tokens)) {
    const token = match[0];
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (match[1] !== undefined) {
      const key = JSON.parse(token.slice(0, token.length - match[1].length)) as string;
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return null;
}

/** Longest value that a message shows whole. */
const shownCharacters = 80;

/**
 * A value of parsed JSON, or its absence, for a message. A long one is named rather than shown, and one that is nested too
 * deeply to be written again (JSON.parse reads any depth, JSON.stringify does not write it) as well.
 */
export function showJson(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'string') return JSON.stringify(value.length <= shownCharacters ? value : `${value.slice(0, shownCharacters)}...`);
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  try {
    const text = JSON.stringify(value);
    if (text.length <= shownCharacters) return text;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return Array.isArray(value) ? 'a list' : 'an object';
}
