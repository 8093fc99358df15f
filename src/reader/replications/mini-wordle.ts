/**
 * E6. Wordle in miniature: 4 letters, 100 words, 5 guesses, each wrong guess costs 1. Offline games of a noisy player; the
 * network values the next letter, as the paper's transformer does, here an MLP over what the answers have told so far.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../paths.js';
import { createRandom, pick, randomBelow, seedOf, type Random } from '../../random.js';
import { softmax } from '../losses.js';
import { adamW, follow, zeroMoments } from '../training/adamw.js';
import type { TrainingBackend } from '../training/tensorflow.js';
import { createHead, type HeadOptions } from '../value-head.js';
import type { Experiment } from './experiment.js';
import { createMlp } from './mlp.js';

const letters = 26;
const length = 4;
const vocabulary = 100;
const guesses = 5;
const games = 3000;
const updates = 1000;
const batch = 96;
const width = 64;
const targetRate = 0.05;

/** The most frequent words of four letters in Emerson's essays, as letter numbers. */
function commonWords(): number[][] {
  const text = readFileSync(path.join(packageRoot, 'fixtures', 'haystack', 'essays_emerson.txt'), 'utf8').toLowerCase();
  const counts = new Map<string, number>();
  for (const [word] of text.matchAll(/\b[a-z]{4}\b/gu)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, vocabulary);
  return sorted.map(([word]) => [...word].map((letter) => letter.charCodeAt(0) - 97));
}

/** Where each letter can't stand, where it must, and which must stand somewhere: binary features, and all that the rules tell. */
class Knowledge {
  readonly features = new Uint8Array(2 * length * letters + letters);

  learn(guess: readonly number[], hidden: readonly number[]): void {
    for (const [place, letter] of guess.entries()) {
      if (hidden[place] === letter) this.features[length * letters + place * letters + letter] = 1;
      else this.features[place * letters + letter] = 1;
      if (hidden.includes(letter)) this.features[2 * length * letters + letter] = 1;
      else for (let other = 0; other < length; other++) this.features[other * letters + letter] = 1;
    }
  }

  allows(word: readonly number[]): boolean {
    const must = Array.from({ length: letters }, (_, letter) => letter).filter((letter) => this.features[2 * length * letters + letter] === 1);
    return word.every((letter, place) => this.features[place * letters + letter] === 0) && must.every((letter) => word.includes(letter));
  }
}

const inputs = 2 * length * letters + letters + guesses + (length - 1) * letters + length;

/** What the network sees before a letter is chosen. */
function observe(knowledge: Knowledge, guess: number, prefix: readonly number[]): Uint8Array {
  const features = new Uint8Array(inputs);
  features.set(knowledge.features);
  let at = knowledge.features.length;
  features[at + guess] = 1;
  at += guesses;
  for (const [place, letter] of prefix.entries()) features[at + place * letters + letter] = 1;
  at += (length - 1) * letters;
  features[at + prefix.length] = 1;
  return features;
}

interface Transition {
  readonly features: Uint8Array;
  readonly legal: readonly number[];
  readonly letter: number;
  readonly reward: number;
  /** null: the game is over. */
  next: Transition | null;
}

function legalLetters(words: readonly (readonly number[])[], prefix: readonly number[]): number[] {
  return [...new Set(words.filter((word) => prefix.every((letter, place) => word[place] === letter)).map((word) => word[prefix.length]!))].sort((a, b) => a - b);
}

/** Guesses any word half of the time, else one that the answers allow. */
function playNoisily(words: readonly (readonly number[])[], legalAfter: (prefix: readonly number[]) => readonly number[], random: Random): Transition[] {
  const hidden = pick(words, random);
  const knowledge = new Knowledge();
  const transitions: Transition[] = [];
  for (let guess = 0; guess < guesses; guess++) {
    const word = random() < 0.5 ? pick(words, random) : pick(words.filter((each) => knowledge.allows(each)), random);
    const solved = word === hidden;
    for (const [place, letter] of word.entries()) {
      const prefix = word.slice(0, place);
      transitions.push({ features: observe(knowledge, guess, prefix), legal: legalAfter(prefix), letter, reward: place === length - 1 && !solved ? -1 : 0, next: null });
    }
    if (solved) break;
    knowledge.learn(word, hidden);
  }
  for (const [i, transition] of transitions.entries()) transition.next = transitions[i + 1] ?? null;
  return transitions;
}

const support = { low: -5.6, high: 0.6, bins: 32 };
const heads: Readonly<Record<string, HeadOptions>> = {
  MSE: { loss: 'mse', support, sigmaRatio: 0.75, endings: { least: 0, most: 1 } },
  'HL-Gauss 0.75': { loss: 'hl-gauss', support, sigmaRatio: 0.75, endings: { least: 0, most: 1 } },
};

