import { expect, it } from 'vitest';
import { planExitCode } from '../../src/cli/plan.js';
import { parseTokens } from '../../src/cli/numbers.js';
import type { MemoryPlan } from '../../src/runtime/memory-plan.js';
import { lodestone } from './run.js';

it('plans a published size of which nothing is here', async () => {
  const { code, stdout, stderr } = await lodestone(['plan', '--size', '1b', '--context', '32K', '--kv', 'q8_0', '--quantize', 'q4_0', '--json']);
  const plan = JSON.parse(stdout) as MemoryPlan;
  expect([plan.schema, plan.context, plan.kv.global.format, plan.model.quantization]).toEqual(['lodestone.memory-plan/1', 32_768, 'q8_0', 'q4_0']);
  // 999,885,952 parameters, of which the gains stay f32.
  expect(plan.model.parameters).toBe(999_885_952);
  expect([code, stderr]).toEqual([plan.fits.memory ? 0 : 5, '']);
});

it('plans the embedded model, as text', async () => {
  const { code, stdout } = await lodestone(['plan', '--context', '32K']);
  expect(stdout).toMatch(/^lodestone-tiny: 4,453,828 parameters/);
  expect(stdout).toMatch(/\nKV, rings {4,}3\.1 MiB {2}5 local layers x 640 positions in f32\nKV, full {5,}16\.0 MiB {2}1 global layer x 32,768 positions in f16\n/);
  expect(stdout).not.toMatch(/reading it all/);
  expect(code).toBe(0);
});

it('exits with what does not fit', async () => {
  expect([planExitCode({ context: true, memory: true }), planExitCode({ context: true, memory: false }), planExitCode({ context: false, memory: false })]).toEqual([0, 5, 4]);
  expect((await lodestone(['plan', '--context', '32M'])).code).toBe(4);
});

it.each([
  [['--size', '9b'], /270m, 1b, 4b, 12b, 27b/],
  [['--size', '1b', '-m', 'x'], /cannot be used with/],
  [['--context', '32Q'], /number of tokens/],
  [['--context', '0'], /number of tokens/],
  [['--rate', '-1'], /positive number/],
] as const)('plan %j is a usage error', async (args, message) => {
  const { code, stdout, stderr } = await lodestone(['plan', ...args]);
  expect(stderr).toMatch(message);
  expect([code, stdout]).toEqual([2, '']);
});

it('reads numbers of tokens', () => {
  expect(['4096', '32K', '1m', '0', '', '1.5K', '-1', '9999999999999999K'].map(parseTokens)).toEqual([4096, 32_768, 1_048_576, 0, null, null, null, null]);
});
