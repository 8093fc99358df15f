/**
 * The ratio of Python's `difflib.SequenceMatcher(None, a, b)`, by which MRCR is scored: 2 M / (|a| + |b|), where M counts
 * the elements in matching blocks, found by taking the longest match first and then those to its left and right.
 * Elements are Unicode code points, as in a Python string.
 */

/** From this length of b on, Python takes elements that are too common for junk. */
const AUTOJUNK_FROM = 200;

/** Where each element of `b` stands; with `autojunk`, without those that occur more than 1 + |b| / 100 times. */
function placesOf(b: readonly string[], autojunk: boolean): Map<string, number[]> {
  const places = new Map<string, number[]>();
  for (const [j, element] of b.entries()) {
    const list = places.get(element);
    if (list) list.push(j);
    else places.set(element, [j]);
  }
  if (autojunk && b.length >= AUTOJUNK_FROM) {
    const most = Math.floor(b.length / 100) + 1;
    for (const [element, list] of places) if (list.length > most) places.delete(element);
  }
  return places;
}

/**
 * @param autojunk Python's default, and MRCR's. It makes the ratio depend on the order of a and b, and can make it 0 for
 *   long texts that are nearly the same; false: a measure for people.
 */
export function sequenceRatio(textA: string, textB: string, autojunk = true): number {
  const a = Array.from(textA);
  const b = Array.from(textB);
  if (a.length + b.length === 0) return 1;
  const places = placesOf(b, autojunk);
  // Lengths of matches that end at b[j - 1], of the row of `a` before and of this one; cleared by going over them again.
  let before = new Int32Array(b.length + 1);
  let here = new Int32Array(b.length + 1);
  let matched = 0;
  const windows: [number, number, number, number][] = [[0, a.length, 0, b.length]];
  for (let window = windows.pop(); window !== undefined; window = windows.pop()) {
    const [fromA, toA, fromB, toB] = window;
    let [bestA, bestB, size] = [fromA, fromB, 0];
    before.fill(0, fromB, toB + 1);
    for (let i = fromA; i < toA; i++) {
      here.fill(0, fromB, toB + 1);
      for (const j of places.get(a[i]!) ?? []) {
        if (j < fromB) continue;
        if (j >= toB) break;
        const length = before[j]! + 1;
        here[j + 1] = length;
        if (length > size) [bestA, bestB, size] = [i - length + 1, j - length + 1, length];
      }
      // No match goes on from before the window.
      here[fromB] = 0;
      [before, here] = [here, before];
    }
    // Elements that were taken for junk may lengthen a match, but not begin one.
    while (bestA > fromA && bestB > fromB && a[bestA - 1] === b[bestB - 1]) [bestA, bestB, size] = [bestA - 1, bestB - 1, size + 1];
    while (bestA + size < toA && bestB + size < toB && a[bestA + size] === b[bestB + size]) size++;
    if (size === 0) continue;
    matched += size;
    if (fromA < bestA && fromB < bestB) windows.push([fromA, bestA, fromB, bestB]);
    if (bestA + size < toA && bestB + size < toB) windows.push([bestA + size, toA, bestB + size, toB]);
  }
  return (2 * matched) / (a.length + b.length);
}
