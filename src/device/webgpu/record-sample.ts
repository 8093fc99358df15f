/** Drawing a token as dispatches: two of them, or, with top-k or top-p, also those that find its bound on logits. */
import type { SampleCommand } from '../device.js';
import { isGreedy, streamOf } from '../sampling.js';
import type { Dispatch } from './dispatch.js';
import type { Recorder } from './recorder.js';

/** Slices that sample_pick.wgsl puts together, at most, and the fewest logits that are worth a workgroup. */
const mostSlices = 256;
const leastSlice = 4096;

/** Below any logarithm that matters; see NO_MAX in softmax.wgsl. */
const none = -2e30;

export function recordSample({ logits, count, sampling, step, out }: SampleCommand, to: Recorder): Dispatch[] {
  const { temperature, topK = 0, topP = 1, minP = 0, seed = 0 } = sampling;
  const slice = Math.max(leastSlice, Math.ceil(count / mostSlices));
  const slices = Math.ceil(count / slice);
  const scratch = (purpose: 'sampling partials' | 'sampling state' | 'sampling bins', bytes: number) => ({ memory: to.scratch(purpose, bytes), offset: 0 });
  const bind = {
    logits: to.memoryOf(logits),
    out: to.memoryOf(out),
    partials: scratch('sampling partials', mostSlices * 20),
    state: scratch('sampling state', 24),
    bins: scratch('sampling bins', 512 * 4),
  };
  const params = { count, slice, slices, temperature, stream: streamOf(seed, step), top_k: topK, top_p: topP, log_min_p: minP > 0 ? Math.log(minP) : none };
  const over = (kernel: 'sample_scan' | 'sample_count', constants: Dispatch['constants'], more: Dispatch['params'] = {}): Dispatch => {
    return { kernel, constants, bind, params: { ...params, ...more }, groups: [slices, 1, 1], work: count * 8, bytes: count * 4 };
  };
  const once = (kernel: 'sample_pick' | 'sample_cut', constants: Dispatch['constants'], more: Dispatch['params'] = {}): Dispatch => {
    return { kernel, constants, bind, params: { ...params, ...more }, groups: [1, 1, 1], work: slices * 8, bytes: slices * 20 };
  };
  if (isGreedy(sampling)) return [over('sample_scan', { DRAW: false, BOUND: false }), once('sample_pick', { BEGIN: false })];
  const bounded = (topK > 0 && topK < count) || topP < 1 || minP > 0;
  const draw = [over('sample_scan', { DRAW: true, BOUND: bounded }), once('sample_pick', { BEGIN: false })];
  if (!bounded) return draw;
  const bound = (MASS: boolean): Dispatch[] => [24, 16, 8, 0].flatMap((shift) => [over('sample_count', {}, { shift }), once('sample_cut', { MASS }, { shift })]);
  return [
    over('sample_scan', { DRAW: true, BOUND: false }),
    once('sample_pick', { BEGIN: true }),
    ...(topK > 0 && topK < count ? bound(false) : []),
    ...(topP < 1 ? bound(true) : []),
    ...draw,
  ];
}
