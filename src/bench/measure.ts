/** What the benchmark measures, one measurement a function. */
import { Context } from '../runtime/context.js';
import { argmax } from '../device/sampling.js';
import type { Device, WeightFormat } from '../device/device.js';
import { randomBlocks, type RandomModel } from './random-model.js';

export interface Speed {
  /** Tokens per second. */
  readonly prefill: number;
  readonly decode: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Token ids that spread over the vocabulary; the peer reads the same. */
export function benchTokens(count: number, vocabSize: number): number[] {
  return Array.from({ length: count }, (_, i) => 300 + ((i * 7919) % (vocabSize - 300)));
}

/** Reads `prompt` tokens and generates `generated` more, from an empty context. */
export async function modelSpeed(model: Pick<RandomModel, 'device' | 'config' | 'weights'>, prompt: number, generated: number): Promise<Speed> {
  const context = new Context(model);
  try {
    const tokens = benchTokens(prompt, model.config.vocabSize);
    const began = performance.now();
    let logits = await context.prefill(tokens);
    const read = performance.now();
    for (let i = 0; i < generated; i++) logits = await context.decode(argmax(logits));
    const done = performance.now();
    return { prefill: (prompt * 1000) / (read - began), decode: (generated * 1000) / (done - read) };
  } finally {
    context.close();
  }
}

/** Giga-operations (a multiply and an add are two) per second of out = W x, `rows` rows at a time. */
export async function matMulRate(device: Device, format: WeightFormat, rows: number, outputs = 2048, inputs = 1152): Promise<number> {
  const memory =
    format === 'q8_0' || format === 'q4_0'
      ? randomBlocks(format, outputs * inputs)
      : new Uint8Array(outputs * inputs * (format === 'f32' ? 4 : 2));
  const weight = await device.loadWeight({ label: 'random', format, outputs, inputs, data: { memory } });
  const x = device.createBuffer(rows * inputs * 4, 'x');
  const out = device.createBuffer(rows * outputs * 4, 'out');
  device.write({ buffer: x, offset: 0 }, Float32Array.from({ length: rows * inputs }, (_, i) => ((i * 2_654_435_761) % 2000) / 1000 - 1));
  const command = {
    op: 'matMul',
    x: { buffer: x, offset: 0 },
    rows,
    parts: [{ weight, out: { buffer: out, offset: 0 } }],
  } as const;
  const operations = 2 * rows * outputs * inputs;
  // Enough repetitions in one submit that its own cost does not count.
  const repetitions = Math.max(1, Math.round(4e9 / operations));
  const rates: number[] = [];
  for (let run = 0; run < 6; run++) {
    const began = performance.now();
    await device.submit(Array.from({ length: repetitions }, () => command));
    if (run > 0) rates.push((operations * repetitions) / (performance.now() - began) / 1e6);
  }
  device.destroyBuffer(x);
  device.destroyBuffer(out);
  return median(rates);
}
