/**
 * The peer of the benchmark, llama.cpp through node-llama-cpp, in a process of its own: it is installed in a folder
 * that the user names and is no dependency of ours. `startPeer` starts it; run as a script, this file is that process.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { benchTokens, type Speed } from './measure.js';

export interface Peer {
  /** One run on an empty context. */
  run(prompt: number, generated: number): Promise<Speed>;
  /** Reads tokens into an empty context: the logits [vocabSize] after each. */
  logits(tokens: readonly number[]): Promise<Float32Array[]>;
  close(): void;
}

export interface PeerOptions {
  /** Default 1024. */
  readonly contextSize?: number;
  /** How the peer stores keys and values; f32 without its flash attention, which has none of that. Default f16. */
  readonly kv?: 'f32' | 'f16';
}

type Request = { readonly prompt: number; readonly generated: number } | { readonly tokens: readonly number[] };
type Answer = Speed | { readonly ready: true } | { readonly logits: Float32Array[] };
type Reply = Answer | { readonly error: string };

/** @param folder where node-llama-cpp is installed. Rejects with an error for people where it does not start. */
export async function startPeer(folder: string, gguf: string, threads: number, vocabSize: number, options: PeerOptions = {}): Promise<Peer> {
  const child = fork(fileURLToPath(import.meta.url), [folder, gguf, String(threads), String(vocabSize), JSON.stringify(options)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  const first = await reply(child);
  if (!('ready' in first)) throw new Error('the peer did not start');
  return {
    async run(prompt, generated) {
      child.send({ prompt, generated } satisfies Request);
      const speed = await reply(child);
      if (!('prefill' in speed)) throw new Error('the peer gave no speed');
      return speed;
    },
    async logits(tokens) {
      child.send({ tokens } satisfies Request);
      const answer = await reply(child);
      if (!('logits' in answer)) throw new Error('the peer gave no logits');
      return answer.logits;
    },
    close: () => void child.kill(),
  };
}

async function reply(child: ChildProcess): Promise<Answer> {
  const gone = new AbortController();
  try {
    const [message] = (await Promise.race([
      once(child, 'message', { signal: gone.signal }),
      once(child, 'exit', { signal: gone.signal }).then(() => [{ error: 'its process ended' }]),
    ])) as [Reply];
    if ('error' in message) throw new Error(`the peer failed: ${message.error}`);
    return message;
  } finally {
    gone.abort();
  }
}

/** Its sampler sees the logits first: what it would cut by default must stay. */
interface LogitOptions {
  readonly temperature: number;
  readonly minP: number;
  readonly topK: number;
  readonly topP: number;
}
const untouched: LogitOptions = { temperature: 1, minP: 0, topK: 0, topP: 1 };

/** What we use of node-llama-cpp. */
interface Sequence {
  clearHistory(): Promise<void>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
  controlledEvaluate(tokens: [number, { generateNext: { logits: true; options: LogitOptions } }][]): Promise<{ next: { logits?: Map<number, number> } }[]>;
  evaluate(tokens: number[], options: { temperature: number }): AsyncIterable<number>;
}
interface LlamaModule {
  getLlama(options: { gpu: false; build: 'never'; maxThreads: number; logLevel: string }): Promise<{
    loadModel(options: { modelPath: string }): Promise<{
      createContext(options: {
        contextSize: number;
        batchSize: number;
        threads: number;
        flashAttention: boolean;
        experimentalKvCacheKeyType?: 'F32';
        experimentalKvCacheValueType?: 'F32';
      }): Promise<{ getSequence(): Sequence }>;
    }>;
  }>;
}

async function serve(folder: string, gguf: string, threads: number, vocabSize: number, { contextSize = 1024, kv = 'f16' }: PeerOptions): Promise<void> {
  const entry = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp');
  const module = (await import(pathToFileURL(entry).href)) as LlamaModule;
  const llama = await module.getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: gguf });
  const context = await model.createContext({
    contextSize,
    batchSize: 512,
    threads,
    flashAttention: kv !== 'f32',
    ...(kv === 'f32' ? { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' } : {}),
  });
  const sequence = context.getSequence();
  process.on('message', (request: Request) => {
    if ('tokens' in request) readLogits(sequence, request.tokens, vocabSize).then((logits) => send({ logits }), fail);
    else measure(sequence, benchTokens(request.prompt, vocabSize), request.generated).then(send, fail);
  });
  send({ ready: true });
}

async function measure(sequence: Sequence, tokens: number[], generated: number): Promise<Speed> {
  await sequence.clearHistory();
  const began = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(tokens);
  const read = performance.now();
  let count = 0;
  for await (const _ of sequence.evaluate([500], { temperature: 0 })) {
    if (++count >= generated) break;
  }
  const done = performance.now();
  return { prefill: (tokens.length * 1000) / (read - began), decode: (count * 1000) / (done - read) };
}

/** Positions at a time: the binding's maps of all logits take far more memory than the logits. */
const mapsAtATime = 64;

async function readLogits(sequence: Sequence, tokens: readonly number[], vocabSize: number): Promise<Float32Array[]> {
  await sequence.clearHistory();
  const out: Float32Array[] = [];
  for (let from = 0; from < tokens.length; from += mapsAtATime) {
    const part = tokens.slice(from, from + mapsAtATime);
    const results = await sequence.controlledEvaluate(part.map((token) => [token, { generateNext: { logits: true, options: untouched } }]));
    for (const { next } of results) {
      if (next.logits?.size !== vocabSize) throw new Error(`${next.logits?.size ?? 0} logits of ${vocabSize}`);
      const logits = new Float32Array(vocabSize);
      for (const [id, logit] of next.logits) logits[id] = logit;
      out.push(logits);
    }
  }
  return out;
}

function send(reply: Reply): void {
  process.send?.(reply);
}

function fail(error: unknown): void {
  send({ error: error instanceof Error ? error.message.split('\n', 1)[0]! : String(error) });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, gguf, threads, vocabSize, options] = process.argv.slice(2);
  serve(folder!, gguf!, Number(threads), Number(vocabSize), JSON.parse(options!) as PeerOptions).catch(fail);
}
