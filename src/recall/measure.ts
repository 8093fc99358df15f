/**
 * Measures what the embedded model can do, through the product's own code: `npm run recall`.
 * Three tables: the magic-number needle and held-out phrasings by length, the facts of the fixture report, and the
 * checked questions about real government documents.
 * Options: --model DIR, --device NAME, --lengths LIST, --trials N, --misses, --json.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ask } from '../answer/ask.js';
import { defaultLooks } from '../answer/second-look.js';
import { selectDevice } from '../device/select.js';
import type { Device } from '../device/device.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { embeddedModelDir, packageRoot } from '../paths.js';
import { defaultChunk } from '../runtime/kv.js';
import { openModel, type Model } from '../runtime/model.js';
import { clean } from '../ui/format.js';
import { heldOutTrial, loadHeldOutFamilies } from './heldout.js';
import { cutToTokens, isHit, linearDepths, magicNumberTrial, type NeedleTrial } from './niah.js';
import { respond } from './respond.js';
import { seededRandom, wilson } from './statistics.js';

const fixtures = path.join(packageRoot, 'fixtures');

interface Options {
  readonly model: string;
  readonly device: 'auto' | 'cpu' | 'reference';
  readonly lengths: readonly number[];
  readonly trials: number;
  readonly misses?: boolean;
  readonly json?: boolean;
}

interface RecallRow {
  readonly suite: string;
  readonly tokens: number;
  /** After one reading of everything. */
  readonly hits: number;
  /** After the second look. */
  readonly hitsTwice: number;
  readonly trials: number;
  /** Of `hits`, 95 %. */
  readonly interval: readonly [number, number];
}

async function recall(
  model: Model,
  suite: string,
  lengths: readonly number[],
  repeats: number,
  makeTrial: (document: string, depth: number, random: () => number) => NeedleTrial,
  report: (row: RecallRow) => void,
  misses: boolean,
): Promise<RecallRow[]> {
  const haystack = readFileSync(path.join(fixtures, 'haystack', 'essays_emerson.txt'), 'utf8');
  const rows: RecallRow[] = [];
  for (const tokens of lengths) {
    const random = seededRandom(tokens);
    let hits = 0;
    let hitsTwice = 0;
    let trials = 0;
    for (let repeat = 0; repeat < repeats; repeat++) {
      // Every repeat reads another part of the haystack.
      const start = haystack.indexOf('. ', Math.floor(random() * haystack.length * 0.5)) + 2;
      const document = await cutToTokens(haystack.slice(start), tokens - 48, model.tokenizer);
      for (const depth of linearDepths(11)) {
        const trial = makeTrial(document, depth, random);
        const { once, twice } = await respond(model, trial.document, trial.question, { lookAgain: true });
        trials++;
        if (isHit(twice, trial.expected)) hitsTwice++;
        if (isHit(once, trial.expected)) hits++;
        else if (misses) process.stderr.write(`miss ${suite} ${tokens} ${depth}%: ${trial.question} -> "${once}", then "${twice}" (${trial.expected})\n`);
      }
    }
    const { low, high } = wilson(hits, trials);
    const row: RecallRow = { suite, tokens, hits, hitsTwice, trials, interval: [low, high] };
    rows.push(row);
    report(row);
  }
  return rows;
}

interface Question {
  readonly question: string;
  readonly answer: string;
  readonly page: number | null;
}

interface DocumentRow {
  readonly file: string;
  readonly question: string;
  readonly expected: string;
  readonly answer: string;
  readonly right: boolean;
  /** By the first reading of everything alone. */
  readonly wholeRight: boolean;
  readonly page: number | null;
  readonly citedPage: number | null;
  readonly rightPage: boolean;
}

const words = (text: string): string[] => text.match(/[\p{L}\p{N}][\p{L}\p{N}.,:%'-]*(?<![.,:'-])/gu) ?? [];

/**
 * Right: the answer holds the expected words; or it is a part of them that says as much: every number, and more than half
 * of the names, or, where the expected answer has neither, at least half of its words.
 */
function isRight(answer: string, expected: string): boolean {
  if (isHit(answer, expected)) return true;
  if (answer.trim() === '' || !isHit(expected, answer.trim().replace(/[.,;]$/u, ''))) return false;
  const given = new Set(words(answer));
  const wanted = words(expected);
  const numbers = wanted.filter((word) => /\d/u.test(word));
  const names = wanted.filter((word) => /^\p{Lu}/u.test(word));
  const share = (list: readonly string[]): number => (list.length === 0 ? 1 : list.filter((word) => given.has(word)).length / list.length);
  if (numbers.length + names.length === 0) return share(wanted) >= 0.5;
  return share(numbers) === 1 && share(names) > 0.5;
}

