import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { measureLong } from '../../src/bench/long.js';
import { median, modelSpeed } from '../../src/bench/measure.js';
import { writeRandomGguf } from '../../src/bench/random-gguf.js';
import { randomModel, type Shape } from '../../src/bench/random-model.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { selectDevice } from '../../src/device/select.js';
import { embeddedModelDir } from '../../src/paths.js';
import { kvBytes as kvBytesOf } from '../../src/runtime/kv.js';
import { openModel } from '../../src/runtime/model.js';

const shape: Shape = { name: 'small', layers: 6, hiddenSize: 32, intermediateSize: 64, heads: 2, kvHeads: 1, headDim: 32, vocabSize: 512, window: 8 };

it('measures a model of random weights', async () => {
  const model = await randomModel(createReferenceDevice(), shape, 'q4_0');
  const { prefill, decode } = await modelSpeed(model, 9, 3);
  expect(prefill).toBeGreaterThan(0);
  expect(decode).toBeGreaterThan(0);
  expect(model.config.layers.map(({ kind }) => kind)).toEqual(['local', 'local', 'local', 'local', 'local', 'global']);
});

it('writes a GGUF file whose tensors fill it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lodestone-bench-'));
  const path = join(folder, 'random.gguf');
  await writeRandomGguf(path, shape, 'q8_0');
  const bytes = readFileSync(path);
  rmSync(folder, { recursive: true });
  expect(bytes.toString('latin1', 0, 4)).toBe('GGUF');
  expect(bytes.readUInt32LE(4)).toBe(3);
  expect(bytes.readBigUInt64LE(8)).toBe(BigInt(2 + 13 * shape.layers));
  // The last tensor is a gain of ones, which starts on a multiple of 32 and is 32 floats long.
  expect(bytes.length % 32).toBe(0);
  expect([...new Float32Array(new Uint8Array(bytes.subarray(-128)).buffer)]).toEqual(Array.from({ length: 32 }, () => 1));
});

it('reads a long text, goes back and finds what it was asked for', async () => {
  const { device } = await selectDevice('auto');
  const model = await openModel(embeddedModelDir, device);
  const done: number[] = [];
  const { prefill, cpu, kvBytes, question } = await measureLong(model, 1200, 'q8_0', (read) => done.push(read));
  for (const part of ['all', 'head', 'tail'] as const) {
    expect(prefill[part]).toBeGreaterThan(0);
    expect(cpu[part]).toBeGreaterThan(0);
  }
  expect(done).toEqual([512, 1024, 1200]);
  expect(kvBytes).toBe(kvBytesOf(model.config, 1200 + question.tokens, 512, { local: 'f32', global: 'q8_0' }).total);
  expect(question.found).toBe(true);
  await device.close();
});

it('takes the median', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});

it.each([
  [['--help'], 0, /^Usage: npm run bench/],
  [['--model', '9b'], 2, /--model is 270m or 1b/],
  [['--runs', 'many'], 2, /--runs must be/],
  [['--nonsense'], 2, /nonsense/],
  [['--long', '1e3.5'], 2, /--long must be/],
  [['--agree'], 2, /--agree needs --peer DIR/],
  [['--agree', '--peer', '.', '--format', 'q6_k'], 2, /--format is f32, bf16, f16, q8_0, q4_0, not "q6_k"/],
  [['--kv', 'q4'], 2, /--kv is f32, f16, q8_0, not "q4"/],
] as const)('bench %j exits with %i', (args, status, text) => {
  const script = fileURLToPath(new URL('../../src/cli/bench.ts', import.meta.url));
  const result = spawnSync(process.execPath, ['--import', 'tsx', script, ...args], { encoding: 'utf8' });
  expect(result.status).toBe(status);
  expect(status === 0 ? result.stdout : result.stderr).toMatch(text);
});
