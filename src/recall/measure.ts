/**
 * Measures what a model can do, through the product's own code: `npm run recall`. One suite a table: README.md and
 * src/recall/suites.ts say what there is.
 */
import path from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { AskEvent } from '../answer/answer.js';
import { defaultLooks } from '../answer/defaults.js';
import { deviceChoices, selectDevice, type DeviceChoice } from '../device/select.js';
import type { Device, KvFormat } from '../device/device.js';
import { kvFormats } from '../device/kvLayout.js';
import { openHearing, type OpenHearing } from '../cli/needle-hearing.js';
import { seeOption } from '../cli/see-option.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { embeddedModelDir, packageRoot } from '../paths.js';
import { checkKv, defaultKv, type KvFormats } from '../runtime/kv.js';
import { openModel, type Model } from '../runtime/model.js';
import { PictureReader } from '../see/picture-reader.js';
import { namedSpeech } from '../speech/named.js';
import { clean } from '../ui/format.js';
import { progressLine } from '../ui/progress.js';
import { audioSuite } from './audio.js';
import { checkLengths, countedAlike, fittingLengths, lengthList } from './lengths.js';
import { askMedia, askReport, type DocumentRow } from './documents.js';
import { formatDocuments, formatMiss, formatRow } from './report.js';
import { modelAnswerer } from './respond.js';
import { runSuite, type Asked, type Row } from './runner.js';
import { speechClips } from './plan.js';
import { rulerTaskNames } from './ruler.js';
import { openSpeechClips } from './speech-clips.js';
import { fixtureSources, openSuites, suiteNames, type SuiteName } from './suites.js';
import type { Suite } from './trial.js';

const fixtures = path.join(packageRoot, 'fixtures');

type Name = SuiteName | 'audio' | 'documents';
const names: readonly Name[] = [...suiteNames, 'audio', 'documents'];

interface Options {
  readonly suite: readonly Name[];
  readonly model: string;
  readonly device: DeviceChoice;
  readonly lengths?: readonly number[];
  readonly trials?: number;
  readonly seed: number;
  readonly looks: number;
  readonly kv: KvFormat;
  readonly needles?: number;
  readonly haystack?: readonly string[];
  readonly squad?: string;
  readonly hotpotqa?: string;
  readonly tasks?: readonly string[];
  readonly see?: string;
  readonly speech?: string;
  readonly misses?: boolean;
  readonly json?: boolean;
}

interface Report {
  readonly schema: 'lodestone.recall/1';
  readonly model: { readonly id: string; readonly quantization: string; readonly weight_bytes: number; readonly context: number };
  readonly device: string;
  readonly kv: KvFormats;
  readonly seed: number;
  readonly suites: { readonly name: string; readonly about: string; readonly rows: readonly Row[] }[];
  readonly documents: { readonly report: readonly DocumentRow[]; readonly media: readonly DocumentRow[] } | null;
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least) throw new InvalidArgumentError(`A whole number, at least ${least}, is needed.`);
    return value;
  };
}

function parseOptions(): Options {
  return new Command('recall')
    .description('How much a model finds in documents of a given length, answered as `lodestone ask` answers.')
    .addOption(new Option('--suite <name...>', 'what to measure').choices(names).default(['gemini', 'heldout', 'documents']))
    .option('--lengths <list>', 'tokens of the prompt and its answer, such as 4096,32K,1M; of the suite video by itself, seconds of film (default: by suite)', lengthList)
    .option('--trials <n>', 'questions per length (default: by suite)', wholeNumber(1))
    .option('--model <dir>', 'model folder', embeddedModelDir)
    .addOption(new Option('--device <name>', 'where to compute').choices(deviceChoices).default('auto'))
    .option('--seed <n>', 'of keys, values, places and samples', wholeNumber(0), 0)
    .option('--looks <n>', 'passages of each length that are read again, as in ask; 0 is none', wholeNumber(0), defaultLooks)
    .addOption(new Option('--kv <format>', 'how keys and values of global layers are stored').choices(kvFormats).default(defaultKv.global))
    .option('--needles <n>', 'needles in a haystack too long to be read for every question', wholeNumber(1))
    .option('--haystack <file...>', "text files to hide needles in (default: Emerson's Essays)")
    .option('--squad <file>', 'questions in the format of SQuAD 1.1 (default: a sample of its dev set)')
    .option('--hotpotqa <file>', "questions in the format of HotpotQA's distractor setting, for qa_2 of ruler (default: a sample of its dev set)")
    .addOption(new Option('--tasks <name...>', 'of the suite ruler (default: all)').choices(rulerTaskNames))
    .addOption(new Option('--speech <model>', 'hears the recordings of the suite audio, named as in ask (default: the one that was pulled)').default(namedSpeech()))
    .addOption(seeOption())
    .option('--misses', 'print every miss on stderr')
    .option('--json', 'print one JSON object')
    .allowExcessArguments(false)
    .exitOverride()
    .parse()
    .opts<Options>();
}

