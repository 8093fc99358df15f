/** `lodestone needle`, once its options are read: measures, shows, writes reports, and gates. */
import { appendFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import type { AskEvent } from '../answer/answer.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { compare, readBaseline } from '../recall/baseline.js';
import { checkGate, gateSentence, lengthName, type Gate, type GateLimits } from '../recall/gate.js';
import { planNeedle, type Plan } from '../recall/plan.js';
import type { TrialRecord } from '../recall/record.js';
import { jsonLine, oneLine } from '../recall/reports/escape.js';
import { reportByExtension, writeReports, type ReportFile } from '../recall/reports/files.js';
import { githubAnnotations, githubSummary } from '../recall/reports/github.js';
import type { NeedleReport } from '../recall/reports/report.js';
import { endLines, headLine, missLines, textReport } from '../recall/reports/text.js';
import { modelAnswerer } from '../recall/respond.js';
import type { RunSettings } from '../recall/settings.js';
import { summarise } from '../recall/summary.js';
import { openTrialLog, type TrialLog } from '../recall/trial-log.js';
import { plannedQuestions, runTrials } from '../recall/trials.js';
import { selectDevice } from '../device/select.js';
import { checkKv, defaultKv } from '../runtime/kv.js';
import { openModel, type Model } from '../runtime/model.js';
import { liveLine, type LiveLine } from '../ui/live-line.js';
import { initialNeedleState, type NeedleState } from '../ui/needle-state.js';
import type { NeedleScreen } from '../ui/needle-view.js';
import type { NeedleOptions } from './needle.js';
import { canShowScreen, prepareScreen } from './screen.js';
import { sha256OfFiles } from '../weights/hash.js';

function reportFiles({ report = [], junit, tap, html, svg }: NeedleOptions): ReportFile[] {
  const named = Object.entries({ junit, tap, html, svg }).flatMap(([form, file]) => (file === undefined ? [] : [{ form, file } as ReportFile]));
  return [...report.map(reportByExtension), ...named];
}

function limitsOf(options: NeedleOptions): GateLimits {
  const { minRecall, minCell, maxSeconds, maxDrop, effectiveLength, baseline } = options;
  if (maxDrop !== undefined && baseline === undefined) throw new LodestoneError(ExitCode.usage, '--max-drop needs --baseline, the --json of an earlier run');
  const limits = { minRecall, minCell, maxSeconds, maxDrop, effectiveLength: effectiveLength?.[0] };
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined));
}

async function openScreen(options: NeedleOptions): Promise<NeedleScreen | null> {
  const scripted = options.json === true || options.jsonl === true || options.plain === true || options.quiet === true;
  if (scripted || !canShowScreen()) return null;
  prepareScreen();
  const { needleScreen } = await import('../ui/needle-view.js');
  return needleScreen(process.stdout);
}

/** The model as files: what is in them decides, not what they are called. */
async function modelHash(model: Model, modelPath: string, signal: AbortSignal): Promise<string> {
  const beside = ['config.json', 'tokenizer.json'].map((name) => path.join(modelPath, name)).filter((file) => existsSync(file));
  return sha256OfFiles([...beside, ...model.weightFiles], signal);
}

function settingsOf(options: NeedleOptions, model: Model, sha256: string, plan: Plan): RunSettings {
  return {
    model: model.id,
    model_sha256: sha256,
    quantization: model.quantization,
    device: model.device.name,
    kv: options.kv,
    looks: options.looks,
    seed: options.seed,
    suites: plan.suites.map(({ suite, lengths, questions }) => ({ name: suite.name, lengths, depths: suite.depths ?? [], questions })),
    haystack_sha256: plan.haystacks.map(({ sha256 }) => sha256),
  };
}

/** 3 where the model was found wanting; where trials ended in errors and nothing else is wrong, their code. */
export function needleExitCode(gate: Gate | null, trials: readonly TrialRecord[]): number {
  if (gate?.checks.some(({ name, passed }) => !passed && name !== 'errors') === true) return ExitCode.gateFailed;
  const failed = trials.find(({ outcome }) => outcome === 'error');
  return failed === undefined ? ExitCode.ok : (failed.error_code ?? ExitCode.internal);
}

export async function runNeedle(options: NeedleOptions, signal: AbortSignal): Promise<void> {
  const limits = limitsOf(options);
  const files = reportFiles(options);
  const { device, why } = await selectDevice(options.device, options.threads === undefined ? {} : { threads: options.threads });
  const line = liveLine(process.stderr, options.quiet !== true && options.jsonl !== true);
  let log: TrialLog | null = null;
  let screen: NeedleScreen | null = null;
  try {
    const say = (message: string): void => {
      line.clear();
      if (options.quiet !== true) process.stderr.write(`lodestone: ${oneLine(message)}\n`);
    };
    if (device.name === 'reference' && options.device === 'auto') say(why);
    const model = await openModel(options.model, device, { quantize: options.quantize, signal });
    const kv = { ...defaultKv, global: options.kv };
    checkKv(model.config, kv);
    const answerer = modelAnswerer(model);
    const plan = await planNeedle(planRequest(options, signal), model, answerer);
    for (const warning of plan.warnings) say(warning);
    const settings = settingsOf(options, model, await modelHash(model, options.model, signal), plan);
    const baseline = options.baseline === undefined ? null : readBaseline(options.baseline, settings);
    log = options.log === undefined ? null : await openTrialLog(options.log, settings);
    if (log !== null && log.done.size > 0) say(`${options.log}: ${log.done.size} trials are there and are not asked again`);
    screen = await openScreen(options);
    const started = new Date().toISOString();
    const about = { settings, model: describe(model), device: { name: device.name, adapter: device.description } };
    const progress = progressOf(options, plan, headLine(about), screen, line);
    const trials: TrialRecord[] = [];
    const run = { seed: options.seed, looks: options.looks, kv, signal, onEvent: (event: AskEvent) => progress.event(event), ...(log === null ? {} : { done: log.done }) };
    for await (const records of runTrials(answerer, plan.suites, run)) {
      await log?.append(records);
      trials.push(...records);
      if (options.jsonl === true) for (const record of records) process.stdout.write(`${jsonLine(record)}\n`);
      progress.asked(records, trials);
    }
    const suites = summarise(plan.suites, trials, options.threshold);
    const seconds = trials.reduce((sum, trial) => sum + trial.seconds, 0);
    const comparison = baseline === null ? null : compare(baseline, trials);
    const gate = checkGate(limits, { suites, threshold: options.threshold, seconds, comparison });
    const { threshold } = options;
    const report: NeedleReport = {
      schema: 'lodestone.needle/1',
      started_at: started,
      ...about,
      haystacks: plan.haystacks,
      threshold,
      seconds,
      suites,
      comparison,
      gate,
      trials,
    };
    progress.end(report);
    line.clear();
    writeReports(files, report);
    print(options, report, screen !== null);
    tellGithub(report);
    process.exitCode = needleExitCode(gate, trials);
  } finally {
    line.clear();
    await screen?.close();
    await log?.close();
    await device.close();
  }
}

