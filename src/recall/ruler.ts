/**
 * NVIDIA's RULER (arXiv 2404.06654; code at c3f5e3b): its 13 tasks with their templates, answer prefixes, longest answers and
 * scores. Each sample is as long as the prompt of its task leaves room for. Other than there: the prose, and the words of
 * keys and lists, are ours, and the questions are a sample of SQuAD's and HotpotQA's.
 *
 * A chat model is given the published prompt, the prefix opening its own turn; an extractive one the document and the
 * question, and an answer of one slice can't name four values or ten words.
 */
import type { Random } from '../random.js';
import type { HotpotQuestion } from './hotpotqa.js';
import { codedWords, commonWords, type WordTask } from './ruler-words.js';
import { questionFromHotpotQa, questionFromSquad } from './ruler-qa.js';
import { needleTask, type NeedleKind } from './ruler-needles.js';
import { variableTracking } from './ruler-variables.js';
import type { Prose } from './niah.js';
import type { Paragraph } from './squad.js';
import { trialRandom, type Suite, type Trial, type TrialRequest } from './trial.js';

export interface RulerSources {
  readonly prose: Prose;
  /** Of qa_1. */
  readonly paragraphs: readonly Paragraph[];
  /** Of qa_2. */
  readonly hotpotQa: readonly HotpotQuestion[];
}

/** Makes one sample of a task. */
export type RulerTask = (request: TrialRequest, random: Random, sources: RulerSources) => Promise<Trial>;

const niah = (kind: NeedleKind): RulerTask => (request, random, { prose }) => needleTask(kind, request, random, prose);
const words = (task: WordTask): RulerTask => (request, random, { prose }) => task(request, random, prose);

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
  qa_1: (request, random, { paragraphs }) => questionFromSquad(request, random, paragraphs),
  qa_2: (request, random, { hotpotQa }) => questionFromHotpotQa(request, random, hotpotQa),
};

/** In RULER's order. */
export const rulerTaskNames: readonly string[] = Object.keys(rulerTasks);

/** @param tasks names of those that are asked, by turns (default: all) */
export function rulerSuite(sources: RulerSources, tasks: readonly string[] = rulerTaskNames): Suite {
  return {
    name: 'ruler',
    about:
      `RULER's ${tasks.length === rulerTaskNames.length ? '13 tasks' : tasks.join(', ')}, with its templates, answer prefixes and scores; ` +
      "qa_1 and qa_2 of samples of SQuAD and HotpotQA; RULER's own threshold of the effective length is 85.6 %",
    lengths: [4096, 8192, 16_384, 32_768, 65_536, 131_072],
    questions: tasks.length,
    round: tasks.length,
    parts: tasks,
    scoreName: 'score',
    least: 1024,
    make: (request) => rulerTrials(sources, tasks, request),
  };
}

async function* rulerTrials(sources: RulerSources, tasks: readonly string[], request: TrialRequest): AsyncGenerator<Trial> {
  for (let made = 0; made < request.questions; made++) {
    const part = tasks[made % tasks.length]!;
    const random = trialRandom(request, 'ruler', part, `${Math.floor(made / tasks.length)}`);
    const trial = await rulerTasks[part]!(request, random, sources);
    yield { ...trial, questions: trial.questions.map((question) => ({ ...question, part })) };
  }
}
