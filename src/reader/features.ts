/**
 * A reading state as numbers for a value network: one row for the state, one for each legal action, all in about [-1, 1]
 * (spec: the budgeted reader's state features, as far as something real stands behind them).
 */
import type { ActionKind, Decision } from './decision.js';
import { mostSteps, shownCandidates, type Action, type Best, type Candidate, type ReadingState } from './reading-state.js';

/** 1 for 1, 0 for 1 / `span` and below. */
function logShare(value: number, span: number): number {
  return value <= 0 ? 0 : Math.max(0, 1 + Math.log(value) / Math.log(span));
}

function largest(values: Iterable<number>): number {
  let most = 0;
  for (const value of values) most = Math.max(most, value);
  return most;
}

/** Share of what is searched for that stands anywhere in the corpus. */
function knownShare({ weights, corpus }: ReadingState): number {
  let known = 0;
  let all = 0;
  for (const [word, weight] of weights) {
    all += weight;
    if (corpus.index.leavesWith(word) > 0) known += weight;
  }
  return all === 0 ? 0 : known / all;
}

/** Entropy of the beliefs, as a share of what it could be. */
function entropy(candidates: readonly Candidate[]): number {
  let sum = 0;
  for (const { belief } of candidates) if (belief > 0) sum -= belief * Math.log(belief);
  return sum / Math.log(shownCandidates);
}

/** BM25 scores seldom lie above this. */
const HIGH_SCORE = 40;

/** Words that a question of one step rarely has: clauses inside it. */
const CLAUSES = /\b(?:that|which|who|whose|whom|where)\b/giu;

/** What the features of a state are computed from. */
interface Outlook {
  readonly state: ReadingState;
  readonly candidates: readonly Candidate[];
  readonly best: Best;
}

type Feature<Of> = readonly [name: string, value: (of: Of) => number];

/** A question's form, 1 where it has it. */
function form(name: string, pattern: RegExp): Feature<Outlook> {
  return [name, ({ state }) => (pattern.test(state.question) ? 1 : 0)];
}

const STATE: readonly Feature<Outlook>[] = [
  ['remaining', ({ state }) => (state.terms.budget === 0 ? 0 : state.remaining / state.terms.budget)],
  ['remaining_tokens', ({ state }) => Math.log2(1 + state.remaining) / 20],
  ['lambda', ({ state }) => Math.max(-1, Math.log10(state.terms.lambda + 1e-6) / 5)],
  ['step', ({ state }) => state.step / mostSteps],
  ['leaves', ({ state }) => Math.log10(1 + state.corpus.index.index.leaves) / 5],
  ['read_share', ({ state }) => logShare(state.leavesRead / Math.max(1, state.corpus.index.index.leaves), 1e4)],
  form('asks_number', /\bhow (?:many|often|much)\b/iu),
  form('asks_time', /\bwhen\b|\bwhat time\b|\bwhich year\b/iu),
  form('asks_person', /\bwho\b|\bwhose\b|\bwhom\b/iu),
  form('asks_place', /\bwhere\b|\bwhich (?:place|town|site|port)\b/iu),
  form('names_year', /\b(?:1[0-9]|20)\d\d\b/u),
  ['clauses', ({ state }) => Math.min(3, (state.question.match(CLAUSES) ?? []).length) / 3],
  ['question_words', ({ state }) => Math.min(16, state.questionWords.size) / 16],
  ['known_words', ({ state }) => knownShare(state)],
  ['worth', ({ best }) => Math.min(1, best.worth)],
  ['worth_log', ({ best }) => logShare(Math.min(1, best.worth), 1e3)],
  ['confidence', ({ best }) => best.evidence?.reading.confidence ?? 0],
  ['best_relevance', ({ best }) => best.evidence?.relevance ?? 0],
  ['other_worth', ({ best }) => Math.min(1, best.otherWorth)],
  ['margin', ({ best }) => Math.min(1, best.worth - best.otherWorth)],
  ['votes', ({ best }) => Math.min(4, best.votes) / 4],
  ['contradicted', ({ best }) => (best.otherWorth > best.worth / 2 ? 1 : 0)],
  ['not_found', ({ state: { evidence } }) => (evidence.length === 0 ? 0 : evidence.filter(({ reading }) => !reading.found).length / evidence.length)],
  ['readings', ({ state }) => Math.min(1, state.evidence.length / 64)],
  ['gain', ({ state }) => Math.max(-1, Math.min(1, state.gain.last))],
  ['gain_age', ({ state }) => Math.min(1, state.gain.stepsAgo / 8)],
  ['belief_first', ({ candidates }) => candidates[0]?.belief ?? 0],
  ['belief_second', ({ candidates }) => candidates[1]?.belief ?? 0],
  ['entropy', ({ candidates }) => entropy(candidates)],
  ['score_first', ({ candidates }) => Math.min(1, (candidates[0]?.score ?? 0) / HIGH_SCORE)],
  ['relevance_first', ({ candidates }) => candidates[0]?.relevance ?? 0],
  ['relevance_most', ({ candidates }) => largest(candidates.map(({ relevance }) => relevance))],
  ['requeries', ({ state }) => state.requeries / 2],
  ['may_requery', ({ state }) => (state.nextLead() === null ? 0 : 1)],
  ['evidence_relevance', ({ state }) => largest(state.evidence.map(({ relevance }) => relevance))],
];

