/** Which suites are asked at which lengths: presets, names, films beside texts, and models that hold little. */
import { describe, expect, it } from 'vitest';
import { embeddedModelDir } from '../../src/paths.js';
import { planNeedle, type PlanRequest } from '../../src/recall/plan.js';
import { standIn } from './stand-in.js';

const seeing = standIn(() => '').answerer;
const { watch: _, ...blind } = seeing;

async function lengthsOf(request: Partial<PlanRequest>, context = 2 ** 24, answerer: Omit<typeof seeing, 'watch'> = seeing) {
  const plan = await planNeedle({ preset: 'full', needles: 10, modelDir: embeddedModelDir, signal: new AbortController().signal, ...request }, { id: 'm', context }, answerer);
  return { of: Object.fromEntries(plan.suites.map(({ suite, lengths }) => [suite.name, lengths])), warnings: plan.warnings };
}

describe('lengths', () => {
  it('of a preset: those that the suite has room in', async () => {
    const { of } = await lengthsOf({});
    expect(Object.keys(of)).toHaveLength(11);
    expect(of['gemini']).toEqual([1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072]);
    expect(of['mrcr']!.at(0)).toBe(4096);
    expect(of['video']).toEqual([60, 300, 600, 1800, 3600]);
    expect((await lengthsOf({ needles: 100 })).of).toMatchObject({ multi: [4096, 8192, 16_384, 32_768, 65_536, 131_072], 'multi-at-once': [8192, 16_384, 32_768, 65_536, 131_072] });
  });
  it('given for a preset: the same, and no seconds of film', async () => {
    const { of } = await lengthsOf({ lengths: [512, 4096] });
    expect(of).toMatchObject({ gemini: [512, 4096], ruler: [4096], mrcr: [4096], video: [60, 300, 600, 1800, 3600] });
    await expect(lengthsOf({ lengths: [100, 4096] })).rejects.toThrow('--lengths has 100, but the suite gemini needs at least 256 tokens');
  });
  it('given for a suite by its name: all of them', async () => {
    await expect(lengthsOf({ suites: ['gemini', 'mrcr'], lengths: [512, 4096] })).rejects.toMatchObject({ exitCode: 2, message: '--lengths has 512, but the suite mrcr needs at least 4,096 tokens' });
    await expect(lengthsOf({ suites: ['gemini'], lengths: [4096] }, 2048)).rejects.toMatchObject({ exitCode: 4 });
  });
  it('are seconds of film where nothing else is asked', async () => {
    expect((await lengthsOf({ suites: ['video'], lengths: [10, 90] })).of).toEqual({ video: [10, 90] });
    await expect(lengthsOf({ suites: ['video'], lengths: [9] })).rejects.toThrow('--lengths has 9, but the suite video needs at least 10 seconds');
    expect((await lengthsOf({ preset: 'quick', suites: ['video', 'gemini'], lengths: [512] })).of).toEqual({ video: [60, 300, 600], gemini: [512] });
  });
});

it('suites that can not be asked are left out by name, unless nothing is left', async () => {
  const { of, warnings } = await lengthsOf({}, 2048, blind);
  expect(of['gemini']).toEqual([1024, 2048]);
  expect(warnings.map((line) => /the suite (\S+) is left out/u.exec(line)?.[1])).toEqual(['mrcr', 'video']);
  await expect(lengthsOf({ suites: ['mrcr'] }, 2048)).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(/^nothing is asked: the suite mrcr/u) as string });
  await expect(lengthsOf({ suites: ['video'] }, 2048, blind)).rejects.toThrow('--see');
  await expect(lengthsOf({ suites: ['gemini'], tasks: ['vt'] })).rejects.toThrow('--tasks');
});
