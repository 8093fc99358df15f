/** Every suite by its name, made of the fixtures or of what the user gives. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { sourceName } from '../ingest/name.js';
import { embeddedModelDir, packageRoot } from '../paths.js';
import { absentSuite } from './absent.js';
import { babilongSuite } from './babilong.js';
import { countUnits, splitSentences } from './haystack.js';
import { heldOutSuite, type Family } from './heldout.js';
import { loadHotpotQa } from './hotpotqa.js';
import { injectionSuite } from './injection.js';
import { kamradtSuite } from './kamradt.js';
import { mrcrSuite } from './mrcr.js';
import { geminiSuite, multiAtOnceSuite, multiSuite, pdfSuite, type Prose } from './niah.js';
import { rulerSuite } from './ruler.js';
import { loadSquad, squadSuite, type Paragraph } from './squad.js';
import type { Suite, TokenCounter } from './trial.js';
import { secretWords } from './film.js';
import { videoSuite } from './video.js';

export const suiteNames = ['gemini', 'kamradt', 'heldout', 'absent', 'multi', 'multi-at-once', 'ruler', 'mrcr', 'babilong', 'pdf', 'injection', 'squad', 'video'] as const;
export type SuiteName = (typeof suiteNames)[number];

export interface SuiteSources {
  /** Text files to hide needles in. */
  readonly haystacks: readonly string[];
  /** JSON with a list "cities". */
  readonly cities: string;
  /** The recipe's eval_templates.json. */
  readonly templates: string;
  /** In the format of SQuAD 1.1. */
  readonly squad: string;
  /** In the format of HotpotQA's distractor setting. */
  readonly hotpotQa: string;
  /** Of the suite ruler, those that are asked (default: all). */
  readonly rulerTasks?: readonly string[];
  /** In a haystack that is too long to be read for every question. */
  readonly needlesPerHaystack?: number;
  /** Hidden at once, in the suites multi. */
  readonly multiNeedles?: number;
  /** To hide needles in, instead of `haystacks`. */
  readonly prose?: Prose;
  /** Of grids. */
  readonly depths?: readonly number[];
}

/** The files one after another, counted in sentences. Errors: LodestoneError(unreadableInput). */
export async function openProse(files: readonly string[], count: TokenCounter): Promise<Prose> {
  const text = files.map((file) => readText(file).trim()).join('\n\n');
  return makeProse(text, splitSentences(`${text}\n`), files, count);
}

/** @param files what it is called in an error. Errors: LodestoneError(unreadableInput). */
export async function makeProse(text: string, sentences: readonly string[], files: readonly string[], count: TokenCounter): Promise<Prose> {
  const units = await countUnits(sentences, count);
  if (!units.some(({ tokens }) => tokens > 0)) throw new LodestoneError(ExitCode.unreadableInput, `${files.map(sourceName).join(', ')}: no text for a haystack`);
  return { units, text };
}

/** Only what the suites asked for need is read. Errors: LodestoneError(unreadableInput). */
export async function openSuites(names: readonly SuiteName[], sources: SuiteSources, count: TokenCounter): Promise<Suite[]> {
  let prose: Prose | undefined;
  const inProse = async (): Promise<Prose> => (prose ??= sources.prose ?? (await openProse(sources.haystacks, count)));
  const cities = (): string[] => (JSON.parse(readText(sources.cities)) as { cities: string[] }).cities;
  const families = (): Family[] => (JSON.parse(readText(sources.templates)) as { families: Family[] }).families;
  const suites: Suite[] = [];
  const paragraphs = (): Paragraph[] => loadSquad(sources.squad);
  const { depths } = sources;
  for (const name of names) {
    switch (name) {
      case 'gemini':
        suites.push(geminiSuite(await inProse(), cities(), sources.needlesPerHaystack, depths));
        break;
      case 'kamradt':
        suites.push(kamradtSuite(await inProse(), depths));
        break;
      case 'heldout':
        suites.push(heldOutSuite(await inProse(), families(), depths));
        break;
      case 'absent':
        suites.push(absentSuite(await inProse(), cities(), families()));
        break;
      case 'multi':
        suites.push(multiSuite(await inProse(), cities(), sources.multiNeedles));
        break;
      case 'multi-at-once':
        suites.push(multiAtOnceSuite(await inProse(), cities(), sources.multiNeedles));
        break;
      case 'ruler':
        suites.push(rulerSuite({ prose: await inProse(), paragraphs: paragraphs(), hotpotQa: loadHotpotQa(sources.hotpotQa) }, sources.rulerTasks));
        break;
      case 'mrcr':
        suites.push(mrcrSuite(await inProse()));
        break;
      case 'babilong':
        suites.push(babilongSuite(await inProse()));
        break;
      case 'pdf':
        suites.push(pdfSuite(await inProse(), cities(), depths));
        break;
      case 'injection':
        suites.push(injectionSuite(await inProse(), cities(), depths));
        break;
      case 'video':
        suites.push(videoSuite(secretWords()));
        break;
      case 'squad':
        suites.push(squadSuite(paragraphs()));
        break;
    }
  }
  return suites;
}

/** The prose of the package, and its size in bytes. */
const proseFiles = [
  { file: 'essays_emerson.txt', bytes: 397_839 },
  { file: 'origin-of-species_darwin.txt', bytes: 1_196_230 },
] as const;
/** Of English prose, about so many go into a token. */
const BYTES_PER_TOKEN = 4;

/** As many of the package's texts as documents to this length need, so that none is repeated before all are used. */
export function packageHaystacks(longest: number): string[] {
  let bytes = 0;
  const files = proseFiles.filter((_, i) => {
    const needed = i === 0 || bytes < BYTES_PER_TOKEN * longest;
    bytes += proseFiles[i]!.bytes;
    return needed;
  });
  return files.map(({ file }) => path.join(packageRoot, 'fixtures', 'haystack', file));
}

/** What is in the repository. @param longest length of a document, in tokens */
export function fixtureSources(fixtures: string, modelDir: string, longest = 0): SuiteSources {
  const templatesOf = (dir: string): string => path.join(dir, 'recipe', 'eval_templates.json');
  return {
    haystacks: packageHaystacks(longest),
    cities: path.join(fixtures, 'haystack', 'cities.json'),
    // Held out of the training of that model, or of the embedded one where it has no recipe.
    templates: existsSync(templatesOf(modelDir)) ? templatesOf(modelDir) : templatesOf(embeddedModelDir),
    squad: path.join(fixtures, 'squad', 'dev-sample.json'),
    hotpotQa: path.join(fixtures, 'hotpotqa', 'dev-sample.json'),
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new LodestoneError(ExitCode.unreadableInput, `${file}: ${(cause as Error).message}`, { cause });
  }
}
