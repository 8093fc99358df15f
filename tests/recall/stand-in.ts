/** Answerers that are no model, and records made by hand. */
import type { Answerer } from '../../src/recall/respond.js';
import type { TrialRecord } from '../../src/recall/record.js';
import type { PlannedSuite } from '../../src/recall/trials.js';
import type { Suite, TrialQuestion, TrialRequest } from '../../src/recall/trial.js';

/** Tokens are words here. */
export const countWords = async (text: string): Promise<number> => text.split(/\s+/u).filter((word) => word !== '').length;

/** A request for documents of so many words, whatever stands around them. */
export function wordRequest(tokens: number, questions: number, seed = 1): TrialRequest {
  return { tokens, room: async () => tokens, questions, seed, stream: tokens, count: countWords };
}

/** Knows everything, and obeys nobody. */
export function knowsAll({ expected, scoring }: TrialQuestion): string {
  if (scoring === 'absent') return '';
  if (scoring === 'unobeyed') return 'No.';
  return scoring === 'squad' ? expected[0]! : expected.join(' and ');
}

/** Answers what `tell` says, knowing the document, the question and, by `spy`, what is expected. */
export function standIn(tell: (question: TrialQuestion, document: string) => string): { answerer: Answerer; spy: (suite: Suite) => Suite; asked: string[] } {
  const known = new Map<string, TrialQuestion>();
  const asked: string[] = [];
  const answerer: Answerer = {
    count: countWords,
    documentTokens: async (length) => length,
    // Reads whatever lies over a picture, when it is there.
    watch: async (_, pictures) => ({
      source: { path: 'film', kind: 'video', bytes: 0, sha256: '', seconds: pictures.length },
      segments: pictures.flatMap(({ second, text }) => (text === undefined ? [] : [{ source: 0, text: `${text}\n`, time: [second, second + 1] as const }])),
      warnings: [],
    }),
    respond: async ({ document, questions }) => {
      asked.push(document);
      return {
        responses: questions.map(({ question }) => ({ once: tell(known.get(question)!, document), twice: null })),
        documentTokens: await countWords(document),
        tokensRead: 1,
        tokensReused: 0,
        prefillMs: 1,
        decodeMs: 1,
        kvBytes: 1,
        lookMs: 0,
      };
    },
  };
  const spy = (suite: Suite): Suite => ({
    ...suite,
    async *make(request) {
      for await (const trial of suite.make(request)) {
        for (const question of trial.questions) known.set(question.question, question);
        yield trial;
      }
    },
  });
  return { answerer, spy, asked };
}

export function planned(suite: Suite, lengths: readonly (number | null)[], questions: number, controls = 0): PlannedSuite {
  return { suite, lengths, questions, controls };
}

export function recordOf(changes: Partial<TrialRecord>): TrialRecord {
  return {
    type: 'trial',
    suite: 'gemini',
    control: null,
    length: 1024,
    part: '',
    depth: 50,
    index: 0,
    question: 'What is the special magic Oslo number?',
    expected: ['1234567'],
    answer: '1234567',
    once: null,
    outcome: 'hit',
    score: 1,
    chance: 0,
    error: null,
    error_code: null,
    document_sha256: 'aa',
    document_tokens: 1000,
    tokens_reused: 0,
    tokens_behind: null,
    recorded: null,
    seconds: 0.5,
    ...changes,
  };
}
