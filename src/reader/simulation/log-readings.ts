/**
 * Has the embedded model read passages of simulated corpora, and writes what it made of them: `npm run log-readings`. The result is
 * fixtures/reader/readings.json; logged-readings.ts says what it is for.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { selectDevice } from '../../device/select.js';
import { embeddedModelDir } from '../../paths.js';
import { createRandom, seedOf } from '../../random.js';
import { isRight } from '../../recall/scoring.js';
import { defaultChunk } from '../../runtime/kv.js';
import { openModel, type Model } from '../../runtime/model.js';
import { PassageReader } from '../passage-reader.js';
import { followLead, leadOf, namesOf, weigh, wordsOf, type Weights } from '../question.js';
import { passagesOf } from '../reading-state.js';
import { makeCorpus, type CorpusQuestion, type SimulatedCorpus } from './corpus.js';
import { toColumns, type LeadKind, type LoggedReading } from './logged-readings.js';
import type { Split } from './names.js';
import { relationOf } from './relation.js';
import { readingsFile, simulationText } from './sources.js';

const QUESTIONS: Readonly<Record<Split, number>> = { train: 200, test: 140 };
const LEAVES = 800;
/** Leaves that share the question's words and hold nothing of it, for each question. */
const OTHERS = 2;

/** A question, who reads for it, and where. */
interface Inquiry {
  readonly corpus: SimulatedCorpus;
  readonly question: CorpusQuestion;
  readonly split: Split;
  readonly reader: PassageReader;
}

/** What a search is about, and what led to it. */
interface Search {
  readonly weights: Weights;
  readonly lead: string;
  readonly leadKind: LeadKind;
}

async function readLeaf({ corpus, question, split, reader }: Inquiry, { weights, lead, leadKind }: Search, leaf: number): Promise<LoggedReading[]> {
  const inspect = question.kind === 'split' && question.planted.some((planted) => planted.leaf === leaf);
  const first = inspect ? Math.max(0, leaf - 1) : leaf;
  const last = inspect ? Math.min(corpus.leaves.length - 1, leaf + 1) : leaf;
  const readings: LoggedReading[] = [];
  for (const passage of passagesOf('read', corpus.leaves.slice(first, last + 1).join(''), weights)) {
    const { parsed, confidence } = (await reader.read(passage.segments, lead, new AbortController().signal))!.reading;
    const right = parsed.found && question.expected !== null && isRight(parsed.answer, question.expected);
    const relation = relationOf(corpus, question, [first, last], passage.from, passage.to);
    readings.push({ split, kind: question.kind, phrasing: question.phrasing, relation, lead: leadKind, relevance: passage.relevance, found: parsed.found, right, confidence });
  }
  return readings;
}

/** The search that follows: from the first of two steps; of other questions, from the passage that has most of its words. */
function secondSearch({ corpus, question }: Inquiry, weights: Weights, leaves: readonly number[]): Search | null {
  const first = question.planted.find(({ relation }) => relation === 'first');
  const passages = (first ? [first.leaf] : leaves).flatMap((leaf) => passagesOf('skim', corpus.text(leaf), weights));
  const best = passages.reduce((a, b) => (b.relevance > a.relevance ? b : a));
  const lead = leadOf(best.segments.map(({ text }) => text).join(''), weights, namesOf(question.question), corpus.index);
  if (lead === null) return null;
  const leadKind = first && lead.sentence.includes(first.sentence) ? 'right lead' : 'wrong lead';
  return { weights: followLead(lead, weights, corpus.index), lead: lead.sentence, leadKind };
}

/** Of the questions that need one step, one in so many is read a second time behind a lead too. */
const LED_ASTRAY = 4;

async function logQuestion(inquiry: Inquiry, number: number): Promise<LoggedReading[]> {
  const { corpus, question } = inquiry;
  const own = [...new Set(question.planted.map(({ leaf }) => leaf))];
  const others = corpus.index.search(wordsOf(question.question), 20).filter(({ leaf }) => !own.includes(leaf)).slice(0, OTHERS);
  const leaves = [...own, ...others.map(({ leaf }) => leaf)];
  const weights = weigh(wordsOf(question.question), corpus.index);
  const second = question.kind === 'two-hop' || number % LED_ASTRAY === 0 ? secondSearch(inquiry, weights, leaves) : null;
  const readings: LoggedReading[] = [];
  for (const search of [{ weights, lead: '', leadKind: 'no lead' } as const, ...(second ? [second] : [])]) {
    for (const leaf of leaves) readings.push(...(await readLeaf(inquiry, search, leaf)));
  }
  return readings;
}

async function logSplit(model: Model, split: Split): Promise<LoggedReading[]> {
  const corpus = makeCorpus({ ...simulationText(split), leaves: LEAVES, questions: QUESTIONS[split], split }, createRandom(seedOf('readings', split)));
  const readings: LoggedReading[] = [];
  for (const [i, question] of corpus.questions.entries()) {
    const request = { question: question.question, sampling: { temperature: 0 }, maxTokens: 32, chunk: defaultChunk, looks: 0 };
    readings.push(...(await logQuestion({ corpus, question, split, reader: new PassageReader(model, request) }, i)));
    if (process.stderr.isTTY) process.stderr.write(`\r${split}: ${i + 1} of ${corpus.questions.length} questions`);
  }
  return readings;
}

async function main(): Promise<void> {
  const { device } = await selectDevice('cpu', { threads: 1 });
  const model = await openModel(embeddedModelDir, device);
  try {
    const readings = [...(await logSplit(model, 'train')), ...(await logSplit(model, 'test'))];
    const file = readingsFile;
    mkdirSync(path.dirname(file), { recursive: true });
    const about = `What ${model.id} made of passages of simulated corpora (npm run log-readings); relevance and confidence 0..1, outcome 0 nothing, 1 wrong, 2 right`;
    writeFileSync(file, `${JSON.stringify(toColumns(about, readings))}\n`);
    process.stderr.write(`\n${readings.length} readings\n`);
  } finally {
    await model.close();
    await device.close();
  }
}

await main();
