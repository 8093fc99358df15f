/** Which variant of the kernels an adapter gets. No adapter is needed. */
import { afterEach, expect, it } from 'vitest';
import { ExitCode } from '../../../src/errors.js';
import { chooseTier, tiersOf, type Offer } from '../../../src/device/webgpu/tier.js';

const saved = process.env['LODESTONE_GPU_TIER'];
afterEach(() => {
  if (saved === undefined) delete process.env['LODESTONE_GPU_TIER'];
  else process.env['LODESTONE_GPU_TIER'] = saved;
});

const all: Offer = { subgroups: [32, 32], features: ['shader-f16', 'subgroups'] };
const halfOnly: Offer = { subgroups: null, features: ['shader-f16'] };

it.each([
  ['subgroups of one size', all, 32],
  ['of several sizes: those that are sure', { ...all, subgroups: [8, 32] }, 8],
  ['larger than sums are wide', { ...all, subgroups: [64, 128] }, 32],
  ['none', halfOnly, 0],
  ['a size that no subgroup has', { ...all, subgroups: [0, 0] }, 0],
] as const)('threads that are side by side: %s', (_, offer, subgroup) => {
  delete process.env['LODESTONE_GPU_TIER'];
  expect(chooseTier(offer)).toMatchObject({ name: subgroup ? 'subgroups' : 'plain', subgroup, half: false });
  expect(tiersOf(offer).at(-1)).toMatchObject({ name: 'f16', subgroup, half: true });
});

it('takes the tier that is asked for, and what comes before it where it is not offered', () => {
  delete process.env['LODESTONE_GPU_TIER'];
  expect(chooseTier(all, 'plain')).toMatchObject({ name: 'plain', features: [] });
  expect(chooseTier(all, 'f16')).toMatchObject({ name: 'f16', features: ['subgroups', 'shader-f16'] });
  expect(chooseTier({ ...all, features: [] }, 'f16').name).toBe('subgroups');
  expect(chooseTier({ subgroups: null, features: [] }, 'f16').name).toBe('plain');
  expect(chooseTier(halfOnly, 'f16').features).toEqual(['shader-f16']);
});

it('asks LODESTONE_GPU_TIER, unless told otherwise', () => {
  process.env['LODESTONE_GPU_TIER'] = 'f16';
  expect([chooseTier(all).name, chooseTier(all, 'plain').name]).toEqual(['f16', 'plain']);
  process.env['LODESTONE_GPU_TIER'] = 'tensor';
  expect(() => chooseTier(all)).toThrow(expect.objectContaining({ exitCode: ExitCode.usage, message: 'LODESTONE_GPU_TIER is "tensor", but the tiers are: plain, subgroups, f16' }) as Error);
});
