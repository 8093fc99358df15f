/** RULER's questions about one document among many: of SQuAD (qa_1), and in two steps (qa_2). */
import { drawDistinct, pick, type Random } from '../random.js';
import { drawUnused } from './keys.js';
import type { Paragraph } from './squad.js';
import type { Trial, TrialRequest } from './trial.js';

export type QaTask = (request: TrialRequest, random: Random, paragraphs: readonly Paragraph[]) => Promise<Trial>;

const ANSWER_TOKENS = 32;
const TASK = 'Answer the question based on the given documents. Only give me the answer and do not output any other words.';
const HEAD = `${TASK}\n\nThe following are given documents.\n\n`;
const PREFIX = ' Answer:';

function tailOf(question: string): string {
  return `\n\n${TASK}\n\nQuestion: ${question}`;
}

interface Asked {
  readonly question: string;
  readonly answers: readonly string[];
  readonly guesses?: readonly string[];
  /** Documents that must be there, whole. */
  readonly needed: readonly string[];
  /** In the order they are taken, while there is room; again from the first, where they end. */
  readonly others: readonly string[];
}

async function amongDocuments({ question, answers, guesses, needed, others }: Asked, request: TrialRequest, random: Random): Promise<Trial> {
  const tail = tailOf(question);
  const tokens = await request.room({ words: HEAD + tail + PREFIX, answerTokens: ANSWER_TOKENS });
  // The longest number a document may get.
  const size = async (text: string): Promise<number> => request.count(`\n\nDocument 10000:\n${text}`);
  const sizes = new Map<string, number>();
  const chosen = [...needed];
  let left = tokens;
  for (const text of needed) left -= await size(text);
  for (let i = 0, misfits = 0; others.length > 0 && misfits < others.length; i = (i + 1) % others.length) {
    const text = others[i]!;
    const needs = sizes.get(text) ?? (await size(text));
    sizes.set(text, needs);
    if (needs > left) {
      misfits++;
      continue;
    }
    misfits = 0;
    chosen.push(text);
    left -= needs;
  }
  const pieces = drawDistinct(chosen, chosen.length, random).map((text, i, all) => `Document ${i + 1}:\n${text}${i + 1 < all.length ? '\n\n' : ''}`);
  const asked = { question, expected: answers, scoring: 'part', published: { tail, prefix: PREFIX }, ...(guesses ? { guesses } : {}) } as const;
  return { pieces, head: HEAD, answerTokens: ANSWER_TOKENS, questions: [asked] };
}

/** The paragraph of the question, the others of its article, then any. */
export const questionFromSquad: QaTask = (request, random, paragraphs) => {
  const own = pick(paragraphs.filter(({ questions }) => questions.length > 0), random);
  const { question, answers } = pick(own.questions, random);
  const rest = drawDistinct(paragraphs, paragraphs.length, random).filter((one) => one !== own);
  const near = rest.filter(({ article }) => article === own.article);
  const far = rest.filter(({ article }) => article !== own.article);
  return amongDocuments({ question, answers, needed: [own.context], others: [...near, ...far].map(({ context }) => context) }, request, random);
};

const FIRST = 'Alder Brack Corran Dunmore Elver Fenwick Garrow Hartle Ingram Jarvis Kestrel Lorne Marrow Norrey Oswin Pellar Quillon Rowan Selwyn Tarrant Ulric Varley Wendell Yarrow'.split(' ');
const LAST = 'Ashby Birtwhistle Cray Drummond Eastlake Farrow Gorse Holloway Inchbald Jessop Kendrick Lomax Merriman Nethercott Orme Pargeter Quayle Ridley Stroud Thorne Underhill Vickers Whitlock Yeo'.split(' ');
const TOWN = 'Amber Black Copper Dun Elm Fern Gold Hazel Iron Kings Lark Marsh North Oak Pine Quarry Raven Silver Thorn Upper West Yew'.split(' ');
const END = 'bridge brook bury dale field ford gate ham hurst ley mere mouth port stead ton wick'.split(' ');
const REGIONS = ['Aldermark', 'Brennia', 'Carradoc', 'Drovenmoor', 'Estermarch', 'Fallowshire', 'Gwendale', 'Harrowmere', 'Istria Vale', 'Jorvenland', 'Kelmarsh', 'Lothenwold'];
const CALLINGS = ['glassblower', 'botanist', 'cartographer', 'organist', 'clockmaker', 'surveyor', 'bookbinder', 'composer'];
/** People, and as many towns; a longer document has them again. */
const PEOPLE = 60;

/** Who was born where, and where that lies, in two documents of the form of HotpotQA's: a title, and sentences. */
export const twoStepQuestion: QaTask = (request, random) => {
  const people = drawUnused(PEOPLE, (draw) => `${pick(FIRST, draw)} ${pick(LAST, draw)}`, random, () => false);
  const towns = drawUnused(PEOPLE, (draw) => pick(TOWN, draw) + pick(END, draw), random, () => false);
  const regions = towns.map(() => pick(REGIONS, random));
  const lives = people.map((person, i) => `${person}\n${person} was a ${pick(CALLINGS, random)}. ${person} was born in ${towns[i]!} and spent many years abroad.`);
  const places = towns.map((town, i) => `${town}\n${town} is a market town. It lies in ${regions[i]!}, on a small river, and holds a fair every autumn.`);
  const question = `In which region lies the town where ${people[0]!} was born?`;
  const others = drawDistinct([...lives.slice(1), ...places.slice(1)], 2 * PEOPLE - 2, random);
  return amongDocuments({ question, answers: [regions[0]!], guesses: REGIONS, needed: [lives[0]!, places[0]!], others }, request, random);
};
