/**
 * Trains the network by deep Q-learning, first on episodes that others made (offline), then on its own as well. All that
 * is drawn comes from the seed and the number of the update, so a run that goes on from its checkpoint ends with the same
 * parameters as one that was never stopped.
 */
import { abortError } from '../../errors.js';
import { createRandom, pick, seedOf } from '../../random.js';
import type { Environment, Episode } from '../decision.js';
import { initialParameters, type NetworkShape, type Parameters } from '../network.js';
import { createPolicy, type Policy, type PolicyDescription } from '../policy.js';
import { exploring, greedy, play, playAgain } from '../rollout.js';
import { createHead, type ValueHead } from '../value-head.js';
import { adamW, follow, zeroMoments } from './adamw.js';
import { type Batch, makeBatch, rowOf } from './batch.js';
import { openCheckpoint, saveCheckpoint, type TrainingState } from './checkpoint.js';
import type { TdOptions, TrainingOptions } from './options.js';
import { followedActions, gradeOutputs, rowsToTrain, tdTargets } from './td-targets.js';
import { createTensorNetwork, type TensorNetwork } from './tensor-network.js';
import type { TrainingBackend } from './tensorflow.js';

/** Large, as with categorical losses in the paper: small second moments shall not make large steps. */
const adamEpsilon = 3e-4;

/** Older episodes of the network's own say little about it. */
const onlineKept = 4000;

/** First episodes are made, then updates; each stage counts from its own start to `total`. */
export interface TrainingProgress {
  readonly stage: 'episodes' | 'updates';
  readonly done: number;
  readonly total: number;
  /** Of the update; null for episodes. */
  readonly loss: number | null;
}

export interface TrainingRun {
  readonly backend: TrainingBackend;
  /** An episode to learn from before the network acts itself; the seed decides all of it. */
  readonly offlineEpisode: (seed: number) => Episode;
  /** For the policy's description. */
  readonly trainedOn: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Written every `every` updates and when the signal stops training; gone on from, where it is there. */
  readonly checkpoint?: { readonly path: string; readonly every: number };
}

export interface Trained {
  readonly policy: Policy;
  readonly parameters: Parameters;
  /** Share of targets that lay outside the support. */
  readonly clampRate: number;
}

/** Errors: those of the checkpoint; the signal's reason. */
export async function train(environment: Environment, options: TrainingOptions, run: TrainingRun): Promise<Trained> {
  const head = createHead(options.head);
  const { stateFeatures, actionFeatures } = environment;
  const shape: NetworkShape = { stateFeatures, actionFeatures, width: options.width, blocks: options.blocks, outputs: head.outputs };
  const description: PolicyDescription = { network: shape, head: options.head, trainedOn: run.trainedOn };
  const fingerprint = JSON.stringify({ ...options, shape, trainedOn: run.trainedOn });
  const network = createTensorNetwork(run.backend, shape);
  const state = await startingState(shape, options, run, fingerprint);
  const policy = createPolicy(description, state.parameters);
  const offline = await makeOffline(options, run);
  const online: Episode[] = state.online.map((played) => playAgain(environment, played));
  const updates = options.offlineUpdates + options.onlineUpdates;

  while (state.update < updates) {
    if (run.signal?.aborted) {
      if (run.checkpoint !== undefined) await saveCheckpoint(run.checkpoint.path, state, fingerprint);
      throw abortError(run.signal);
    }
    const random = createRandom(seedOf(options.seed, 'update', state.update));
    const isOnline = state.update >= options.offlineUpdates;
    if (isOnline) {
      const share = exploration(options, (state.update - options.offlineUpdates) / options.onlineUpdates);
      for (let i = 0; i < options.episodesPerUpdate; i++) {
        const seed = seedOf(options.seed, 'online', state.update, i);
        const episode = play(environment, seed, exploring(greedy(policy), random, share));
        online.push(episode);
        state.online.push({ seed, actions: episode.map(({ chosen }) => chosen) });
      }
      online.splice(0, online.length - onlineKept);
      state.online.splice(0, state.online.length - onlineKept);
    }
    const batch = makeBatch(Array.from({ length: options.batch }, (_, i) => pick(isOnline && i % 2 === 1 ? online : offline, random)));
    const { loss, gradients } = gradientsOfBatch(network, head, state, batch, isOnline ? { ...options, conservative: 0 } : options);
    state.update++;
    adamW(state.parameters, gradients, state.moments, state.update, { ...options, epsilon: adamEpsilon });
    follow(state.target, state.parameters, options.targetRate);
    run.onProgress?.({ stage: 'updates', done: state.update, total: updates, loss });
    if (run.checkpoint !== undefined && (state.update % run.checkpoint.every === 0 || state.update === updates)) await saveCheckpoint(run.checkpoint.path, state, fingerprint);
    await letOthersRun();
  }
  return { policy: createPolicy(description, state.target), parameters: state.target, clampRate: head.clamps.clamped / Math.max(1, head.clamps.targets) };
}

async function makeOffline({ seed, offlineEpisodes }: TrainingOptions, { offlineEpisode, signal, onProgress }: TrainingRun): Promise<Episode[]> {
  const episodes: Episode[] = [];
  while (episodes.length < offlineEpisodes) {
    if (signal?.aborted) throw abortError(signal);
    episodes.push(offlineEpisode(seedOf(seed, 'offline', episodes.length)));
    onProgress?.({ stage: 'episodes', done: episodes.length, total: offlineEpisodes, loss: null });
    await letOthersRun();
  }
  return episodes;
}

/** Signals and timers get their turn: training itself never waits. */
function letOthersRun(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function gradientsOfBatch(network: TensorNetwork, head: ValueHead, { parameters, target }: TrainingState, batch: Batch, options: TdOptions): { readonly loss: number; readonly gradients: Map<string, Float32Array> } {
  const followed = followedActions(batch, head, options, (rows) => network.outputs(parameters, batch, rows));
  const targetOutputs = network.outputs(target, batch, followed.map((action, i) => rowOf(batch, i, action)));
  const targets = tdTargets(batch, head, followed, targetOutputs, options);
  const rows = rowsToTrain(batch, targets, options.conservative);
  let loss = NaN;
  const gradients = network.gradients(parameters, batch, rows, (outputs) => {
    const graded = gradeOutputs(batch, head, targets, rows, outputs, options.conservative);
    ({ loss } = graded);
    return graded.gradient;
  });
  return { loss, gradients };
}

async function startingState(shape: NetworkShape, { seed }: TrainingOptions, { checkpoint }: TrainingRun, fingerprint: string): Promise<TrainingState> {
  const initial = (): Parameters => initialParameters(shape, createRandom(seedOf(seed, 'parameters')));
  const parameters = initial();
  const kept = checkpoint === undefined ? null : await openCheckpoint(checkpoint.path, parameters, fingerprint);
  return kept ?? { update: 0, parameters, target: initial(), moments: zeroMoments(parameters), online: [] };
}

/** Falls evenly. @param done share of the online updates */
function exploration({ exploration: [from, to] }: TrainingOptions, done: number): number {
  return from + (to - from) * done;
}
