/** `lodestone needle`, once its options are read: measures, shows, writes reports, and gates. */
import { appendFileSync } from 'node:fs';
import type { AskEvent } from '../answer/answer.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { compare, readBaseline } from '../recall/baseline.js';
import { costLine, secondsLeft } from '../recall/cost.js';
import { checkGate, gateSentence, lengthName, type Gate, type GateLimits } from '../recall/gate.js';
import { planNeedle, type Plan } from '../recall/plan.js';
import type { TrialRecord } from '../recall/record.js';
import { jsonLine, oneLine } from '../recall/reports/escape.js';
import { reportByExtension, writeReports, type ReportFile } from '../recall/reports/files.js';
import { githubAnnotations, githubSummary } from '../recall/reports/github.js';
import { readingOf, type NeedleReport } from '../recall/reports/report.js';
import { endLines, headLine, missLines, textReport } from '../recall/reports/text.js';
import type { RunSettings } from '../recall/settings.js';
import { summarise } from '../recall/summary.js';
import { openTrialLog, type TrialLog } from '../recall/trial-log.js';
import { plannedQuestions, runTrials } from '../recall/trials.js';
import type { openModel } from '../runtime/model.js';
import { duration } from '../ui/format.js';
import { liveLine, type LiveLine } from '../ui/live-line.js';
import { initialNeedleState, type NeedleState } from '../ui/needle-state.js';
import type { NeedleScreen } from '../ui/needle-view.js';
import { endpointOptions } from './endpoint-options.js';
import { openHearing, type OpenHearing } from './needle-hearing.js';
import type { NeedleOptions } from './needle.js';
import { openLocal, openServer, type Subject } from './needle-subject.js';
import { canShowScreen, prepareScreen } from './screen.js';

function reportFiles({ report = [], junit, tap, html, svg, png }: NeedleOptions): ReportFile[] {
  const named = Object.entries({ junit, tap, html, svg, png }).flatMap(([form, file]) => (file === undefined ? [] : [{ form, file } as ReportFile]));
  return [...report.map(reportByExtension), ...named];
}

function limitsOf(options: NeedleOptions): GateLimits {
  const { minRecall, minCell, maxSeconds, maxDrop, maxPerplexityChange, effectiveLength, baseline } = options;
  if (maxDrop !== undefined && baseline === undefined) throw new LodestoneError(ExitCode.usage, '--max-drop needs --baseline, the --json of an earlier run');
  if (maxPerplexityChange !== undefined && baseline === undefined) throw new LodestoneError(ExitCode.usage, '--max-perplexity-change needs --baseline, the --json of an earlier run with --perplexity');
  const limits = { minRecall, minCell, maxSeconds, maxDrop, maxPerplexityChange, effectiveLength: effectiveLength?.[0] };
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined));
}

async function openScreen(options: NeedleOptions): Promise<NeedleScreen | null> {
  const scripted = options.json === true || options.jsonl === true || options.plain === true || options.quiet === true;
  if (scripted || !canShowScreen()) return null;
  prepareScreen();
  const { needleScreen } = await import('../ui/needle-view.js');
  return needleScreen(process.stdout);
}

function settingsOf(options: NeedleOptions, subject: Subject, plan: Plan): RunSettings {
  return {
    ...subject.settings,
    looks: options.looks,
    seed: options.seed,
    suites: plan.suites.map(({ suite, lengths, questions }) => ({ name: suite.name, lengths, depths: suite.depths ?? [], ...(suite.parts ? { parts: suite.parts } : {}), questions })),
    haystack_sha256: plan.haystacks.map(({ sha256 }) => sha256),
  };
}

/** 3 where the model was found wanting; where trials ended in errors and nothing else is wrong, their code. */
export function needleExitCode(gate: Gate | null, trials: readonly TrialRecord[]): number {
  if (gate?.checks.some(({ name, passed }) => !passed && name !== 'errors') === true) return ExitCode.gateFailed;
  const failed = trials.find(({ outcome }) => outcome === 'error');
  return failed === undefined ? ExitCode.ok : (failed.error_code ?? ExitCode.internal);
}

