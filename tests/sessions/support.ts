/** Documents of random tokens, read with a session on disk. */
import { join } from 'node:path';
import type { Prompt } from '../../src/encode/prompt.js';
import { PromptReader } from '../../src/answer/prompt-reader.js';
import { Context, type ContextOptions } from '../../src/runtime/context.js';
import type { ImageTokens } from '../../src/sessions/prefix.js';
import { Session } from '../../src/sessions/session.js';
import { someIds, type TestModel } from '../runtime/fixture.js';

export const never = new AbortController().signal;

/** A prompt of sources, each a list of segments, and a question. */
export function promptOf(sources: readonly (readonly (readonly number[])[])[], question: readonly number[]): Prompt {
  const segmentEnds: number[] = [];
  const sourceEnds: number[] = [];
  let at = 1;
  for (const segments of sources) {
    for (const segment of segments) segmentEnds.push((at += segment.length));
    sourceEnds.push(at);
  }
  const sourceTokens = sources.map((segments) => segments.flat().length);
  return { ids: Uint32Array.from([2, ...sources.flat(2), ...question]), sourceTokens, segmentEnds, sourceEnds };
}

/** A source of some segments of 20 tokens. */
export function someSource(seed: number, segments: number): number[][] {
  return Array.from({ length: segments }, (_, i) => someIds(20, 100 * seed + i));
}

export function sessionOf(folder: string, prompt: Prompt, more: { readonly bytes?: number; readonly environment?: string; readonly imageTokens?: ImageTokens } = {}): Promise<Session> {
  const { bytes = 2 ** 40, environment = 'e'.repeat(64), imageTokens = null } = more;
  const sources = prompt.sourceTokens.map((_, i) => `source-${i}`);
  return Session.open({ folder: join(folder, 'sessions'), environment, bytes, model: 'tiny', sources, imageTokens }, prompt);
}

export interface Outcome {
  readonly logits: Float32Array;
  readonly cached: number;
  readonly warnings: readonly string[];
}

/** Reads a prompt as `ask` does, with a new session and a new context. */
export async function readWith(folder: string, model: TestModel, prompt: Prompt, options: ContextOptions = {}, signal = never): Promise<Outcome> {
  const session = await sessionOf(folder, prompt);
  const warnings: string[] = [];
  try {
    const reader = await PromptReader.open(model, prompt, { ...options, session }, signal, (event) => {
      if (event.type === 'warning') warnings.push(event.message);
    });
    try {
      return { logits: await reader.read(), cached: reader.cached, warnings };
    } finally {
      reader.context.close();
    }
  } finally {
    await session.close();
  }
}

/** What a context gives that reads all of it at once. */
export async function readCold(model: TestModel, prompt: Prompt, options: ContextOptions = {}): Promise<Float32Array> {
  const context = new Context(model, options);
  try {
    return await context.prefill(prompt.ids);
  } finally {
    context.close();
  }
}
