/** What `lodestone needle` asks: suites by their names, at which lengths, how often. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { ingest } from '../ingest/ingest.js';
import { packageRoot } from '../paths.js';
import { audioLengths, audioSuite } from './audio.js';
import { canarySuite, canaryTokens } from './canary.js';
import { linearDepths, splitUnits } from './haystack.js';
import { checkLengths, countedAlike, fittingLengths } from './lengths.js';
import type { Prose } from './niah.js';
import type { Answerer } from './respond.js';
import { presets, type NeedleSuite, type Preset } from './presets.js';
import { openSpeechClips } from './speech-clips.js';
import { fixtureSources, makeProse, openProse, openSuites } from './suites.js';
import type { PlannedSuite } from './trials.js';
import type { Suite } from './trial.js';

export interface PlanRequest {
  readonly preset: keyof typeof presets;
  readonly suites?: readonly NeedleSuite[];
  readonly lengths?: readonly number[];
  /** How many, from 0 to 100 %. */
  readonly depths?: number;
  readonly trials?: number;
  /** Of the suite ruler, those that are asked (default: all). */
  readonly tasks?: readonly string[];
  /** Hidden at once, in the suites multi. */
  readonly needles: number;
  /** Files of the user's; default: essays. */
  readonly haystack?: readonly string[];
  readonly modelDir: string;
  readonly signal: AbortSignal;
}

export interface MeasuredModel {
  readonly id: string;
  /** Positions that it holds. */
  readonly context: number;
}

export interface Plan {
  readonly suites: readonly PlannedSuite[];
  readonly haystacks: readonly { readonly path: string; readonly sha256: string }[];
  /** Of the haystacks. */
  readonly text: string;
  /** For people, about the haystacks. */
  readonly warnings: readonly string[];
}

/**
 * Own documents are read whole, as they are, unless suites or lengths are asked for: then they are the prose of those.
 * Errors: LodestoneError(usage), (unreadableInput), (contextExceeded) where a length or document is more than the model holds.
 */
export async function planNeedle(request: PlanRequest, model: MeasuredModel, answerer: Answerer): Promise<Plan> {
  const preset: Preset = presets[request.preset];
  const { haystack, lengths, modelDir } = request;
  const names = new Set<NeedleSuite>(request.suites ?? (haystack !== undefined && lengths === undefined ? ['canary'] : preset.suites));
  if (request.tasks !== undefined && !names.has('ruler')) throw new LodestoneError(ExitCode.usage, '--tasks chooses among the tasks of --suite ruler');
  if (names.has('canary') && haystack === undefined) throw new LodestoneError(ExitCode.usage, '--suite canary hides needles in documents of your own: name them with --haystack');
  const blind = names.has('video') && !answerer.watch;
  if (blind && request.suites?.includes('video')) throw new LodestoneError(ExitCode.usage, '--suite video needs a model that reads pictures: name its folder with --see');
  if (blind) names.delete('video');
  const held = model.context;
  const { prose, haystacks, warnings } = await openHaystack(haystack, Math.min(held, Math.max(...(lengths ?? preset.lengths))), request.signal, answerer, modelDir);
  const depths = linearDepths(request.depths ?? preset.depths).map(Math.round);
  const sources = { ...fixtureSources(fixtures, modelDir), prose, depths, multiNeedles: request.needles, ...(request.tasks === undefined ? {} : { rulerTasks: request.tasks }) };
  const cities = (JSON.parse(readFileSync(sources.cities, 'utf8')) as { cities: string[] }).cities;
  const suites = new Map<NeedleSuite, Suite>();
  for (const name of names) suites.set(name, await openSuite(name));
  const alike = countedAlike([...suites.values()]);
  // Those of a preset leave out lengths that they have no room in; those asked for by name must have room in all.
  if (lengths) checkLengths(request.suites ? alike : alike.filter(({ least }) => least === undefined), lengths, model);
  const planned = [...suites].map(([name, suite]): PlannedSuite => {
    // A suite has its own depths where it hides more than one needle at a time.
    const round = suite.round ?? suite.depths?.length ?? depths.length;
    // To listen takes longer than to read.
    const usual = name === 'audio' ? audioLengths[request.preset === 'full' ? 'full' : 'quick'] : suite.unit === 'seconds' ? preset.seconds : preset.lengths;
    const at = name === 'canary' ? [null] : fittingLengths(suite, lengths && alike.includes(suite) ? lengths : usual, held);
    return { suite, lengths: at, questions: round * (request.trials ?? preset.trials), controls: round };
  });
  const leftOut = planned.filter(({ lengths: at }) => at.length === 0).map(({ suite }) => `the suite ${suite.name} is left out: it has no length that ${model.id} holds (${held} tokens) and that has room for what it hides`);
  if (leftOut.length === planned.length) throw new LodestoneError(ExitCode.usage, `nothing is asked: ${leftOut.join('; ')}`);
  if (blind) leftOut.push('the suite video is left out: no model reads pictures here; name the folder of one with --see');
  return { suites: planned.filter(({ lengths: at }) => at.length > 0), haystacks, text: prose.text, warnings: [...warnings, ...leftOut] };

  async function openSuite(name: NeedleSuite): Promise<Suite> {
    if (name === 'canary') {
      const tokens = await canaryTokens(prose, cities, depths, answerer.count);
      const most = await answerer.documentTokens(held);
      if (tokens > most) throw new LodestoneError(ExitCode.contextExceeded, `the haystack and its needles take ${tokens} tokens, but ${model.id} holds ${most} of a document`);
      return canarySuite(prose, cities, depths);
    }
    if (name === 'audio') return audioSuite(openSpeechClips(speechClips), depths);
    const [suite] = await openSuites([name], sources, answerer.count);
    return suite!;
  }
}

const fixtures = path.join(packageRoot, 'fixtures');
/** Of the package. */
export const speechClips = path.join(fixtures, 'speech');

async function openHaystack(
  files: readonly string[] | undefined,
  longest: number,
  signal: AbortSignal,
  answerer: Answerer,
  modelDir: string,
): Promise<{ prose: Prose; haystacks: Plan['haystacks']; warnings: readonly string[] }> {
  if (files === undefined) {
    const { haystacks } = fixtureSources(fixtures, modelDir, longest);
    const prose = await openProse(haystacks, answerer.count);
    const hashed = haystacks.map((file) => ({ path: path.basename(file), sha256: createHash('sha256').update(readFileSync(file)).digest('hex') }));
    return { prose, haystacks: hashed, warnings: [] };
  }
  const sources = await ingest(files, { signal });
  const text = sources.map(({ segments }) => segments.map((segment) => segment.text).join('')).join('\n\n');
  return {
    prose: await makeProse(text, splitUnits(text), files, answerer.count),
    haystacks: sources.map(({ source }) => ({ path: source.path, sha256: source.sha256 })),
    warnings: sources.flatMap(({ source, warnings }) => warnings.map((warning) => `${source.path}: ${warning}`)),
  };
}
