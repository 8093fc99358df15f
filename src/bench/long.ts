/** Reading a very long text with the embedded model, and asking one question of it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { KvFormat } from '../device/device.js';
import { packageRoot } from '../paths.js';
import { Context } from '../runtime/context.js';
import { generate } from '../runtime/generate.js';
import { defaultKv } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';

export interface LongReading {
  readonly tokens: number;
  readonly kv: KvFormat;
  /** Tokens per second: over all, over the first `headTokens`, and over the last tenth. */
  readonly prefill: { readonly all: number; readonly head: number; readonly tail: number };
  /** Processor time per token in microseconds, of the same parts: what neighbours on the machine change least. */
  readonly cpu: { readonly all: number; readonly head: number; readonly tail: number };
  readonly kvBytes: number;
  /** The most memory that the process has held, bytes. */
  readonly peakRss: number;
  readonly markBytes: number;
  /** One question, from going back to the mark to the end of its answer. */
  readonly question: { readonly ms: number; readonly tokens: number; readonly answer: string; readonly expected: string; readonly found: boolean };
}

/** Milliseconds and processor microseconds, both from some beginning, when `done` tokens were read. */
interface Moment {
  readonly done: number;
  readonly at: number;
  readonly cpu: number;
}

/** What the first part is that the last one is compared with. */
export const headTokens = 32_768;

const needle = { city: 'Karachi', number: '4915827' };

/**
 * Reads `tokens` tokens: Emerson's essays over and over, with a needle a tenth from the start. The model's own limit of
 * positions is lifted where it is lower: without rotation in its global layer nothing depends on it.
 */
export async function measureLong(model: Model, tokens: number, kv: KvFormat, onProgress?: (done: number) => void): Promise<LongReading> {
  const { tokenizer } = model;
  const question = [
    tokenizer.controlId('<question>'),
    ...(await tokenizer.encodeText(`What is the special magic ${needle.city} number?`)),
    tokenizer.controlId('<answer>'),
  ];
  const longestAnswer = 32;
  const positions = tokens + question.length + longestAnswer;
  const config = { ...model.config, maxPositions: Math.max(model.config.maxPositions, positions) };
  const context = new Context({ ...model, config }, { positions, kv: { ...defaultKv, global: kv } });
  try {
    const ids = await longText(model, tokens);
    const clock = (done: number): Moment => {
      const { user, system } = process.cpuUsage();
      return { done, at: performance.now(), cpu: user + system };
    };
    const begin = clock(0);
    const times: Moment[] = [];
    await context.prefill(ids, {
      logits: false,
      onProgress: (done) => {
        times.push(clock(done));
        onProgress?.(done);
      },
    });
    const end = times.at(-1)!;
    const head = times.find(({ done }) => done >= Math.min(headTokens, tokens))!;
    const tail = times.find(({ done }) => done >= 0.9 * tokens && done < tokens) ?? begin;
    const rate = (from: Moment, to: Moment): number => ((to.done - from.done) * 1e3) / (to.at - from.at);
    const cpu = (from: Moment, to: Moment): number => (to.cpu - from.cpu) / (to.done - from.done);
    const mark = await context.mark();

    const asked = performance.now();
    context.rewind(mark);
    const logits = await context.prefill(question);
    const answer: number[] = [];
    for await (const { id } of generate(context, logits, { stop: config.eosIds, maxTokens: longestAnswer })) answer.push(id);
    const ms = performance.now() - asked;
    const text = await tokenizer.decode(answer);
    return {
      tokens,
      kv,
      prefill: { all: rate(begin, end), head: rate(begin, head), tail: rate(tail, end) },
      cpu: { all: cpu(begin, end), head: cpu(begin, head), tail: cpu(tail, end) },
      kvBytes: context.kvBytes,
      peakRss: process.resourceUsage().maxRSS * 1024,
      markBytes: mark.bytes,
      question: { ms, tokens: question.length + answer.length, answer: text, expected: needle.number, found: text.includes(needle.number) },
    };
  } finally {
    context.close();
  }
}

async function longText({ tokenizer }: Model, tokens: number): Promise<Uint32Array> {
  const essays = await readFile(path.join(packageRoot, 'fixtures', 'haystack', 'essays_emerson.txt'), 'utf8');
  const hay = await tokenizer.encodeText(essays);
  const pin = await tokenizer.encodeText(` The special magic ${needle.city} number is: ${needle.number}.`);
  const ids = Uint32Array.from({ length: tokens }, (_, i) => hay[i % hay.length]!);
  ids[0] = tokenizer.controlId('<bos>');
  ids.set(pin, Math.floor(tokens / 10));
  return ids;
}