async function questions(file: string, list: readonly Question[], modelDir: string, device: Device): Promise<DocumentRow[]> {
  const rows: DocumentRow[] = [];
  for (const { question, answer: expected, page } of list) {
    const request = { question, paths: [file], modelDir, quantize: 'none', sampling: { temperature: 0 }, maxTokens: 64, chunk: defaultChunk, looks: defaultLooks } as const;
    let answer = '';
    let right = false;
    let wholeRight = false;
    let citedPage: number | null = null;
    try {
      const result = await ask(request, device, new AbortController().signal, () => undefined);
      answer = result.answer;
      right = isRight(answer, expected);
      wholeRight = isRight(result.readings[0]!.answer, expected);
      citedPage = result.citations[0]?.page ?? null;
    } catch (error) {
      if (!(error instanceof LodestoneError)) throw error;
      answer = `refused: ${error.message}`;
    }
    rows.push({ file: path.basename(file), question, expected, answer, right, wholeRight, page, citedPage, rightPage: page !== null && citedPage === page });
  }
  return rows;
}

function fixtureReport(): readonly Question[] {
  const file = path.join(fixtures, 'long-report.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Question[]) : [];
}

function mediaQuestions(): { file: string; qa: Question[] }[] {
  const file = path.join(fixtures, 'media', 'manifest.jsonl');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as { file: string; kind: string; qa: Question[] })
    .filter((entry) => entry.kind === 'pdf')
    .map((entry) => ({ file: path.join(fixtures, 'media', path.basename(entry.file)), qa: entry.qa }));
}

function printDocumentRows(title: string, rows: readonly DocumentRow[]): void {
  const right = rows.filter((row) => row.right).length;
  const both = rows.filter((row) => row.right && row.rightPage).length;
  const whole = rows.filter((row) => row.wholeRight).length;
  process.stdout.write(`\n${title}: ${right} of ${rows.length} answers right, ${both} with the right page; ${whole} right without the second look\n`);
  for (const row of rows) {
    process.stdout.write(`  ${row.right ? 'right' : 'WRONG'} ${row.rightPage ? 'page ' : 'PAGE?'} ${row.file}: ${row.question} -> ${row.answer} [p. ${row.citedPage ?? '-'}] (${row.expected}, p. ${row.page ?? '-'})\n`);
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('A whole number, at least 1, is needed.');
  return value;
}

/** A document must hold the needle and more. */
const LEAST_LENGTH = 128;

function lengthList(text: string): number[] {
  return text.split(',').map((part) => {
    const value = Number(part);
    if (!Number.isSafeInteger(value) || value < LEAST_LENGTH) throw new InvalidArgumentError(`Numbers of tokens, at least ${LEAST_LENGTH} each, are needed: 1024,4096`);
    return value;
  });
}

function parseOptions(): Options {
  return new Command('recall')
    .option('--model <dir>', 'model folder', embeddedModelDir)
    .addOption(new Option('--device <name>', 'where to compute').choices(['auto', 'cpu', 'reference']).default('auto'))
    .option('--lengths <list>', 'needle lengths in tokens', lengthList, [1024, 2048, 4096, 8192, 16384, 32768])
    .option('--trials <n>', 'repeats of the 11 depths per length', wholeNumber, 4)
    .option('--misses', 'print every miss on stderr')
    .option('--json', 'print one JSON object')
    .allowExcessArguments(false)
    .exitOverride()
    .parse()
    .opts<Options>();
}

async function measure(options: Options, device: Device, why: string): Promise<void> {
  const { lengths, trials, misses = false, json = false } = options;
  const say = (line: string): void => void (json || process.stdout.write(`${line}\n`));
  const report = (row: RecallRow): void =>
    say(
      `${row.suite.padEnd(18)} ${String(row.tokens).padStart(7)} tokens  ${row.hits}/${row.trials}  ${((100 * row.hits) / row.trials).toFixed(1)} %` +
        `  (95 %: ${(100 * row.interval[0]).toFixed(1)}-${(100 * row.interval[1]).toFixed(1)})  second look ${row.hitsTwice}/${row.trials}`,
    );

  const model = await openModel(options.model, device);
  say(`${model.id} on ${device.name}: ${why}`);
  const { cities } = JSON.parse(readFileSync(path.join(fixtures, 'haystack', 'cities.json'), 'utf8')) as { cities: string[] };
  const ofCity = (document: string, depth: number, random: () => number): NeedleTrial =>
    magicNumberTrial(document, cities[Math.floor(random() * cities.length)]!, depth, random);
  const needle = await recall(model, 'magic-number', lengths, trials, ofCity, report, misses);

  const templates = path.join(options.model, 'recipe', 'eval_templates.json');
  const families = existsSync(templates) ? loadHeldOutFamilies(templates) : [];
  const ofFamily = (document: string, depth: number, random: () => number): NeedleTrial =>
    heldOutTrial(document, families[Math.floor(random() * families.length)]!, depth, random);
  const heldOut = families.length === 0 ? [] : await recall(model, 'held-out phrasings', lengths, trials, ofFamily, report, misses);
  await model.close();

  const reportFile = path.join(fixtures, 'long-report.pdf');
  const reportRows = existsSync(reportFile) ? await questions(reportFile, fixtureReport(), options.model, device) : [];
  const mediaRows: DocumentRow[] = [];
  for (const { file, qa } of mediaQuestions()) mediaRows.push(...(await questions(file, qa, options.model, device)));
  if (json) {
    process.stdout.write(`${JSON.stringify({ model: model.id, device: device.description, needle, heldOut, report: reportRows, media: mediaRows })}\n`);
  } else {
    printDocumentRows('facts in the 20+ page report', reportRows);
    printDocumentRows('real documents', mediaRows);
  }
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
