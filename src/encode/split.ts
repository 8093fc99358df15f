/**
 * Parts of at most `most` characters (where there is white space) that, joined, are the text. Each but the first begins with
 * white space: there it belongs to the token of the word behind it, so the parts' tokens are those of the text.
 */
export function splitAtSpaces(text: string, most: number): string[] {
  const parts: string[] = [];
  for (let from = 0; from < text.length; ) {
    let end = Math.min(text.length, from + most);
    if (end < text.length) {
      const space = text.slice(from, end).search(/\s\S*$/u);
      if (space > 0) end = from + space;
      // Not in the middle of a surrogate pair.
      else if (/[\ud800-\udbff]/u.test(text[end - 1]!)) end++;
    }
    parts.push(text.slice(from, end));
    from = end;
  }
  return parts;
}
