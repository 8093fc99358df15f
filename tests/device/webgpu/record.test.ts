/** Commands as dispatches: how many, on how many workgroups. No adapter is needed. */
import { expect, it } from 'vitest';
import type { Command, MatMulCommand, View } from '../../../src/device/device.js';
import { bindsAlike, type Dispatch } from '../../../src/device/webgpu/dispatch.js';
import { record } from '../../../src/device/webgpu/record.js';
import { shaderOf } from '../../../src/device/webgpu/shaders.js';
import { cache, layer, recorder, view, weight } from './recording.js';

const kernels = (dispatches: readonly Dispatch[]): string[] => dispatches.map(({ kernel }) => kernel);
const recorded = (commands: readonly Command[]): Dispatch[] => record(commands, recorder);

it.each(['bf16', 'q8_0', 'q4_0', 'q4_k', 'q6_k'] as const)('decodes a token in nine dispatches a layer, and one more where many keys are shared out: %s', (format) => {
  const product = format === 'bf16' ? 'mat_vec' : 'mat_vec_q8';
  const first: Command = { op: 'rmsNorm', x: view(), gain: view(), out: view(), rows: 1, width: 1152, eps: 1e-6 };
  // A layer's input is normalised, and quantised, by the one below it.
  const below = (commands: Command[]): Command[] => [{ ...first, out: (commands[0] as MatMulCommand).x }, ...commands];
  expect(kernels(recorded(below(layer(format, 1, 200, 512, cache(true, 1024, 1)))))).toEqual(
    ['rms_norm', product, 'store_kv', 'attention', product, 'add_norm', product, 'ge_glu', product, 'add_norm'],
  );
  const long = recorded(below(layer(format, 1, 16_000, 0, cache(false, 16_384, 1)))).slice(1);
  expect(kernels(long).filter((kernel) => kernel.startsWith('attention'))).toEqual(['attention', 'attention_merge']);
  expect(long).toHaveLength(10);
  // 16,001 keys in partitions of 512.
  expect(long[2]!.groups).toEqual([1, 1, 32]);
});

it('computes one matrix a dispatch for many rows, in tiles, and quantises x once for all parts', () => {
  const dispatches = recorded(layer('q8_0', 130, 0, 0, cache(false, 1024, 1)));
  expect(kernels(dispatches).slice(0, 4)).toEqual(['quantize_rows', 'mat_mul_q8', 'mat_mul_q8', 'mat_mul_q8']);
  expect(dispatches[1]!.groups).toEqual([16, 3, 1]);
});

it('keeps within 65,535 workgroups in a dimension, and goes through shards of a matrix by threes', () => {
  const head: Command = { op: 'matMul', x: view(), rows: 1, parts: [{ weight: weight('bf16', 1_048_576, 64, 4), out: view() }] };
  const dispatches = recorded([head]);
  expect(dispatches).toHaveLength(2);
  expect(dispatches[0]!.groups).toEqual([65_535, 2, 1]);
  expect(dispatches[0]!.bind['out1']!.offset).toBe(262_144 * 4);
});

it('sees that the lists of one token after another bind alike, and where they do not', () => {
  const [x, out] = [view(), view()];
  const w = weight('bf16', 64, 64);
  const product = (rows: number, to: View): Command => ({ op: 'matMul', x, rows, parts: [{ weight: w, out: to }] });
  const [first, moved, other, more] = [product(1, out), product(1, { ...out, offset: 256 }), product(1, view()), product(3, out)].map((command) => recorded([command]).at(-1)!) as [Dispatch, Dispatch, Dispatch, Dispatch];
  expect(bindsAlike(first, moved)).toBe(true);
  // Another buffer, and another variant of the kernel.
  expect([bindsAlike(first, { ...other, bind: { ...other.bind, x: first.bind['x']! } }), bindsAlike(first, { ...more, bind: first.bind })]).toEqual([false, false]);
});

it('reads bindings and parameters from the kernel, and gives two names to one buffer', () => {
  const { bindings, params, code } = shaderOf('ge_glu', {}, new Map([['out', 'gate']]));
  expect(bindings).toEqual([
    { name: 'gate', number: 1, access: 'read_write' },
    { name: 'up', number: 2, access: 'read' },
    { name: 'quants', number: 4, access: 'read_write' },
  ]);
  expect(params.map(({ name }) => name)).toEqual(['count', 'scales', 'gate_at', 'up_at', 'out_at']);
  expect(code).toContain('gate[p.out_at + i] = gelu_tanh(gate[p.gate_at + i])');
});