/** An action, the leaf that it is about, and what it would cost in tokens. */
interface Option extends Outlook {
  readonly action: Action;
  readonly candidate: Candidate | null;
  readonly cost: number;
  /** Leaves from the best evidence to this one; 0: there is none. */
  readonly apart: number;
}

function is(kind: ActionKind): Feature<Option> {
  return [`is_${kind}`, ({ action }) => (action.kind === kind ? 1 : 0)];
}

/** Of the candidate; 0 where the action is about none. */
function of(name: string, value: (candidate: Candidate, option: Option) => number): Feature<Option> {
  return [name, (option) => (option.candidate ? value(option.candidate, option) : 0)];
}

const ACTION: readonly Feature<Option>[] = [
  is('answer'),
  is('abstain'),
  is('skim'),
  is('read'),
  is('inspect'),
  is('requery'),
  of('belief', ({ belief }) => belief),
  of('belief_log', ({ belief }) => Math.max(-1, Math.log(belief + 1e-9) / 20)),
  of('rank', ({ rank }) => Math.min(1, rank / shownCandidates)),
  of('score', ({ score }) => Math.min(1, score / HIGH_SCORE)),
  of('score_share', ({ score }, { state }) => score / state.hits[0]!.score),
  of('relevance', ({ relevance }) => relevance),
  of('skimmed', ({ skimmed }) => (skimmed === null ? 0 : 1)),
  of('skim_worth', ({ skimmed }) => Math.min(1, skimmed ?? 0)),
  of('cost', (_, { cost }) => Math.log2(1 + cost) / 16),
  of('cost_share', (_, { cost, state }) => (state.remaining === 0 ? 0 : Math.min(1, cost / state.remaining))),
  of('price', (_, { cost, state }) => Math.min(1, (cost / 1e3) * state.terms.lambda * 10)),
  of('near_evidence', (_, { apart }) => (apart !== 0 && Math.abs(apart) <= 2 ? 1 : 0)),
  of('distance', (_, { apart }) => (Math.sign(apart) * Math.log10(1 + Math.abs(apart))) / 5),
];

/** In the order of the rows: a policy's file names them too, so that it is not used with others. */
export const featureNames = { state: STATE.map(([name]) => name), action: ACTION.map(([name]) => name) } as const;

/** The decision, and the actions that its rows stand for. */
export interface Described {
  readonly decision: Decision;
  readonly actions: readonly Action[];
}

export function describe(state: ReadingState): Described {
  const actions = state.actions();
  const outlook: Outlook = { state, candidates: state.candidates(), best: state.best() };
  const byLeaf = new Map(outlook.candidates.map((candidate) => [candidate.leaf, candidate]));
  const rows = new Float32Array(actions.length * ACTION.length);
  for (const [i, action] of actions.entries()) {
    const candidate = 'leaf' in action ? byLeaf.get(action.leaf)! : null;
    const cost = 'leaf' in action ? state.cost(action.leaf, action.kind) : 0;
    const apart = candidate && outlook.best.evidence ? candidate.leaf - outlook.best.evidence.leaf : 0;
    const option: Option = { ...outlook, action, candidate, cost, apart };
    for (const [j, [, value]] of ACTION.entries()) rows[i * ACTION.length + j] = value(option);
  }
  return {
    decision: { state: Float32Array.from(STATE, ([, value]) => value(outlook)), actions: rows, kinds: actions.map(({ kind }) => kind) },
    actions,
  };
}
