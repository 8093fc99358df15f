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
  close(): void;
}

type Request = { readonly prompt: number; readonly generated: number };
type Reply = Speed | { readonly ready: true } | { readonly error: string };

/** @param folder where node-llama-cpp is installed. Rejects with an error for people where it does not start. */
export async function startPeer(folder: string, gguf: string, threads: number, vocabSize: number): Promise<Peer> {
  const child = fork(fileURLToPath(import.meta.url), [folder, gguf, String(threads), String(vocabSize)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
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
    close: () => void child.kill(),
  };
}

async function reply(child: ChildProcess): Promise<Speed | { readonly ready: true }> {
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

/** What we use of node-llama-cpp. */
interface Sequence {
  clearHistory(): Promise<void>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
  evaluate(tokens: number[], options: { temperature: number }): AsyncIterable<number>;
}
interface LlamaModule {
  getLlama(options: { gpu: false; build: 'never'; maxThreads: number; logLevel: string }): Promise<{
    loadModel(options: { modelPath: string }): Promise<{
      createContext(options: { contextSize: number; batchSize: number; threads: number; flashAttention: boolean }): Promise<{ getSequence(): Sequence }>;
    }>;
  }>;
}

async function serve(folder: string, gguf: string, threads: number, vocabSize: number): Promise<void> {
  const entry = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp');
  const module = (await import(pathToFileURL(entry).href)) as LlamaModule;
  const llama = await module.getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: gguf });
  const context = await model.createContext({ contextSize: 1024, batchSize: 512, threads, flashAttention: true });
  const sequence = context.getSequence();
  process.on('message', ({ prompt, generated }: Request) => {
    measure(sequence, benchTokens(prompt, vocabSize), generated).then(send, fail);
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

function send(reply: Reply): void {
  process.send?.(reply);
}

function fail(error: unknown): void {
  send({ error: error instanceof Error ? error.message.split('\n', 1)[0]! : String(error) });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, gguf, threads, vocabSize] = process.argv.slice(2);
  serve(folder!, gguf!, Number(threads), Number(vocabSize)).catch(fail);
}
