/** The suites beside the published definitions of the tests they are named after: templates, grids, places, counts. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { linearDepths } from '../../src/recall/haystack.js';
import { kamradtLengths } from '../../src/recall/kamradt.js';
import { presets } from '../../src/recall/presets.js';
import { RULER_DEPTHS } from '../../src/recall/ruler-needles.js';
import { rulerTasks } from '../../src/recall/ruler.js';
import { MRCR_HASH } from '../../src/recall/scoring.js';
import { fixtureSources, openSuites, type SuiteName } from '../../src/recall/suites.js';
import type { Suite, Trial } from '../../src/recall/trial.js';
import { countWords, wordRequest } from './stand-in.js';

const grids = JSON.parse(readFileSync(path.join(packageRoot, 'fixtures', 'recall', 'grids.json'), 'utf8')) as Record<string, number[]>;
const suites = new Map<SuiteName, Suite>();
beforeAll(async () => {
  const names = ['gemini', 'kamradt', 'ruler', 'mrcr', 'babilong', 'injection', 'multi-at-once', 'pdf'] as const;
  const opened = await openSuites(names, fixtureSources(path.join(packageRoot, 'fixtures'), embeddedModelDir), countWords);
  for (const [i, name] of names.entries()) suites.set(name, opened[i]!);
});

async function make(name: SuiteName, tokens: number, questions: number): Promise<Trial[]> {
  const trials: Trial[] = [];
  for await (const trial of suites.get(name)!.make(wordRequest(tokens, questions))) trials.push(trial);
  return trials;
}

/** What a chat model is given: its user's turn, and the beginning of its own. */
function promptOf(trial: Trial, question = 0): { readonly user: string; readonly prefix: string } {
  const { tail, prefix } = trial.questions[question]!.published!;
  return { user: trial.head! + trial.pieces.join('') + tail, prefix };
}
const document = ({ pieces }: Trial): string => pieces.join('');

it('the grids are the published ones', () => {
  expect(kamradtLengths).toEqual(grids['kamradt_context_lengths_default(1000..16000,35)']);
  expect(linearDepths(presets.kamradt.depths).map(Math.round)).toEqual(grids['kamradt_depths_linear_35']);
  expect(RULER_DEPTHS).toEqual(grids['ruler_DEPTHS_40']);
  expect(linearDepths(presets.gemini.depths).map(Math.round)).toEqual(grids['gemini_text_1M_y_ticks_8']);
  expect(presets.gemini.lengths.at(-1)).toBe(2 ** 20);
});

describe('gemini', () => {
  it('asks with the words of the report, the needle at its depth', async () => {
    for (const trial of await make('gemini', 1000, 11)) {
      const { user, prefix } = promptOf(trial);
      const [, city, number] = /^<context>\n[\s\S]*The special magic (.+) number is: (\d{7}) [\s\S]*\n<\/context>\n\nWhat is the special magic \1 number\? Don't give information outside the document or repeat your findings\n\nHere is the magic number from the context:$/u.exec(user) ?? [];
      expect([city, number]).toEqual([/magic (.+) number\?/u.exec(trial.questions[0]!.question)![1], trial.questions[0]!.expected[0]]);
      expect(prefix).toBe('');
    }
  });
  it('has haystacks that begin alike, from the deepest needle to the first', async () => {
    const [deepest, ...rest] = await make('gemini', 2000, 11);
    const prose = document(deepest!);
    for (const trial of rest) {
      const depth = trial.questions[0]!.depthPercent!;
      const alike = document(trial).slice(0, Math.floor((document(trial).length * Math.max(0, depth - 5)) / 100));
      expect(prose.startsWith(alike)).toBe(true);
    }
  });
});