function planRequest(options: NeedleOptions, signal: AbortSignal): Parameters<typeof planNeedle>[0] {
  const { preset, depths, needles, model: modelDir, suite, lengths, trials, haystack } = options;
  return {
    preset,
    depths,
    needles,
    modelDir,
    signal,
    ...(suite === undefined ? {} : { suites: suite }),
    ...(lengths === undefined ? {} : { lengths }),
    ...(trials === undefined ? {} : { trials }),
    ...(haystack === undefined ? {} : { haystack }),
  };
}

function describe({ id, quantization, weightBytes, config }: Model): NeedleReport['model'] {
  return { id, quantization, weight_bytes: weightBytes, context: config.maxPositions };
}

function print(options: NeedleOptions, report: NeedleReport, onScreen: boolean): void {
  if (options.misses === true) for (const miss of missLines(report)) process.stderr.write(`${miss}\n`);
  if (options.json === true) process.stdout.write(`${jsonLine(report)}\n`);
  // Its trials are the lines before it.
  else if (options.jsonl === true) process.stdout.write(`${jsonLine({ type: 'summary', ...report, trials: [] })}\n`);
  else if (!onScreen) process.stdout.write(textReport(report));
  const scripted = options.json === true || options.jsonl === true;
  if (scripted && report.gate !== null && !report.gate.passed) process.stderr.write(`lodestone: ${oneLine(gateSentence(report.gate))}\n`);
}

/** Runners read commands from both streams; stdout may be somebody's JSON. */
function tellGithub(report: NeedleReport): void {
  if (process.env['GITHUB_ACTIONS'] !== 'true') return;
  for (const annotation of githubAnnotations(report)) process.stderr.write(`${annotation}\n`);
  const file = process.env['GITHUB_STEP_SUMMARY'];
  if (file) appendFileSync(file, githubSummary(report));
}

interface Progress {
  event(event: AskEvent): void;
  asked(records: readonly TrialRecord[], all: readonly TrialRecord[]): void;
  end(report: NeedleReport): void;
}

/** The screen where there is one; else a live line on stderr, and where that is no terminal, a line for each length. */
function progressOf(options: NeedleOptions, { suites }: Plan, head: string, screen: NeedleScreen | null, line: LiveLine): Progress {
  const total = plannedQuestions(suites);
  let state: NeedleState = { ...initialNeedleState, total, finished: [{ type: 'line', text: head, tone: 'plain' }] };
  let place = '';
  const log = screen === null && options.quiet !== true && options.jsonl !== true && !process.stderr.isTTY;
  const update = (changes: Partial<NeedleState>): void => {
    state = { ...state, ...changes };
    screen?.show(state);
    if (screen === null) line.show(`${state.done} / ${total}  ${state.reading}`);
  };
  return {
    event(event) {
      if (event.type === 'prefill') update({ reading: `${place}  reading ${Math.floor((100 * event.done) / Math.max(1, event.total))} %` });
    },
    asked(records, all) {
      const { suite: name, length } = records[0]!;
      const at = suites.findIndex(({ suite }) => suite.name === name);
      const planned = suites[at]!;
      place = `${name} ${lengthName(length, planned.suite.shortest ?? '')}`;
      const of = all.filter((record) => record.suite === name && record.control === null);
      const here = of.filter((record) => record.length === length);
      const finished = records[0]!.control === null && here.length === planned.questions;
      const hits = here.filter(({ outcome }) => outcome === 'hit').length;
      if (log && finished) process.stderr.write(`lodestone: ${place}: ${hits} of ${here.length}\n`);
      const done = all.filter(({ control }) => control === null).length;
      const [summary] = screen === null ? [null] : summarise([planned], all, options.threshold);
      // The last length's controls came with the first.
      if (finished && length === planned.lengths.at(-1) && summary) {
        update({ done, current: null, finished: [...state.finished, { type: 'suite', suite: summary, threshold: options.threshold }] });
      } else update({ done, ...(summary ? { current: summary } : {}), reading: place });
    },
    end(report) {
      const tone = report.gate === null ? 'plain' : report.gate.passed ? 'good' : 'bad';
      const lines = endLines(report).map((text, i, all) => ({ type: 'line', text, tone: i === all.length - 1 ? tone : 'plain' }) as const);
      update({ current: null, finished: [...state.finished, ...lines] });
    },
  };
}
