/** Names that stand in no source: what is told of them, and when a long one is taken for another spelling. */
import { describe, expect, it } from 'vitest';
import { asRead, unknownNames } from '../../src/answer/names.js';
import { editDistance } from '../../src/edit-distance.js';
import type { IngestedSource } from '../../src/ingest/segment.js';
import { answerText } from '../../src/ui/plain.js';

const text = 'The captain of the Petrel is Ingrid Halvorsen, from Slovenia. The Whitstable depot lies by the Whitstable quay; the petrol is kept in Orléans. Room AB1234567.';
const source: IngestedSource = { source: { path: 'a.txt', kind: 'text', bytes: text.length, sha256: '' }, segments: [{ source: 0, text }], warnings: [] };
const names = (question: string): unknown[] => unknownNames(question, [source], true).map(({ name, nearest, read_as_nearest: taken }) => [name, nearest, taken]);

describe('a name', () => {
  it.each([
    // Known, by how it begins; and no names.
    ['Who is the captain of the Petrel?', []],
    ['Who is the captain of the Petrell?', []],
    ['Where does Ingrid come from?', []],
    ['Where is Orleans?', []],
    ['Gannet is what?', []],
    ['what is kept there?', []],
    // Told, and not believed.
    ['Who is the captain of the Pertel?', [['Pertel', 'Petrel', false]]],
    ['Who is the captain of the Betrel?', [['Betrel', 'Petrel', false]]],
    ['How large is Slovakia?', [['Slovakia', 'Slovenia', false]]],
    ['Who is the captain of the Merlin?', [['Merlin', null, false]]],
    // One letter is a lot of a short name, and of a code.
    ['Who is the captain of the Petril of Rome?', [['Rome', null, false]]],
    ['Who owns room AB1243567?', [['AB1243567', null, false]]],
    // A long name that is off by one, and not by its first letter.
    ['Where is the Whistable depot?', [['Whistable', 'Whitstable', true]]],
    ['Where is the Wihtstable depot?', [['Wihtstable', 'Whitstable', true]]],
    ['Where does Hlavorsen live?', [['Hlavorsen', 'Halvorsen', true]]],
    ['Where does Jalvorsen live?', [['Jalvorsen', 'Halvorsen', false]]],
  ])('%s', (question, expected) => expect(names(question)).toEqual(expected));

  it('that is taken for another stands in the question that is read', () => {
    const question = 'Where is the Whistable depot, and who is the Merlin? Whistable!';
    expect(asRead(question, unknownNames(question, [source], true))).toBe('Where is the Whitstable depot, and who is the Merlin? Whitstable!');
  });

  it('is told where the answer is not there', () => {
    const unknown = unknownNames('Who is the captain of the Pertel in Merlin?', [source], true);
    expect(answerText({ found: false, answer: '', unknown_names: unknown })).toBe('Not found in the sources. There is no "Pertel" in them; did you mean "Petrel"? There is no "Merlin" in them.');
    const read = (corrects: boolean): string => answerText({ found: false, answer: '', unknown_names: unknownNames('Who owns the Whistable?', [source], corrects) });
    expect(read(true)).toBe('Not found in the sources. There is no "Whistable" in them, and no answer for "Whitstable".');
    expect(read(false)).toBe('Not found in the sources. There is no "Whistable" in them; did you mean "Whitstable"?');
    expect(answerText({ found: true, answer: 'Ingrid', unknown_names: unknown })).toBe('Ingrid');
    expect(answerText({ found: false, answer: '' })).toBe('Not found in the sources.');
  });
});

it.each([
  ['', '', 0],
  ['abc', '', 3],
  ['', 'ab', 2],
  ['kitten', 'sitting', 3],
  ['ab', 'ba', 1],
  ['ca', 'abc', 3],
  ['slovakia', 'slovenia', 2],
  ['whistable', 'whitstable', 1],
])('%j and %j are %i edits apart', (a, b, edits) => {
  expect(editDistance(a, b)).toBe(edits);
  expect(editDistance(b, a)).toBe(edits);
});
