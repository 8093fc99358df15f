/** `npm run hearing`: how well a speech model understands clips whose words are known, and how fast, through `transcribe`'s own code. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { wordErrorRate, wordErrors, type WordErrors } from '../bench/word-errors.js';
import { selectDevice } from '../device/select.js';
import type { IngestedSource } from '../ingest/segment.js';
import { speechClips } from '../recall/plan.js';
import { hearWith } from '../recall/hear.js';
import { openSpeechClips, Speaker } from '../recall/speech-clips.js';
import { throughSpeech, type Hearing } from '../recall/spoken-document.js';
import { requireSpeech } from '../speech/choose.js';
import { namedSpeech } from '../speech/named.js';
import { Transcriber } from '../speech/transcriber.js';

interface Options {
  readonly speech?: string;
  readonly match?: string;
  readonly misses?: boolean;
  readonly threads: number;
  readonly json?: boolean;
}

interface Row {
  readonly set: string;
  readonly clips: number;
  readonly words: number;
  readonly word_error_rate: number;
  /** Seconds of sound by seconds of hearing. */
  readonly times_real_time: number;
}

interface Heard extends WordErrors {
  readonly seconds: number;
  readonly tookMs: number;
}

/** A line of a manifest: a file beside it, and what is said in it. */
interface ManifestClip {
  readonly file: string;
  readonly transcript: string;
  readonly seconds: number;
}

function rowOf(set: string, heard: readonly Heard[]): Row {
  const sum = (value: (one: Heard) => number): number => heard.reduce((total, one) => total + value(one), 0);
  return { set, clips: heard.length, words: sum(({ words }) => words), word_error_rate: wordErrorRate(heard), times_real_time: sum(({ seconds }) => seconds) / (sum(({ tookMs }) => tookMs) / 1e3) };
}

/** Hears, and takes the time. */
class Listener {
  #tookMs = 0;

  constructor(private readonly hear: Hearing['hear']) {}

  async text(listen: (hear: Hearing['hear']) => Promise<IngestedSource>): Promise<{ text: string; tookMs: number }> {
    const { segments } = await listen(async (file, signal) => {
      const started = performance.now();
      const source = await this.hear(file, signal);
      this.#tookMs = performance.now() - started;
      return source;
    });
    return { text: segments.map((segment) => segment.text).join(' '), tookMs: this.#tookMs };
  }
}

async function measure(hear: Hearing['hear'], manifests: readonly string[], { match = '', misses = false }: Options): Promise<Row[]> {
  const listener = new Listener(hear);
  const compare = async (name: string, said: string, seconds: number, listen: (hear: Hearing['hear']) => Promise<IngestedSource>): Promise<Heard> => {
    const { text, tookMs } = await listener.text(listen);
    const errors = wordErrors(said, text);
    if (misses && errors.errors > 0) process.stderr.write(`${name}\n  said  ${said}\n  heard ${text.trim()}\n`);
    return { ...errors, seconds, tookMs };
  };
  const rows: Row[] = [];
  const packaged = openSpeechClips(speechClips);
  for (const engine of ['espeak', 'flite']) {
    // One recording of all sentences by these voices: what is measured includes the cutting into windows.
    const clips = [...packaged.haystack, ...packaged.needles].filter(({ voice }) => voice.startsWith(`${engine}:`));
    const texts = clips.map(({ text }) => text);
    const seconds = clips.reduce((sum, { from, to }) => sum + to - from, 0);
    const heard = await compare(engine, texts.join(' '), seconds, async (listen) => (await throughSpeech(texts, { speaker: new Speaker(packaged), hear: listen })).source);
    rows.push({ ...rowOf(`${engine}, voices and sentences that training never heard`, [heard]), clips: clips.length });
  }
  for (const manifest of manifests) {
    const clips = readFileSync(manifest, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as ManifestClip);
    const groups = new Map<string, Heard[]>();
    for (const { file, transcript, seconds } of clips.filter((clip) => new RegExp(match, 'u').test(clip.file))) {
      const heard = await compare(file, transcript, seconds, (listen) => listen(path.join(path.dirname(manifest), file)));
      groups.set(path.dirname(file), [...(groups.get(path.dirname(file)) ?? []), heard]);
    }
    for (const [group, heard] of groups) rows.push(rowOf(group, heard));
  }
  return rows;
}

async function main(): Promise<void> {
  const command = new Command('hearing')
    .description('Word error rate and speed of a speech model: on the clips of the needle suite audio, and on those of manifests (JSON lines with file, transcript, seconds).')
    .argument('[manifest...]')
    .option('--speech <dir>', 'as in ask', namedSpeech())
    .option('--match <expression>', 'only files of the manifests whose name matches')
    .option('--threads <n>', 'of the cpu device', Number, 1)
    .option('--misses', 'print on stderr what was misheard')
    .option('--json', 'print one JSON object')
    .parse();
  const options = command.opts<Options>();
  const speech = await requireSpeech(options.speech);
  const { device } = await selectDevice('auto', { threads: options.threads });
  const transcriber = await Transcriber.open(speech, device, { keep: null });
  try {
    const rows = await measure(hearWith(transcriber), command.args, options);
    if (options.json === true) process.stdout.write(`${JSON.stringify({ schema: 'lodestone.hearing/1', speech, device: device.description, threads: options.threads, rows })}\n`);
    else for (const { set, clips, words, word_error_rate: rate, times_real_time: times } of rows) process.stdout.write(`${set}: ${clips} clips, ${words} words, word errors ${(100 * rate).toFixed(1)} %, ${times.toFixed(1)} times real time\n`);
  } finally {
    await transcriber.close();
    await device.close();
  }
}

await main();