/** Each suite with the lengths asked for, or its own that the model holds. Errors: those of `checkLengths`. */
function planOf(suites: readonly Suite[], { id, config }: Model, asked: readonly number[] | undefined): { readonly suite: Suite; readonly lengths: (number | null)[] }[] {
  const context = config.maxPositions;
  const alike = countedAlike(suites);
  if (asked) checkLengths(alike, asked, { id, context });
  return suites.map((suite) => {
    const lengths = asked && alike.includes(suite) ? asked : fittingLengths(suite, suite.lengths, context);
    return { suite, lengths: suite.shortest === undefined ? [...lengths] : [null, ...lengths] };
  });
}

async function measureSuites(options: Options, model: Model, senses: Senses, say: (line: string) => void): Promise<Report['suites']> {
  const { suite: wanted, lengths, trials, seed, looks, kv, needles, haystack, squad, hotpotqa, tasks, misses = false } = options;
  const sources = {
    ...fixtureSources(fixtures, options.model, Math.max(0, ...(lengths ?? []))),
    ...(haystack === undefined ? {} : { haystacks: haystack }),
    ...(squad === undefined ? {} : { squad }),
    ...(hotpotqa === undefined ? {} : { hotpotQa: hotpotqa }),
    ...(tasks === undefined ? {} : { rulerTasks: tasks }),
    ...(needles === undefined ? {} : { needlesPerHaystack: needles }),
  };
  const answerer = modelAnswerer(model, { ...defaultKv, global: kv }, senses.reader);
  const suites = await openSuites(suiteNames.filter((name) => wanted.includes(name)), sources, answerer.count);
  if (wanted.includes('audio')) suites.push(audioSuite(openSpeechClips(speechClips)));
  const plan = planOf(suites, model, lengths);
  const progress = progressLine(process.stderr, true);
  const onAsked = (asked: Asked): void => {
    if (!misses || asked.once.hit) return;
    progress.clear();
    process.stderr.write(`${formatMiss(asked)}\n`);
  };
  const results: Report['suites'] = [];
  const run = { seed, looks, onAsked, onEvent: (event: AskEvent) => progress.show(event), ...(senses.hearing ? { hearing: senses.hearing } : {}) };
  for (const { suite, lengths: planned } of plan) {
    say(`\n${suite.name}: ${suite.about}`);
    const rows: Row[] = [];
    for (const length of planned) {
      const row = await runSuite(answerer, suite, length, { ...run, questions: trials ?? suite.questions });
      progress.clear();
      rows.push(row);
      for (const line of formatRow(row, suite)) say(line);
    }
    results.push({ name: suite.name, about: suite.about, rows });
  }
  answerer.close();
  return results;
}

/** What the suites video and audio need beside the model. */
interface Senses {
  readonly reader?: PictureReader;
  readonly hearing?: OpenHearing;
}

/** Errors: LodestoneError(usage) where a suite needs what is not named; those of opening it. */
async function openSenses({ suite, see, speech, device: choice }: Options, device: Device): Promise<Senses> {
  if (suite.includes('video') && see === undefined) throw new LodestoneError(ExitCode.usage, '--suite video needs a model that reads pictures: name its folder with --see');
  const hearing = suite.includes('audio') ? { hearing: await openHearing({ device: choice, ...(speech === undefined ? {} : { speech }) }) } : {};
  return { ...hearing, ...(suite.includes('video') ? { reader: await PictureReader.open(see!, device) } : {}) };
}

async function measure(options: Options, device: Device, why: string): Promise<void> {
  const { json = false } = options;
  const kv = { ...defaultKv, global: options.kv };
  const say = (line: string): void => void (json || process.stdout.write(`${line}\n`));
  const model = await openModel(options.model, device);
  const { id, quantization, weightBytes, config } = model;
  checkKv(config, kv);
  const senses = await openSenses(options, device);
  say(`${id} on ${device.name}: ${why}`);
  let suites: Report['suites'];
  try {
    suites = await measureSuites(options, model, senses, say);
  } finally {
    await senses.hearing?.close();
    await senses.reader?.close();
    await model.close();
  }
  let documents: Report['documents'] = null;
  if (options.suite.includes('documents')) {
    const asked = { modelDir: options.model, looks: options.looks, kv };
    documents = { report: await askReport(fixtures, asked, device), media: await askMedia(fixtures, asked, device) };
    for (const line of ['', ...formatDocuments('facts in the 20+ page report', documents.report)]) say(line);
    for (const line of ['', ...formatDocuments('real documents', documents.media)]) say(line);
  }
  const report: Report = {
    schema: 'lodestone.recall/1',
    model: { id, quantization, weight_bytes: weightBytes, context: config.maxPositions },
    device: device.description,
    kv,
    seed: options.seed,
    suites,
    documents,
  };
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
}

try {
  const options = parseOptions();
  const { device, why } = await selectDevice(options.device);
  try {
    await measure(options, device, why);
  } finally {
    await device.close();
  }
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed its message (or the help) already.
    process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  } else {
    process.stderr.write(`recall: ${clean(error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ')}\n`);
    process.exitCode = error instanceof LodestoneError ? error.exitCode : ExitCode.internal;
  }
}
