/**
 * Reads leaves with a model. An extractive model reads their most related passages, each alone, as its second look does. A chat model reads
 * leaf after leaf in one context, and answers from all that it has read so far.
 */
import { fold } from '../answer/fold.js';
import { answerEach, type ReadRequest } from '../answer/reading.js';
import type { Reading } from '../answer/second-look.js';
import { encodeDocuments, encodeQuestion } from '../encode/prompt.js';
import type { IngestedSource, Segment } from '../ingest/segment.js';
import { defaultKv } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';
import { SharedPrefix } from '../runtime/shared-prefix.js';
import { chatCost, extractiveCost, type CostOf } from './costs.js';
import type { LeafTexts } from './leaves.js';
import { PassageReader } from './passage-reader.js';
import { passagesOf, spanText, type Level, type PassageReading, type ReadingState } from './reading-state.js';

/** A passage's reading, with all that an answer is made of. */
export interface RealReading extends PassageReading {
  readonly result: Omit<Reading, 'passage'>;
  /** What was read for it, with its places. */
  readonly piece: readonly Segment[];
  /** All that the answer may be taken from: of a chat model, all that it has read. */
  readonly segments: readonly Segment[];
}

export interface LeafReader {
  readonly costOf: CostOf;
  /** Reads a leaf (with `inspect`, its neighbours too), as far as the state's budget reaches. Errors: those of the model; the signal's reason. */
  read(state: ReadingState, leaf: number, level: Level, signal: AbortSignal): Promise<RealReading[]>;
  close(): void;
}

export function leafReader(model: Model, request: ReadRequest, texts: LeafTexts, sources: readonly IngestedSource[]): LeafReader {
  return model.config.prompt === 'qa' ? extractiveReader(model, request, texts) : chatReader(model, request, texts, sources);
}

/** The text of the leaves that a level reads, and where it begins in its source. */
function spanOf(texts: LeafTexts, state: ReadingState, leaf: number, level: Level): { readonly source: number; readonly from: number; readonly text: string } {
  const span = state.span(leaf, level);
  const { source, from } = texts.leaves[span[0]]!;
  return { source, from, text: spanText(texts, span) };
}

function toReading(result: RealReading['result'], rest: Pick<RealReading, 'text' | 'tokens' | 'piece' | 'segments'>): RealReading {
  const { parsed, confidence } = result;
  return { ...rest, found: parsed.found, answer: parsed.found ? fold(parsed.answer).text : '', confidence, result };
}

function extractiveReader(model: Model, request: ReadRequest, texts: LeafTexts): LeafReader {
  const reader = new PassageReader(model, request);
  return {
    costOf: extractiveCost(request.question),
    async read(state, leaf, level, signal) {
      const { source, from, text } = spanOf(texts, state, leaf, level);
      const readings: RealReading[] = [];
      let left = state.remaining;
      for (const passage of passagesOf(level, text, state.weights)) {
        const result = await reader.read(passage.segments, state.lead, signal, left);
        if (result === null) break;
        left -= result.read;
        const shown = passage.segments.map((segment) => segment.text).join('');
        // Without the cut words at its ends, which were not read either.
        const start = from + text.indexOf(shown, passage.from);
        const piece = texts.segments(source, start, start + shown.length);
        readings.push(toReading(result.reading, { text: shown, tokens: result.read, piece, segments: piece }));
      }
      return readings;
    },
    close: () => undefined,
  };
}

function chatReader(model: Model, request: ReadRequest, texts: LeafTexts, sources: readonly IngestedSource[]): LeafReader {
  const prefix = new SharedPrefix(model, { chunk: request.chunk, kv: request.kv ?? defaultKv });
  // In the order of reading.
  let documents: readonly IngestedSource[] = [];
  let question: Promise<Uint32Array> | null = null;
  return {
    costOf: chatCost(request.question),
    async read(state, leaf, level, signal) {
      const { source, from, text } = spanOf(texts, state, leaf, level);
      const [start, end] = level === 'skim' ? skimmed(text, state) : [0, text.length];
      const segments = texts.segments(source, from + start, from + end);
      question ??= encodeQuestion(model.config.prompt, request.question, model.tokenizer);
      const more = [...documents, { ...sources[source]!, segments }];
      const prompt = await encodeDocuments(model.config.prompt, more, model.tokenizer, signal);
      const asked = await question;
      if (prompt.ids.length - prefix.reusable(prompt.ids) + asked.length > state.remaining) return [];
      documents = more;
      const { readings, tokensRead } = await answerEach(model, request, prompt, [asked], prefix, signal, () => undefined);
      return [toReading(readings[0]!, { text: text.slice(start, end), tokens: tokensRead, piece: segments, segments: documents.flatMap((document) => document.segments) })];
    },
    close: () => prefix.close(),
  };
}

function skimmed(text: string, { weights }: ReadingState): readonly [number, number] {
  const { from, to } = passagesOf('skim', text, weights)[0]!;
  return [from, to];
}
