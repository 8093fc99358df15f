/**
 * What software drivers do not offer, as far as it can be tested without a GPU: the kernels for subgroups of 32 threads and for half
 * precision are compiled by Dawn's own compiler, on its adapter that computes nothing.
 */
import { expect, it } from 'vitest';
import type { Command, WeightFormat } from '../../../src/device/device.js';
import type { Dispatch } from '../../../src/device/webgpu/dispatch.js';
import { record } from '../../../src/device/webgpu/record.js';
import { shaderOf } from '../../../src/device/webgpu/shaders.js';
import { tiersOf } from '../../../src/device/webgpu/tier.js';
import { cache, layer, recorder, view } from './recording.js';

/** Dawn's instance must outlive its device. */
const gpu = await openNull();

async function openNull(): Promise<GPU | null> {
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    return create(['backend=null']);
  } catch (error) {
    console.warn(`SKIPPED: compiling the kernels for GPUs (${String((error as Error).message).split('\n', 1)[0]})`);
    return null;
  }
}

const formats: readonly WeightFormat[] = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q5_1', 'q4_k', 'q6_k'];

/** Kernels that are not a layer's. */
function others(): Command[] {
  const logits = view();
  const draw = (sampling: object): Command => ({ op: 'sample', logits, count: 262_144, sampling: { temperature: 1, ...sampling }, step: 0, out: view() });
  return [
    { op: 'layerNorm', x: view(), gain: view(), bias: view(), out: view(), rows: 3, width: 1152, eps: 1e-6 },
    { op: 'rmsNorm', x: view(), gain: view(), out: view(), rows: 3, width: 1152, eps: 1e-6 },
    draw({ temperature: 0 }),
    draw({ topK: 64, topP: 0.9, minP: 0.01 }),
  ];
}

it.skipIf(!gpu).each(tiersOf({ subgroups: [32, 32], features: ['shader-f16'] }))('Dawn compiles the kernels for a GPU: $name, $subgroup threads', async (tier) => {
  const adapter = await gpu!.requestAdapter();
  const device = await adapter!.requestDevice({ requiredFeatures: [...tier.features] });
  const half = { ...recorder, half: tier.half };
  const dispatches: Dispatch[] = record(others(), half);
  for (const format of formats) {
    for (const [rows, start, window, kv] of [[1, 16_000, 0, cache(false, 16_384, 1)], [3, 200, 512, cache(true, 1024, 1)], [130, 0, 0, cache(false, 1024, 1)]] as const) {
      dispatches.push(...record(layer(format, rows, start, window, kv), half));
    }
  }
  const codes = new Map(dispatches.map(({ kernel, constants }) => [shaderOf(kernel, { SUBGROUP: tier.subgroup, ...constants }, new Map()).code, kernel]));
  expect(new Set(codes.values()).size).toBeGreaterThanOrEqual(16);
  for (const [code, kernel] of codes) {
    device.pushErrorScope('validation');
    const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
    expect(messages.map(({ message, lineNum }) => `${message}: ${code.split('\n')[lineNum - 1]}`), kernel).toEqual([]);
    expect(await device.popErrorScope(), kernel).toBeNull();
    // Left of the loader's own lines.
    expect(code).not.toMatch(/^#/m);
    if (tier.subgroup === 0) expect(code).not.toMatch(/subgroup\w*\(|quad\w+\(/);
  }
  expect([...codes.keys()].some((code) => code.startsWith('enable subgroups;') && code.includes('subgroupShuffleXor'))).toBe(tier.subgroup > 0);
  expect([...codes.keys()].some((code) => code.includes('enable f16;') && code.includes('vec4<f16>'))).toBe(tier.half);
  device.destroy();
});
