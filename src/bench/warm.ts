/**
 * Asking again: how long `lodestone ask` takes over a PDF that it has never seen (cold), and over the same one with another
 * question, in a new process (warm). In turn, each cold run with an empty cache.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Answer, AskEvent } from '../answer/answer.js';
import { packageRoot } from '../paths.js';
import { writePdf } from '../recall/pdf-document.js';
import { median } from './measure.js';
import { writeRandomGguf } from './random-gguf.js';
import { tableModels } from './table.js';

/** Milliseconds of one run. */
export interface AskTimes {
  /** From the start of the process to its end. */
  readonly process: number;
  /** From the start of the process to the first word of the answer. */
  readonly firstToken: number;
  /** From where the sources are known to the model's first token: reading, or bringing back what was read. */
  readonly reading: number;
}

export interface Warm {
  readonly model: string;
  readonly tokens: number;
  /** Of the warm prompt, those that were there. */
  readonly cached: number;
  readonly runs: number;
  /** Medians. */
  readonly cold: AskTimes;
  readonly warm: AskTimes;
}

/** What gives about 32,768 tokens: words are pieces of the embedded model, the random ones know single bytes alone. */
const characters = { embedded: 118_500, random: 32_000 };
const questions = ['Who is the captain of the survey ship Petrel?', 'Which ship has a captain called Ines Okafor?'] as const;

/** @param name `embedded`, or one of `tableModels`, of which a file of random weights is written, and removed */
export async function measureWarm(name: string, runs: number, threads: number | undefined): Promise<Warm> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'lodestone-warm-'));
  try {
    const random = tableModels[name];
    const gguf = path.join(folder, `${name}.gguf`);
    if (random) await writeRandomGguf(gguf, random.shape, random.format);
    const pdf = path.join(folder, 'document.pdf');
    const essays = await readFile(path.join(packageRoot, 'fixtures', 'haystack', 'essays_emerson.txt'), 'utf8');
    const length = characters[random ? 'random' : 'embedded'];
    const text = essays.repeat(Math.ceil(length / essays.length)).slice(0, length);
    await writeFile(pdf, writePdf(`${text}\nThe captain of the survey ship Petrel is Ines Okafor.\n`));
    const options = [...(random ? ['-m', gguf, '--max-tokens', '1'] : []), ...(threads === undefined ? [] : ['--threads', String(threads)])];
    const home = path.join(folder, 'home');
    const times: { cold: AskTimes[]; warm: AskTimes[] } = { cold: [], warm: [] };
    let last: Answer;
    for (let run = 0; run < runs; run++) {
      await rm(home, { recursive: true, force: true });
      const cold = await ask([...options, questions[0], pdf], home);
      const warm = await ask([...options, questions[1], pdf], home);
      times.cold.push(cold.times);
      times.warm.push(warm.times);
      last = warm.answer;
    }
    const { input, cached } = last!.tokens;
    return { model: last!.model.id, tokens: input, cached, runs, cold: medians(times.cold), warm: medians(times.warm) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function medians(times: readonly AskTimes[]): AskTimes {
  const of = (what: keyof AskTimes): number => median(times.map((each) => each[what]));
  return { process: of('process'), firstToken: of('firstToken'), reading: of('reading') };
}

async function ask(args: readonly string[], home: string): Promise<{ readonly times: AskTimes; readonly answer: Answer }> {
  const began = performance.now();
  const env = { ...process.env, LODESTONE_HOME: home };
  const child = spawn(process.execPath, [path.join(packageRoot, 'bin', 'lodestone.js'), 'ask', '--jsonl', ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let firstToken: number | null = null;
  let answer: Answer | null = null;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line) as AskEvent;
    // An answer may have no words: "not found".
    if (event.type === 'token' || event.type === 'answer') firstToken ??= performance.now() - began;
    if (event.type === 'answer') ({ answer } = event);
  }
  await ended;
  if (!answer || firstToken === null) throw new Error(`lodestone ask ended with ${child.exitCode ?? child.signalCode}`);
  return { times: { process: performance.now() - began, firstToken, reading: answer.timings.prefill_ms }, answer };
}

export function warmText(device: string, { model, tokens, cached, runs, cold, warm }: Warm): string {
  const row = (what: string, of: keyof AskTimes): string =>
    `  ${what.padEnd(34)}${cold[of].toFixed(0).padStart(8)} ms${warm[of].toFixed(0).padStart(8)} ms${(cold[of] / warm[of]).toFixed(1).padStart(8)}x`;
  return `${[
    device,
    '',
    `${model}, a PDF of ${tokens} tokens; warm, ${cached} of them are there      (medians of ${runs})`,
    `  ${' '.repeat(34)}${'cold'.padStart(11)}${'warm'.padStart(11)}${'sooner'.padStart(9)}`,
    row('the whole program', 'process'),
    row('to the first word of the answer', 'firstToken'),
    row("reading, to the model's first token", 'reading'),
  ].join('\n')}\n`;
}
