/** Probabilities to text: characters on borders, doubled ones, lines, and patterns that are none. */
import { expect, it } from 'vitest';
import { readCells, type Cells } from '../../src/see/read-cells.js';

const characters = [...' abelort'];

/** Cells that hold nothing but what is said: [row, column, character, probability]. */
function cells(rows: number, columns: number, ...held: readonly (readonly [number, number, string, number?])[]): Cells {
  const classes = characters.length + 1;
  const probabilities = new Float32Array(rows * columns * classes);
  for (let cell = 0; cell < rows * columns; cell++) probabilities[cell * classes] = 1;
  for (const [row, column, character, share = 1] of held) {
    const cell = (row * columns + column) * classes;
    probabilities[cell + characters.indexOf(character) + 1] = share;
    probabilities[cell] = probabilities[cell]! - share;
  }
  return { rows, columns, characters, probabilities };
}

it('reads characters from left to right, and the same one twice', () => {
  expect(readCells(cells(3, 9, [1, 6, 'a'], [1, 1, 'b'], [1, 3, 'l'], [1, 4, 'l'], [1, 2, 'e']))).toEqual(['bella']);
});

it('counts a character on the border of two cells once', () => {
  expect(readCells(cells(3, 6, [1, 0, 'b'], [1, 1, 'o', 0.5], [1, 2, 'o', 0.5], [1, 4, 'a', 0.45], [1, 5, 'a', 0.4]))).toEqual(['boa']);
});

it('counts a character on the border of two rows once, and two of them twice', () => {
  expect(readCells(cells(3, 6, [0, 1, 't', 0.5], [1, 1, 't', 0.5], [0, 2, 'o'], [1, 3, 'e', 0.6], [0, 4, 'e', 0.9], [0, 3, 'e', 0.5]))).toEqual(['toee']);
});

it('leaves out what is hardly there', () => {
  expect(readCells(cells(3, 6, [1, 0, 'b'], [1, 1, 'o', 0.25], [1, 3, 'a']))).toEqual(['ba']);
});

it('takes a smear for one character, and for two only what is nearly that', () => {
  expect(readCells(cells(2, 6, [0, 0, 'b'], [0, 1, 'o', 0.8], [0, 2, 'o', 0.7], [0, 4, 'a', 0.95], [0, 5, 'a', 0.95]))).toEqual(['boaa']);
});

it('keeps lines apart that are two rows from each other, and a line together that steps down one', () => {
  expect(readCells(cells(6, 6, [1, 0, 'a'], [1, 1, 'b'], [2, 2, 'e'], [2, 3, 'l'], [4, 0, 't'], [4, 2, 'o']))).toEqual(['abel', 'to']);
});

it('reads spaces as they stand, one of several, none at the ends', () => {
  expect(readCells(cells(1, 8, [0, 0, ' '], [0, 1, 'a'], [0, 2, ' '], [0, 4, ' '], [0, 5, 'b'], [0, 7, ' ']))).toEqual(['a b']);
});

it('finds nothing in nothing, and no text in a single character', () => {
  expect(readCells(cells(4, 4))).toEqual([]);
  expect(readCells(cells(4, 4, [2, 2, 'a']))).toEqual([]);
});