export async function runNeedle(options: NeedleOptions, signal: AbortSignal, open?: typeof openModel): Promise<void> {
  const limits = limitsOf(options);
  const files = reportFiles(options);
  const server = endpointOptions(options, signal);
  const line = liveLine(process.stderr, options.quiet !== true && options.jsonl !== true);
  let subject: Subject | null = null;
  let hearing: OpenHearing | null = null;
  let log: TrialLog | null = null;
  let screen: NeedleScreen | null = null;
  try {
    const say = (message: string): void => {
      line.clear();
      if (options.quiet !== true) process.stderr.write(`lodestone: ${oneLine(message)}\n`);
    };
    subject = server === null ? await openLocal(options, signal, say, open) : await openServer(options, server);
    const { answerer, model, device } = subject;
    const plan = await planNeedle(planRequest(options, signal), { id: model.id, context: model.context ?? Infinity }, answerer);
    for (const warning of plan.warnings) say(warning);
    if (plan.suites.some(({ suite }) => suite.name === 'audio')) hearing = await openHearing(options, signal);
    const settings = { ...settingsOf(options, subject, plan), ...(hearing === null ? {} : { speech_sha256: hearing.sha256 }) };
    const baseline = options.baseline === undefined ? null : readBaseline(options.baseline, settings);
    if (limits.maxPerplexityChange !== undefined && baseline?.loss === null) throw new LodestoneError(ExitCode.usage, `--max-perplexity-change: ${options.baseline!} was measured without --perplexity`);
    log = options.log === undefined ? null : await openTrialLog(options.log, settings);
    if (log !== null && log.done.size > 0) say(`${options.log}: ${log.done.size} trials are there and are not asked again`);
    const cost = costLine(plan.suites);
    if (cost !== null) say(cost);
    screen = await openScreen(options);
    const started = new Date().toISOString();
    const about = { settings, model, device };
    const progress = progressOf(options, plan, headLine(about), screen, line);
    const trials: TrialRecord[] = [];
    const run = { seed: options.seed, looks: options.looks, signal, onEvent: (event: AskEvent) => progress.event(event), ...(log === null ? {} : { done: log.done }), ...(hearing === null ? {} : { hearing }) };
    for await (const records of runTrials(answerer, plan.suites, run)) {
      await log?.append(records);
      trials.push(...records);
      if (options.jsonl === true) for (const record of records) process.stdout.write(`${jsonLine(record)}\n`);
      progress.asked(records, trials);
    }
    const suites = summarise(plan.suites, trials, options.threshold);
    const seconds = trials.reduce((sum, trial) => sum + trial.seconds, 0);
    const wanted = options.perplexity === true || limits.maxPerplexityChange !== undefined;
    const loss = wanted && subject.loss !== null ? await subject.loss(plan.text) : null;
    const comparison = baseline === null ? null : compare(baseline, trials, loss);
    const gate = checkGate(limits, { suites, threshold: options.threshold, seconds, comparison });
    const { threshold } = options;
    const report: NeedleReport = {
      schema: 'lodestone.needle/1',
      started_at: started,
      ...about,
      haystacks: plan.haystacks,
      threshold,
      seconds,
      reading: readingOf(trials),
      suites,
      loss,
      comparison,
      gate,
      trials,
    };
    progress.end(report);
    line.clear();
    await writeReports(files, report);
    print(options, report, screen !== null);
    tellGithub(report);
    process.exitCode = needleExitCode(gate, trials);
  } finally {
    line.clear();
    await screen?.close();
    await log?.close();
    await hearing?.close();
    await subject?.close();
  }
}

function planRequest(options: NeedleOptions, signal: AbortSignal): Parameters<typeof planNeedle>[0] {
  const { preset, depths, needles, model: modelDir, suite, lengths, tasks, trials, haystack } = options;
  return {
    preset,
    needles,
    modelDir,
    signal,
    ...(depths === undefined ? {} : { depths }),
    ...(suite === undefined ? {} : { suites: suite }),
    ...(lengths === undefined ? {} : { lengths }),
    ...(tasks === undefined ? {} : { tasks }),
    ...(trials === undefined ? {} : { trials }),
    ...(haystack === undefined ? {} : { haystack }),
  };
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
  /** Of the whole run. */
  let left = '';
  const log = screen === null && options.quiet !== true && options.jsonl !== true && !process.stderr.isTTY;
  const update = (changes: Partial<NeedleState>): void => {
    state = { ...state, ...changes };
    screen?.show(state);
    if (screen === null) line.show(`${state.done} / ${total}  ${state.reading}`);
  };
  return {
    event(event) {
      if (event.type === 'prefill') update({ reading: `${place}  reading ${Math.floor((100 * event.done) / Math.max(1, event.total))} %${left}` });
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
      const seconds = secondsLeft(suites, all);
      left = seconds === null || seconds < 1 ? '' : `, about ${duration(seconds)} left`;
      if (log && finished) process.stderr.write(`lodestone: ${place}: ${hits} of ${here.length}${left}\n`);
      const done = all.filter(({ control }) => control === null).length;
      const [summary] = screen === null ? [null] : summarise([planned], all, options.threshold);
      // The last length's controls came with the first.
      if (finished && length === planned.lengths.at(-1) && summary) {
        update({ done, current: null, finished: [...state.finished, { type: 'suite', suite: summary, threshold: options.threshold }] });
      } else update({ done, ...(summary ? { current: summary } : {}), reading: place + left });
    },
    end(report) {
      const tone = report.gate === null ? 'plain' : report.gate.passed ? 'good' : 'bad';
      const lines = endLines(report).map((text, i, all) => ({ type: 'line', text, tone: i === all.length - 1 ? tone : 'plain' }) as const);
      update({ current: null, finished: [...state.finished, ...lines] });
    },
  };
}
