/**
 * NVIDIA's RULER (arXiv 2404.06654; code at c3f5e3b): its 13 tasks with their templates, answer prefixes, longest answers and
 * scores. Each sample is as long as the prompt of its task leaves room for. Other than there: the prose, and the words of
 * keys and lists, are ours; qa_2, which needs HotpotQA, asks two-step questions about made-up people and towns.
 *
 * A chat model is given the published prompt, the prefix opening its own turn; an extractive one the document and the
 * question, and an answer of one slice can't name four values or ten words.
 */
import type { Random } from '../random.js';
import { codedWords, commonWords, type WordTask } from './ruler-words.js';
import { questionFromSquad, twoStepQuestion, type QaTask } from './ruler-qa.js';
import { needleTask, type NeedleKind } from './ruler-needles.js';
import { variableTracking } from './ruler-variables.js';
import type { Prose } from './niah.js';
import type { Paragraph } from './squad.js';
import { trialRandom, type Suite, type Trial, type TrialRequest } from './trial.js';

export interface RulerSources {
  readonly prose: Prose;
  /** Of qa_1. */
  readonly paragraphs: readonly Paragraph[];
}

/** Makes one sample of a task. */
export type RulerTask = (request: TrialRequest, random: Random, sources: RulerSources) => Promise<Trial>;

const niah = (kind: NeedleKind): RulerTask => (request, random, { prose }) => needleTask(kind, request, random, prose);
const words = (task: WordTask): RulerTask => (request, random, { prose }) => task(request, random, prose);
const qa = (task: QaTask): RulerTask => (request, random, { paragraphs }) => task(request, random, paragraphs);

/** RULER's table of configurations, with its names. */
export const rulerTasks: Readonly<Record<string, RulerTask>> = {
  niah_single_1: niah({ haystack: 'noise', key: 'words', value: 'numbers', keys: 1, values: 1, queries: 1 }),
  niah_single_2: niah({ haystack: 'essay', key: 'words', value: 'numbers', keys: 1, values: 1, queries: 1 }),
  niah_single_3: niah({ haystack: 'essay', key: 'words', value: 'uuids', keys: 1, values: 1, queries: 1 }),
  niah_multikey_1: niah({ haystack: 'essay', key: 'words', value: 'numbers', keys: 4, values: 1, queries: 1 }),
  niah_multikey_2: niah({ haystack: 'needle', key: 'words', value: 'numbers', keys: 1, values: 1, queries: 1 }),
  niah_multikey_3: niah({ haystack: 'needle', key: 'uuids', value: 'uuids', keys: 1, values: 1, queries: 1 }),
  niah_multivalue: niah({ haystack: 'essay', key: 'words', value: 'numbers', keys: 1, values: 4, queries: 1 }),
  niah_multiquery: niah({ haystack: 'essay', key: 'words', value: 'numbers', keys: 4, values: 1, queries: 4 }),
  vt: (request, random) => variableTracking(request, random),
  cwe: words(commonWords),
  fwe: words(codedWords),
  qa_1: qa(questionFromSquad),
  qa_2: qa(twoStepQuestion),
};

const NAMES = Object.keys(rulerTasks);

/** What Llama-2-7B reaches at 4K: RULER's threshold of the effective length. */
export const RULER_THRESHOLD = 0.856;

export function rulerSuite(sources: RulerSources): Suite {
  return {
    name: 'ruler',
    about:
      "RULER's 13 tasks, with its templates, answer prefixes and scores; qa_1 of a sample of SQuAD, qa_2 of generated two-step questions (HotpotQA is not in the package); RULER's own threshold of the effective length is 85.6 %",
    lengths: [4096, 8192, 16_384, 32_768, 65_536, 131_072],
    questions: NAMES.length,
    round: NAMES.length,
    least: 1024,
    make: (request) => rulerTrials(sources, request),
  };
}

async function* rulerTrials(sources: RulerSources, request: TrialRequest): AsyncGenerator<Trial> {
  for (let made = 0; made < request.questions; made++) {
    const part = NAMES[made % NAMES.length]!;
    const random = trialRandom(request, 'ruler', part, `${Math.floor(made / NAMES.length)}`);
    const trial = await rulerTasks[part]!(request, random, sources);
    yield { ...trial, questions: trial.questions.map((question) => ({ ...question, part })) };
  }
}
