/**
 * Facts in prose that must be put together, after BABILong (arXiv 2406.10149): people, places and things of the kind of the
 * first five bAbI tasks, told by a small simulator of our own, their sentences in order at random places of the prose.
 */
import { drawDistinct, pick, randomBelow, type Random } from '../random.js';
import { fillTokens, placeNeedles } from './haystack.js';
import { CONTEXT_HEAD, countNeedles, drawStart, type Prose } from './niah.js';
import { trialRandom, type Suite, type Trial, type TrialRequest } from './trial.js';

const PEOPLE = ['Mary', 'John', 'Sandra', 'Daniel', 'Julie', 'Bill'];
const PLACES = ['bathroom', 'bedroom', 'garden', 'hallway', 'kitchen', 'office'];
const THINGS = ['football', 'apple', 'milk'];
const MOVES = ['moved to', 'went to', 'journeyed to', 'travelled to', 'went back to'];

interface Story {
  readonly facts: readonly string[];
  readonly question: string;
  readonly answer: string;
  /** Every answer there could be, but those that the question names. */
  readonly labels: readonly string[];
}

function move(person: string, place: string, random: Random): string {
  return `${person} ${pick(MOVES, random)} the ${place}.`;
}

/** Moves of different people; the last one of each says where they are. */
function walk(steps: number, random: Random): { readonly facts: string[]; readonly at: Map<string, string> } {
  const at = new Map<string, string>();
  const facts = Array.from({ length: steps }, () => {
    const person = pick(PEOPLE, random);
    const place = pick(PLACES.filter((one) => one !== at.get(person)), random);
    at.set(person, place);
    return move(person, place, random);
  });
  return { facts, at };
}

/** qa1: where somebody is. */
function oneFact(random: Random): Story {
  const { facts, at } = walk(4 + randomBelow(4, random), random);
  const [person, answer] = pick([...at], random);
  return { facts, question: `Where is ${person}?`, answer, labels: PLACES };
}

/** A thing is taken up and carried along, in the midst of other people's moves. Places in the order it came to them. */
function carry(stops: number, random: Random): { readonly facts: string[]; readonly thing: string; readonly places: string[] } {
  const [carrier, ...others] = drawDistinct(PEOPLE, 4, random);
  const thing = pick(THINGS, random);
  const places = drawDistinct(PLACES, stops, random);
  const aside = (): string => move(pick(others, random), pick(PLACES, random), random);
  const facts = [aside(), move(carrier!, places[0]!, random), aside(), `${carrier!} ${pick(['took', 'picked up', 'got'], random)} the ${thing}.`];
  for (const place of places.slice(1)) facts.push(aside(), move(carrier!, place, random));
  facts.push(`${carrier!} ${pick(['dropped', 'put down', 'left'], random)} the ${thing}.`, aside());
  return { facts, thing, places };
}

/** qa2: where a thing is that somebody carried. */
function twoFacts(random: Random): Story {
  const { facts, thing, places } = carry(2, random);
  return { facts, question: `Where is the ${thing}?`, answer: places.at(-1)!, labels: PLACES };
}

/** qa3: where it was before. */
function threeFacts(random: Random): Story {
  const { facts, thing, places } = carry(3, random);
  return { facts, question: `Where was the ${thing} before the ${places[2]!}?`, answer: places[1]!, labels: PLACES.filter((one) => one !== places[2]) };
}

/** qa4: what lies on which side of what. */
function twoRelations(random: Random): Story {
  const [first, second, third] = drawDistinct(PLACES, 3, random) as [string, string, string];
  const side = pick(['north', 'south', 'east', 'west'], random);
  const facts = [`The ${first} is ${side} of the ${second}.`, `The ${second} is ${side} of the ${third}.`];
  const asked = randomBelow(2, random) === 0;
  const question = asked ? `What is ${side} of the ${third}?` : `What is the ${first} ${side} of?`;
  return { facts, question, answer: second, labels: PLACES.filter((one) => one !== (asked ? third : first)) };
}

/** qa5: who gave what to whom. */
function threeRelations(random: Random): Story {
  const things = drawDistinct(THINGS, 3, random);
  const gifts = things.map((thing) => [...drawDistinct(PEOPLE, 2, random), thing] as [string, string, string]);
  const facts = gifts.map(([from, to, thing]) => `${from} ${pick(['gave', 'handed', 'passed'], random)} the ${thing} to ${to}.`);
  const [from, to, thing] = pick(gifts, random);
  return { facts, question: `Who did ${from} give the ${thing} to?`, answer: to, labels: PEOPLE.filter((one) => one !== from) };
}

const TASKS = { qa1: oneFact, qa2: twoFacts, qa3: threeFacts, qa4: twoRelations, qa5: threeRelations } as const;
const NAMES = Object.keys(TASKS) as (keyof typeof TASKS)[];

const INSTRUCTION = 'The context below is a long text in which facts about a few people, places and things are hidden. Answer the question from these facts alone; where they contradict each other, the later one holds.';
const FORM = 'Answer with one word and nothing else.';
/** Of BABILong. */
const ANSWER_TOKENS = 20;

/** The same for every question of a task, as BABILong's few shots are. */
function headOf(task: keyof typeof TASKS): string {
  const random = trialRandom({ seed: 1, tokens: 0 }, 'babilong example', task);
  const examples = Array.from({ length: 2 }, () => {
    const { facts, question, answer } = TASKS[task](random);
    return `<example>\n${facts.join(' ')}\nQuestion: ${question}\nAnswer: ${answer}\n</example>`;
  });
  return `${INSTRUCTION}\n\n${examples.join('\n\n')}\n\n${FORM}\n\n${CONTEXT_HEAD}`;
}

export function babilongSuite(prose: Prose): Suite {
  return {
    name: 'babilong',
    about:
      'after BABILong: facts in prose to be put together, of the kind of bAbI qa1 to qa5 (one, two and three supporting facts, two and three related things), made anew; right is the one word and no other of its kind',
    lengths: [1024, 4096, 16_384],
    questions: 20,
    round: NAMES.length,
    make: (request) => babilongTrials(prose, request),
  };
}

async function* babilongTrials(prose: Prose, request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'babilong');
  for (let made = 0; made < request.questions; made++) {
    const part = NAMES[made % NAMES.length]!;
    const { facts, question, answer, labels } = TASKS[part](random);
    const head = headOf(part);
    const tail = `\n</context>\n\nQuestion: ${question}`;
    const tokens = await request.room({ words: head + tail, answerTokens: ANSWER_TOKENS });
    const depths = facts.map(() => 100 * random()).sort((a, b) => a - b);
    const room = Math.max(1, tokens - (await countNeedles(facts, request.count)));
    const { pieces } = placeNeedles(fillTokens(prose.units, room, drawStart(prose, random)), facts.map((text, i) => ({ text, depthPercent: depths[i]! })));
    yield {
      pieces,
      head,
      needles: facts,
      answerTokens: ANSWER_TOKENS,
      questions: [{ question, expected: [answer], scoring: 'only', labels, guesses: labels, part, published: { tail, prefix: '' } }],
    };
  }
}