async function trainAndPlay(backend: TrainingBackend, options: HeadOptions, conservative: number, learningRate: number, seed: number): Promise<number> {
  const random = createRandom(seedOf('mini-wordle', seed));
  const words = commonWords();
  const known = new Map<string, readonly number[]>();
  const legalAfter = (prefix: readonly number[]): readonly number[] => {
    const key = prefix.join();
    if (!known.has(key)) known.set(key, legalLetters(words, prefix));
    return known.get(key)!;
  };
  const transitions = Array.from({ length: games }, () => playNoisily(words, legalAfter, random)).flat();
  const head = createHead(options);
  const mlp = createMlp(backend, [inputs, width, width, letters * head.outputs]);
  const parameters = mlp.initial(random);
  const target = new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
  const moments = zeroMoments(parameters);
  const row = (of: Float32Array, state: number, letter: number): Float32Array => of.subarray((state * letters + letter) * head.outputs, (state * letters + letter + 1) * head.outputs);
  const best = (of: Float32Array, state: number, legal: readonly number[]): number => {
    const values = legal.map((letter) => head.value(row(of, state, letter)));
    return legal[values.indexOf(Math.max(...values))]!;
  };
  const inputOf = (rows: readonly Uint8Array[]): Float32Array => {
    const x = new Float32Array(rows.length * inputs);
    for (const [i, features] of rows.entries()) x.set(features, i * inputs);
    return x;
  };

  for (let update = 1; update <= updates; update++) {
    const drawn = Array.from({ length: batch }, () => transitions[randomBelow(transitions.length, random)]!);
    const following = mlp.outputs(target, inputOf(drawn.map(({ features, next }) => (next ?? { features }).features)));
    const gradients = mlp.gradients(parameters, inputOf(drawn.map(({ features }) => features)), (outputs) => {
      const gradient = new Float32Array(outputs.length);
      for (const [i, { legal, letter, reward, next }] of drawn.entries()) {
        const wanted = next === null ? head.ofEnding(reward) : head.earlier(head.ofOutputs(row(following, i, best(following, i, next.legal))), reward, 1);
        head.loss(row(outputs, i, letter), wanted, 1 / batch, row(gradient, i, letter));
        const shares = softmax(legal.map((each) => head.value(row(outputs, i, each))));
        for (const [j, each] of legal.entries()) head.addValueGradient(row(outputs, i, each), (conservative / batch) * (shares[j]! - (each === letter ? 1 : 0)), row(gradient, i, each));
      }
      return gradient;
    });
    adamW(parameters, gradients, moments, update, { learningRate, epsilon: 3e-4, weightDecay: 0, clip: 10 });
    follow(target, parameters, targetRate);
  }
  return playGreedily(words, (rows) => mlp.outputs(target, inputOf(rows)), legalAfter, best);
}

/** Mean return over all hidden words, all games at once. */
function playGreedily(words: readonly (readonly number[])[], outputsOf: (rows: readonly Uint8Array[]) => Float32Array, legalAfter: (prefix: readonly number[]) => readonly number[], best: (of: Float32Array, state: number, legal: readonly number[]) => number): number {
  let playing = words.map((hidden) => ({ hidden, knowledge: new Knowledge(), prefix: [] as number[] }));
  let total = 0;
  for (let guess = 0; guess < guesses && playing.length > 0; guess++) {
    for (let place = 0; place < length; place++) {
      const outputs = outputsOf(playing.map(({ knowledge, prefix }) => observe(knowledge, guess, prefix)));
      for (const [i, game] of playing.entries()) game.prefix.push(best(outputs, i, legalAfter(game.prefix)));
    }
    playing = playing.filter(({ hidden, prefix }) => hidden.join() !== prefix.join());
    total -= playing.length;
    for (const game of playing) game.knowledge.learn(game.prefix.splice(0), game.hidden);
  }
  return total / words.length;
}

export function miniWordle(backend: TrainingBackend): Experiment {
  return {
    id: 'E6',
    claim: 'Offline Wordle: HL-Gauss beats MSE, most where the conservative term is weak (0.1)',
    setup: `${games} games of a noisy player with ${vocabulary} words of ${length} letters and ${guesses} guesses, MLP of two layers of ${width}, DQN with the conservative term, ${updates} updates of ${batch} letters, ${support.bins} bins`,
    measure: 'mean return of greedy play over all words (0: solved at once, -5: never)',
    better: 'higher',
    arms: Object.keys(heads),
    conditions: ['alpha 0.3', 'alpha 1', 'alpha 5'],
    columns: ['return'],
    learningRates: [1e-3, 3e-3],
    tuned: 'each condition',
    seeds: 5,
    run: async (arm, condition, learningRate, seed) => [await trainAndPlay(backend, heads[arm]!, Number(condition.slice('alpha '.length)), learningRate, seed)],
  };
}
