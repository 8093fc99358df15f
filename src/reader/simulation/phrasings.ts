/**
 * Ways to state facts that the reading policy is trained with, beside those of the recall tests, with which it is tested. The embedded
 * model was trained with neither. The last questions of each are in other words than the facts, as people ask: they share the name alone.
 */
import type { Family } from '../../recall/heldout.js';

export interface Phrasing extends Family {
  /** Names the value by the fact, so that another question can ask about it: "the one who tends {k}". */
  readonly reference?: string;
}

export const trainingPhrasings: readonly Phrasing[] = [
  { name: 'keeper', keys: ['thing', 'room'], values: ['person'], facts: ['For many years {k} has been in the care of {v}.', 'Visitors to {k} must first apply to {v}.'], questions: ['In whose care is {k}?', 'To whom must visitors to {k} apply?', 'Who looks after {k}?'], reference: 'the person who cares for {k}' },
  { name: 'padlock', keys: ['thing', 'object'], values: ['num'], facts: ['The padlock on {k} opens at {v}.', 'Turn the padlock of {k} to {v} and pull.'], questions: ['At which number does the padlock on {k} open?', 'What combination unlocks {k}?'] },
  { name: 'lodging', keys: ['person'], values: ['place'], facts: ['That winter {k} took lodgings at {v}.', 'It is in {v} that {k} lodged through the winter.'], questions: ['Where did {k} lodge that winter?', 'In which town did {k} take lodgings?', 'Where did {k} stay for the cold months?', 'In what place did {k} rent rooms?'], reference: 'the town where {k} took lodgings' },
  { name: 'wager', keys: ['person'], values: ['money'], facts: ['At cards {k} lost {v} in a single night.', 'The wager cost {k} the sum of {v}.'], questions: ['How much did {k} lose at cards?', 'What sum did the wager cost {k}?', 'What did an evening of gambling cost {k}?'] },
  { name: 'cargo_port', keys: ['ship'], values: ['place'], facts: ['Her cargo was taken off {k} at {v}.', '{k} put in at {v} to discharge her cargo.'], questions: ['At which port did {k} discharge her cargo?', 'Where was {k} unloaded?'], reference: 'the port where {k} discharged her cargo' },
  { name: 'captain', keys: ['ship'], values: ['person'], facts: ['On her last voyage {k} sailed under {v}.', 'The owners gave the command of {k} to {v}.'], questions: ['Who commanded {k}?', 'Under whom did {k} sail on her last voyage?', 'Who was in charge aboard {k}?'], reference: 'the person who commanded {k}' },
  { name: 'painted', keys: ['thing', 'room', 'ship'], values: ['colour'], facts: ['The doors of {k} were painted {v} in the spring.', 'A coat of {v} was given to the doors of {k}.'], questions: ['What colour were the doors of {k} painted?', 'What colour does one see on the doors of {k}?'] },
  { name: 'breakfast', keys: ['person'], values: ['food'], facts: ['To breakfast {k} would have nothing but {v}.', 'Every morning {k} sat down to {v}.'], questions: ['What did {k} eat for breakfast?', 'To what did {k} sit down every morning?', 'What was the first meal of the day for {k}?'] },
  { name: 'serial', keys: ['product'], values: ['code'], facts: ['Stamped under the base of {k} one finds {v}.', 'The makers registered {k} as {v}.'], questions: ['What is stamped under the base of {k}?', 'Under which mark was {k} registered by its makers?', 'By what mark can one tell {k}?'] },
  { name: 'inventor', keys: ['product'], values: ['person'], facts: ['It was {v} who first thought of {k}.', 'The drawings of {k} are all in the hand of {v}.'], questions: ['Who first thought of {k}?', 'In whose hand are the drawings of {k}?', 'Whose idea was {k}?', 'Who designed {k}?'], reference: 'the person who first thought of {k}' },
  { name: 'tribute', keys: ['place'], values: ['money'], facts: ['The toll taken at {k} came to {v} that year.', 'In a good year the toll of {k} yields {v}.'], questions: ['To how much did the toll taken at {k} come?', 'What did travellers pay at {k} in all?'] },
  { name: 'last_train', keys: ['place'], values: ['time'], facts: ['After {v} no train stops at {k}.', 'The last train leaves {k} at {v}.'], questions: ['At what time does the last train leave {k}?', 'After what time does no train stop at {k}?', 'Until when can one travel by rail from {k}?'] },
  { name: 'engineer', keys: ['project'], values: ['person'], facts: ['The plans for {k} were drawn up by {v}.', 'As engineer of {k} the company engaged {v}.'], questions: ['Who drew up the plans for {k}?', 'Whom did the company engage as engineer of {k}?', 'Who designed {k}?'], reference: 'the person who drew up the plans for {k}' },
  { name: 'overspent', keys: ['project', 'event'], values: ['money'], facts: ['When all was paid {k} had swallowed {v}.', 'The promoters of {k} were out of pocket by {v}.'], questions: ['How much had {k} swallowed when all was paid?', 'By how much were the promoters of {k} out of pocket?', 'What did {k} cost in the end?'] },
  { name: 'victor', keys: ['event'], values: ['person'], facts: ['To general surprise {k} was carried off by {v}.', 'Nobody came near {v} in {k}.'], questions: ['Who carried off {k}?', 'Whom did nobody come near in {k}?', 'Who won {k}?'], reference: 'the person who carried off {k}' },
  { name: 'bequest', keys: ['object'], values: ['person'], facts: ['By the terms of the will {k} passed to {v}.', 'The heir of {k} is {v}.'], questions: ['To whom did {k} pass by the will?', 'Who inherited {k}?'], reference: 'the person to whom {k} passed' },
  { name: 'found_at', keys: ['object'], values: ['place'], facts: ['{k} came to light in an attic at {v}.', 'It was in {v} that somebody stumbled upon {k}.'], questions: ['Where did {k} come to light?', 'Where was {k} discovered?'], reference: 'the place where {k} came to light' },
  { name: 'parcel', keys: ['person'], values: ['code'], facts: ['The left luggage of {k} is held under ticket {v}.', 'A ticket marked {v} redeems the luggage of {k}.'], questions: ['Under which ticket is the left luggage of {k} held?', 'What is the number of the receipt for the bags of {k}?'] },
  { name: 'population', keys: ['place'], values: ['num'], facts: ['At the last count {v} souls lived in {k}.', 'The parish books of {k} number {v} souls.'], questions: ['How many souls lived in {k} at the last count?', 'How many people live in {k}?', 'What is the size of {k} in inhabitants?'] },
  { name: 'rehearsal', keys: ['room'], values: ['time'], facts: ['The choir meets in {k} at {v}.', 'From {v} the choir has the use of {k}.'], questions: ['When does the choir meet in {k}?', 'At what hour do the singers come to {k}?'] },
];

/** Of the families of the recall tests (eval_templates.json), by name. */
const REFERENCES: Readonly<Record<string, string>> = {
  dig_site: 'the site where {k} broke ground',
  shipwright: 'the one who laid the keel of {k}',
  telegram: 'the place from where the telegram to {k} was returned',
  hands_over: 'the one who alone is allowed to hand out the key to {k}',
};

export function testPhrasings(families: readonly Family[]): Phrasing[] {
  return families.map((family) => ({ ...family, ...(REFERENCES[family.name] === undefined ? {} : { reference: REFERENCES[family.name]! }) }));
}