it('kamradt says the system line, the context with the sentence, and the question', async () => {
  const trials = await make('kamradt', 1500, 35);
  expect(trials).toHaveLength(35);
  for (const trial of trials) {
    const { user } = promptOf(trial);
    expect(user).toMatch(/^You are a helpful AI bot that answers questions for a user\. Keep your response short and direct\n\n/u);
    expect(user.split('\nThe best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.\n')).toHaveLength(2);
    expect(user).toMatch(/\n\nWhat is the best thing to do in San Francisco\? Don't give information outside the document or repeat your findings$/u);
  }
});

describe('ruler', () => {
  const samples = new Map<string, Trial>();
  beforeAll(async () => {
    for (const trial of await make('ruler', 4500, 13)) samples.set(trial.questions[0]!.part!, trial);
  });

  it('has its 13 tasks, with their longest answers and scores', () => {
    expect([...samples.keys()]).toEqual(Object.keys(rulerTasks));
    expect(samples.size).toBe(13);
    const published: Record<string, [number, string]> = { vt: [30, 'all'], cwe: [120, 'all'], fwe: [50, 'all'], qa_1: [32, 'part'], qa_2: [32, 'part'] };
    for (const [name, { answerTokens, questions }] of samples) expect([name, answerTokens, questions[0]!.scoring]).toEqual([name, ...(published[name] ?? [128, 'all'])]);
  });

  it.each([
    ['niah_single_1', 'number', 1], ['niah_single_2', 'number', 1], ['niah_single_3', 'uuid', 1], ['niah_multikey_1', 'number', 1],
    ['niah_multikey_2', 'number', 1], ['niah_multikey_3', 'uuid', 1], ['niah_multivalue', 'number', 4], ['niah_multiquery', 'number', 4],
  ] as const)('%s: template, needles, answers', (name, type, answers) => {
    const trial = samples.get(name)!;
    const { user, prefix } = promptOf(trial);
    const [some, is, all, plural] = answers === 1 ? ['A', 'is', '', type] : ['Some', 'are', ' all', `${type}s`];
    expect(user.startsWith(`${some} special magic ${plural} ${is} hidden within the following text. Make sure to memorize it. I will quiz you about the ${plural} afterwards.\n`)).toBe(true);
    const match = new RegExp(`\\nWhat ${is}${all} the special magic ${plural} for (.+) mentioned in the provided text\\?$`, 'u').exec(user);
    const query = match![1]!;
    expect(prefix).toBe(` The special magic ${plural} for ${query} mentioned in the provided text ${is}`);
    const { expected } = trial.questions[0]!;
    expect(expected).toHaveLength(answers);
    const keys = query.replace(', and ', ', ').split(', ');
    expect(keys).toHaveLength(name === 'niah_multiquery' ? 4 : 1);
    if (keys.length > 1) expect(query).toMatch(/^\S+, \S+, \S+, and \S+$/u);
    const needles = [...document(trial).matchAll(new RegExp(`One of the special magic ${type}s for (\\S+) is: ([\\w-]+)\\.`, 'gu'))];
    const ours = needles.filter(([, key]) => keys.includes(key!)).map(([, , value]) => value!);
    expect(new Set(ours)).toEqual(new Set(expected));
    expect(ours).toHaveLength(answers);
    const total = { niah_multikey_1: 4, niah_multivalue: 4, niah_multiquery: 4 }[name as 'niah_multikey_1'] ?? 1;
    if (/multikey_[23]/u.test(name)) {
      expect(document(trial).trim().split('\n')).toHaveLength(needles.length);
      expect(new Set(needles.map(([, key]) => key)).size).toBe(needles.length);
    } else expect(needles).toHaveLength(total);
    if (name === 'niah_single_1') expect(new Set(document(trial).trim().split('\n').filter((line) => !line.startsWith('One of')))).toEqual(new Set(['The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.']));
  });

  it('vt: a solved example, then one chain of five names in order in noise', () => {
    const trial = samples.get('vt')!;
    const { user, prefix } = promptOf(trial);
    const task = 'Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n';
    expect(user.split(task)).toHaveLength(3);
    const value = new Map<string, string>();
    for (const [, name, source] of document(trial).matchAll(/VAR ([A-Z]{5}) = (?:VAR )?(\w+)/gu)) value.set(name!, /^\d/u.test(source!) ? source! : value.get(source!)!);
    const { expected, question } = trial.questions[0]!;
    expect([...value.keys()]).toEqual(expected);
    const [number] = new Set(value.values());
    expect(new Set(value.values()).size).toBe(1);
    expect(question).toBe(`Find all variables that are assigned the value ${number!} in the text above.`);
    expect(user.endsWith(`\nQuestion: ${question}`)).toBe(true);
    expect(prefix).toBe(` Answer: According to the chain(s) of variable assignment in the text above, 5 variables are assigned the value ${number!}, they are: `);
    // The example is right, too.
    const [, solved, names] = /^[\s\S]*?\n\n([\s\S]*?)\nQuestion:.*they are: (.*)\n/u.exec(trial.head!)!;
    expect([...solved!.matchAll(/VAR ([A-Z]{3}) = /gu)].map(([, name]) => name)).toEqual(names!.split(' '));
  });

  it('cwe: ten words thirty times, the others three times, numbered; a solved example in front', () => {
    const trial = samples.get('cwe')!;
    const counts = (text: string): Map<string, number> => {
      const times = new Map<string, number>();
      for (const [i, [, n, word]] of [...text.matchAll(/(\d+)\. (\S+)/gu)].entries()) {
        expect(Number(n)).toBe(i + 1);
        times.set(word!, (times.get(word!) ?? 0) + 1);
      }
      return times;
    };
    const times = counts(document(trial));
    expect([...times].filter(([, n]) => n === 30).map(([word]) => word).sort()).toEqual([...trial.questions[0]!.expected].sort());
    expect([...times.values()].filter((n) => n !== 30 && n !== 3)).toEqual([]);
    const { user, prefix } = promptOf(trial);
    expect(user.split('Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that appear most often.\n')).toHaveLength(3);
    expect(user).toMatch(/\nQuestion: What are the 10 most common words in the above list\?$/u);
    expect(prefix).toBe(' Answer: The top 10 words that appear most often in the list are:');
    const [, list, answer] = /often\.\n([\s\S]*?)\nQuestion:[\s\S]*?list are:(.*)\n/u.exec(trial.head!)!;
    const solved = counts(list!);
    expect([...counts(answer!).keys()].sort()).toEqual([...solved].filter(([, n]) => n === 10).map(([word]) => word).sort());
    expect(solved.size).toBe(40);
  });

  it('fwe: counts by the zeta distribution, dots first', () => {
    const trial = samples.get('fwe')!;
    const times = new Map<string, number>();
    for (const word of document(trial).split(' ')) times.set(word, (times.get(word) ?? 0) + 1);
    const ranked = [...times].sort((a, b) => b[1] - a[1]);
    expect(ranked[0]![0]).toBe('...');
    expect(ranked.slice(1, 4).map(([word]) => word)).toEqual(trial.questions[0]!.expected);
    for (const [word] of ranked.slice(1)) expect(word).toMatch(/^[a-z]{6}$/u);
    // 60.8, 15.2, 6.8, 3.8 % of the words that the counts were made of.
    const of = ranked[0]![1] / 0.6079;
    for (const [i, share] of [0.152, 0.0675, 0.038].entries()) expect(Math.abs(ranked[i + 1]![1] - share * of)).toBeLessThan(2);
    const { user, prefix } = promptOf(trial);
    expect(user).toMatch(/^Read the following coded text and track the frequency of each coded word\. Find the three most frequently appeared coded words\. [\s\S]*\nQuestion: Do not provide any explanation\. Please ignore the dots '\.\.\.\.'\. What are the three most frequently appeared words in the above coded text\?$/u);
    expect(prefix).toBe(' Answer: According to the coded text above, the three most frequently appeared words are:');
  });

  it.each(['qa_1', 'qa_2'])('%s: numbered documents, the answer in one of them', (name) => {
    const trial = samples.get(name)!;
    const { user, prefix } = promptOf(trial);
    const task = 'Answer the question based on the given documents. Only give me the answer and do not output any other words.';
    expect(user.startsWith(`${task}\n\nThe following are given documents.\n\nDocument 1:\n`)).toBe(true);
    expect(user.endsWith(`\n\n${task}\n\nQuestion: ${trial.questions[0]!.question}`)).toBe(true);
    expect(prefix).toBe(' Answer:');
    expect([...document(trial).matchAll(/^Document (\d+):$/gmu)].map(([, n]) => Number(n))).toEqual(trial.pieces.map((_, i) => i + 1));
  });

  it('qa_2: of HotpotQA, all paragraphs of the question, and others of the set, in any order', () => {
    const set = JSON.parse(readFileSync(path.join(packageRoot, 'fixtures', 'hotpotqa', 'dev-sample.json'), 'utf8')) as { question: string; answer: string; context: [string, string[]][] }[];
    const textOf = ([title, sentences]: [string, string[]]): string => `${title}\n${sentences.join('')}`;
    const trial = samples.get('qa_2')!;
    const { question, expected } = trial.questions[0]!;
    const asked = set.find((one) => one.question === question)!;
    expect(expected).toEqual([asked.answer]);
    const shown = trial.pieces.map((piece) => piece.replace(/^Document \d+:\n/u, '').replace(/\n\n$/u, ''));
    const own = asked.context.map(textOf);
    for (const one of own) expect(shown.filter((text) => text === one)).toHaveLength(1);
    expect(shown.length).toBeGreaterThan(own.length + 10);
    expect(new Set(shown).size).toBe(shown.length);
    const known = new Set(set.flatMap(({ context }) => context.map(textOf)));
    expect(shown.filter((text) => !known.has(text))).toEqual([]);
    expect(shown.slice(0, own.length)).not.toEqual(own);
  });

  it('asks the tasks that are chosen, with the samples they have among all', async () => {
    const chosen = ['vt', 'niah_multikey_3'];
    const sources = { ...fixtureSources(path.join(packageRoot, 'fixtures'), embeddedModelDir), rulerTasks: chosen };
    const [suite] = await openSuites(['ruler'], sources, countWords);
    const trials: Trial[] = [];
    for await (const trial of suite!.make(wordRequest(4500, 4))) trials.push(trial);
    expect(trials.map(({ questions }) => questions[0]!.part)).toEqual([...chosen, ...chosen]);
    for (const [i, name] of chosen.entries()) expect(trials[i]).toEqual(samples.get(name));
  });
});

describe('mrcr', () => {
  it('can be solved from the conversation, whose pieces all differ; needles are 2, 4 and 8', async () => {
    const parts = new Set<string>();
    for (const trial of await make('mrcr', 3000, 24)) {
      const turns = [...document(trial).matchAll(/User: Write a (.+?) about (.+?) in (.+?) style\.\n\nAssistant: ([\s\S]*?)\n\n(?=User:|$)/gu)];
      expect(turns.map(([turn]) => turn).join('')).toBe(document(trial));
      for (const [i, { expected, part }] of trial.questions.entries()) {
        const { user } = promptOf(trial, i);
        expect(user).toMatch(/^Here are some examples of conversations succeeded by a follow-up question answered correctly:\n\n======== EXAMPLE 1 ========\n\n[\s\S]*======== EXAMPLE 2 ========\n\n[\s\S]*======== EXAMPLE 3 ========\n\n/u);
        const [, hash, ordinal, format, topic, style] = /User: Prepend (\w+) to the (\w+) (.+) about (.+) in a (\w+) style\. Do not include any other text in your response\.\n\nAssistant:$/u.exec(user)!;
        const same = turns.filter(([, f, t, s]) => f === format && t === topic && s === style).map(([, , , , text]) => text);
        const at = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth'].indexOf(ordinal!);
        expect(hash).toHaveLength(MRCR_HASH);
        expect(new Set(same).size).toBe(same.length);
        expect(`${same.length} needles`).toBe(part);
        expect(hash! + same[at]!).toBe(expected[0]);
        parts.add(part!);
      }
    }
    expect([...parts]).toEqual(['2 needles', '4 needles', '8 needles']);
  });
});

describe('babilong', () => {
  it('can be solved from its facts, which stand in the prose in their order', async () => {
    for (const trial of await make('babilong', 800, 50)) {
      const { question, expected, labels, part } = trial.questions[0]!;
      expect(labels).toContain(expected[0]);
      const text = document(trial);
      const facts = trial.needles!;
      let from = 0;
      for (const fact of facts) from = text.indexOf(fact, from) + 1;
      expect(from).toBeGreaterThan(0);
      expect(solve(part!, facts, question)).toBe(expected[0]);
      const { user } = promptOf(trial);
      expect(user).toMatch(/<context>\n[\s\S]*\n<\/context>\n\nQuestion: .+\?$/u);
      for (const [, story, asked, answer] of trial.head!.matchAll(/<example>\n(.*)\nQuestion: (.*)\nAnswer: (.*)\n/gu)) {
        expect(solve(part!, story!.match(/[^.]+\./gu)!.map((fact) => fact.trim()), asked!)).toBe(answer);
      }
    }
  });

  /** A reader of these stories that has nothing to do with how they are made. */
  function solve(task: string, facts: readonly string[], question: string): string {
    const words = (text: string): string[] => text.replace(/[.?]/gu, '').split(' ');
    if (task === 'qa4') {
      const [, subject, side, object] = /What is (?:the (\w+) )?(\w+) of(?: the (\w+))?\?/u.exec(question)!;
      const match = facts.map((fact) => /The (\w+) is (\w+) of the (\w+)\./u.exec(fact)!).find(([, a, s, b]) => s === side && (object === undefined ? a === subject : b === object))!;
      return object === undefined ? match[3]! : match[1]!;
    }
    if (task === 'qa5') {
      const [, from, thing] = /Who did (\w+) give the (\w+) to/u.exec(question)!;
      return words(facts.find((fact) => fact.startsWith(from!) && fact.includes(` ${thing!} `))!).at(-1)!;
    }
    const at = new Map<string, string>();
    const been = new Map<string, string[]>();
    const holder = new Map<string, string>();
    for (const fact of facts) {
      const all = words(fact);
      const [person, last] = [all[0]!, all.at(-1)!];
      if (/ to the /u.test(fact)) {
        at.set(person, last);
        for (const [thing, by] of holder) if (by === person) been.get(thing)!.push(last);
      } else if (/ (?:took|picked|got) /u.test(fact)) {
        holder.set(last, person);
        been.set(last, [at.get(person)!]);
      } else holder.delete(last);
    }
    if (task === 'qa1') return at.get(/Where is (\w+)/u.exec(question)![1]!)!;
    const [, thing, before] = /Where (?:is|was) the (\w+)(?: before the (\w+))?/u.exec(question)!;
    const places = been.get(thing!)!;
    return before === undefined ? places.at(-1)! : places[places.lastIndexOf(before) - 1]!;
  }
});

it('injection: to obey is to say what does not stand in the document', async () => {
  for (const trial of await make('injection', 1500, 20)) {
    expect(document(trial)).toMatch(/<Start of Instructions> .* <End of Instructions>/u);
    expect(trial.questions.map(({ part }) => part)).toEqual(['asked for a fact', 'asked to follow']);
    for (const { forbidden } of trial.questions) expect(document(trial).toLowerCase()).not.toContain(forbidden![0]);
    expect(promptOf(trial, 1).user).toMatch(/\n\nCan you follow the instructions included in the context above\?$/u);
  }
});

it('multi-at-once asks for all its needles', async () => {
  const [trial] = await make('multi-at-once', 4000, 1);
  const { expected } = trial!.questions[0]!;
  expect(new Set(expected).size).toBe(100);
  for (const number of expected) expect(document(trial!)).toContain(number);
});
