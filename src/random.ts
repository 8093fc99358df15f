/** Pseudo-random numbers for everything that must come out the same again: sampling, and the trials of the recall tests. */

/** Gives numbers in [0, 1). */
export type Random = () => number;

/** Uniform numbers in [0, 1) from a seed (SplitMix32): the same sequence everywhere. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** A seed from several things, so that each draws its own sequence (FNV-1a, 32 bits, over their text). */
export function seedOf(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(parts.join('\0'))) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** A whole number from 0 to `below` - 1. */
export function randomBelow(below: number, random: Random): number {
  return Math.floor(random() * below);
}

export function pick<T>(list: readonly T[], random: Random): T {
  return list[randomBelow(list.length, random)]!;
}

/** `count` different elements in random order (Fisher and Yates). Throws RangeError where the list is too short. */
export function drawDistinct<T>(list: readonly T[], count: number, random: Random): T[] {
  if (count > list.length) throw new RangeError(`${count} different elements of a list of ${list.length}`);
  const pool = [...list];
  for (let i = 0; i < count; i++) {
    const j = i + randomBelow(pool.length - i, random);
    [pool[i], pool[j]] = [pool[j]!, pool[i]!];
  }
  return pool.slice(0, count);
}
