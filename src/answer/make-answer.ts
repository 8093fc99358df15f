/** From readings to the answer that is given, with its places. */
import type { Device } from '../device/device.js';
import type { IngestedSource } from '../ingest/segment.js';
import { defaultKv } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';
import type { Answer, AskEvent, Plan, ReadingSummary } from './answer.js';
import { cite } from './citations.js';
import { asRead, unknownNames, type UnknownName } from './names.js';
import { lookAgain, looksAgain, type ReadRequest, type WholeReading } from './reading.js';
import type { Passage } from './passages.js';
import { chooseReading, type Reading } from './second-look.js';

export interface Chosen {
  readonly reading: Reading;
  /** Of passages. */
  readonly looks: readonly Reading[];
  readonly lookMs: number;
  readonly unknownNames: readonly UnknownName[];
}

/** Reads the most related passages again, where this model does that, and chooses. Emits look, token and warning events. */
export async function secondLook(
  model: Model,
  request: ReadRequest,
  sources: readonly IngestedSource[],
  whole: Reading,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<Chosen> {
  const started = performance.now();
  const twice = looksAgain(model, request);
  const names = twice || !whole.parsed.found ? unknownNames(request.question, sources, twice) : [];
  const question = asRead(request.question, names);
  const looks = twice ? await lookAgain(model, { ...request, question }, sources, signal, emit) : [];
  const lookMs = performance.now() - started;
  const reading = chooseReading(question, whole, looks);
  if (reading.parsed.found && question !== request.question) emit({ type: 'warning', message: readAsMessage(names) });
  if (twice && reading.parsed.found) emit({ type: 'token', text: reading.parsed.answer });
  if (reading.finish !== 'stop') emit({ type: 'warning', message: cutMessage(reading) });
  return { reading, looks, lookMs, unknownNames: names };
}

function readAsMessage(names: readonly UnknownName[]): string {
  return names.flatMap(({ name, nearest, read_as_nearest: taken }) => (taken ? [`"${name}" stands in no source; it was read as "${nearest}"`] : [])).join('; ');
}

export interface Answered {
  readonly request: ReadRequest;
  readonly sources: readonly IngestedSource[];
  readonly plan: Plan;
  /** Tokens before the answer. */
  readonly input: number;
  readonly device: Device;
  readonly model: Model;
  readonly sha256?: string;
  readonly whole: WholeReading;
  readonly chosen: Chosen;
  readonly ingestMs: number;
  readonly loadMs: number;
}

export function makeAnswer({ request, sources, plan, input, device, model, sha256, whole, chosen, ingestMs, loadMs }: Answered): Answer {
  const { parsed, confidence, finish, passage } = chosen.reading;
  const { reading, cached, positions, prefillMs, decodeMs } = whole;
  return {
    schema: 'lodestone.answer/1',
    question: request.question,
    answer: parsed.answer,
    found: parsed.found,
    confidence,
    // An answer read in a passage is cited there; one of the whole, wherever it stands.
    citations: parsed.found ? cite(request.question, parsed.needle, sources, passage ?? undefined, parsed.page) : [],
    ...(chosen.unknownNames.length === 0 ? {} : { unknown_names: chosen.unknownNames }),
    readings: [reading, ...chosen.looks].map(summariseReading),
    finish,
    model: { id: model.id, ...(sha256 === undefined ? {} : { sha256 }), quantization: model.quantization, kv: request.kv ?? defaultKv, context: model.config.maxPositions },
    device: { name: device.name, adapter: device.description },
    tokens: { input, cached, generated: reading.tokens, context: positions },
    truncated: false,
    timings: {
      ingest_ms: Math.round(ingestMs),
      load_ms: Math.round(loadMs),
      prefill_ms: Math.round(prefillMs),
      decode_ms: Math.round(decodeMs),
      prefill_tps: Math.round(((input - cached) / prefillMs) * 1e3),
      look_ms: Math.round(chosen.lookMs),
      decode_tps: Math.round((reading.tokens / decodeMs) * 1e3),
    },
    sources: plan.sources,
  };
}

export function cutMessage({ finish, tokens }: Pick<Reading, 'finish' | 'tokens'>): string {
  const remedy = finish === 'length' ? 'raise --max-tokens' : "the model's context is full";
  return `the answer was cut at ${tokens} ${tokens === 1 ? 'token' : 'tokens'}: ${remedy}`;
}

export function summariseReading({ parsed, confidence, passage }: Pick<Reading, 'parsed' | 'confidence'> & { readonly passage: Pick<Passage, 'segments' | 'relevance'> | null }): ReadingSummary {
  const first = passage?.segments[0];
  return {
    of: passage === null ? 'everything' : 'passage',
    ...(first?.page === undefined ? {} : { page: first.page }),
    ...(first?.line === undefined ? {} : { line: first.line }),
    ...(first?.time === undefined ? {} : { time: first.time[0] }),
    ...(passage === null ? {} : { relevance: passage.relevance }),
    answer: parsed.answer,
    confidence,
  };
}
