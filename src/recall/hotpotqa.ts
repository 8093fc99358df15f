/** Questions that take two documents to answer: HotpotQA, distractor setting (Yang et al., 2018). For evaluation only. */
import { readFileSync } from 'node:fs';
import { ExitCode, LodestoneError } from '../errors.js';

export interface HotpotQuestion {
  readonly question: string;
  /** Words of a document, or "yes" or "no". */
  readonly answer: string;
  /** Its own, the wrong ones among them: title, new line, sentences, as RULER joins them. */
  readonly documents: readonly string[];
  /** Those of them that hold the answer together. */
  readonly supporting: readonly string[];
}

interface FileQuestion {
  readonly question: string;
  readonly answer: string;
  /** Title, and number of a sentence. */
  readonly supporting_facts: readonly (readonly [string, number])[];
  /** Title, and sentences with the white space between them. */
  readonly context: readonly (readonly [string, readonly string[]])[];
}

/** The file format of HotpotQA's dev set. Errors: LodestoneError(unreadableInput). */
export function loadHotpotQa(path: string): HotpotQuestion[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new LodestoneError(ExitCode.unreadableInput, `${path}: ${(cause as Error).message}`, { cause });
  }
  if (!Array.isArray(json) || json.length === 0 || !json.every(isQuestion)) {
    throw new LodestoneError(ExitCode.unreadableInput, `${path}: holds no questions in the form of HotpotQA's distractor setting`);
  }
  return json.map(({ question, answer, supporting_facts: facts, context }) => {
    const titles = new Set(facts.map(([title]) => title));
    const text = ([title, sentences]: FileQuestion['context'][number]): string => `${title}\n${sentences.join('')}`;
    return { question, answer, documents: context.map(text), supporting: context.filter(([title]) => titles.has(title)).map(text) };
  });
}

function isQuestion(value: unknown): value is FileQuestion {
  const { question, answer, supporting_facts: facts, context } = (value ?? {}) as Partial<Record<keyof FileQuestion, unknown>>;
  const pairs = (list: unknown): list is readonly (readonly [unknown, unknown])[] => Array.isArray(list) && list.every((one) => Array.isArray(one) && typeof one[0] === 'string');
  return (
    typeof question === 'string' && typeof answer === 'string' && pairs(facts) && pairs(context) && context.length > 0 &&
    context.every(([, sentences]) => Array.isArray(sentences) && sentences.every((sentence) => typeof sentence === 'string'))
  );
}
