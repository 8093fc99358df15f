/** Several readings of one picture, each a little wrong in its own way, to one. */
import { editDistance } from '../edit-distance.js';

/** The reading that the others are nearest to, by letters; of equals the first. @param readings at least one, each lines of text */
export function agreed(readings: readonly string[][]): string[] {
  const texts = readings.map((lines) => lines.join(' '));
  const distances = texts.map((text) => texts.reduce((sum, other) => sum + editDistance(text, other), 0));
  return readings[distances.indexOf(Math.min(...distances))]!;
}
