/** `lodestone reader`: training as a user starts, interrupts and goes on with it, without TensorFlow.js too. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openPolicy } from '../../src/reader/policy.js';
import { lodestone, scratch } from './run.js';

const tiny = ['--width', '4', '--blocks', '1', '--episodes', '2', '--batch', '1', '--offline-updates', '1', '--online-updates', '1', '--quiet'];

describe('lodestone reader train', () => {
  it('writes a policy, what it was made with, and a checkpoint that only the same command goes on from', { timeout: 120_000 }, async () => {
    const out = path.join(scratch(), 'policy');
    const { code, stdout, stderr } = await lodestone(['reader', 'train', '--out', out, '--json', ...tiny]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'lodestone.reader-training/1', policy: path.join(out, 'policy.safetensors'), updates: 2, clamp_rate: 0 });
    const { description } = await openPolicy(path.join(out, 'policy.safetensors'));
    expect(description.network).toMatchObject({ width: 4, blocks: 1, outputs: 51 });
    expect(description.head.loss).toBe('hl-gauss');

    const before = readFileSync(path.join(out, 'policy.safetensors'));
    const again = await lodestone(['reader', 'train', '--out', out, ...tiny]);
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/policy\.safetensors: 2 updates/u);
    expect(readFileSync(path.join(out, 'policy.safetensors')).equals(before)).toBe(true);

    const other = await lodestone(['reader', 'train', '--out', out, ...tiny, '--loss', 'c51']);
    expect(other.code).toBe(6);
    expect(other.stderr).toMatch(/^lodestone: .*checkpoint\.safetensors: belongs to training with other options; name another --out, or remove it\n$/u);
  });

  it('says in one line what to install where TensorFlow.js is missing', async () => {
    const folder = scratch();
    const hooks = path.join(folder, 'hooks.mjs');
    writeFileSync(hooks, `export async function resolve(name, context, next) {
      if (name.startsWith('@tensorflow/')) throw Object.assign(new Error(name), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    }`);
    const register = path.join(folder, 'register.mjs');
    writeFileSync(register, `import { register } from 'node:module'; register(${JSON.stringify(pathToFileURL(hooks).href)});`);
    const { code, stderr } = await lodestone(['reader', 'train', '--out', path.join(folder, 'out'), ...tiny], { env: { NODE_OPTIONS: `--import ${pathToFileURL(register).href}` } });
    expect(code).toBe(2);
    expect(stderr).toBe('lodestone: training needs TensorFlow.js, which is not installed here: run npm install @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0\n');
  });

  it.each([
    [['reader', 'train'], /--out <folder>/u],
    [['reader', 'train', '--out', 'x', '--loss', 'l1'], /Allowed choices are mse, mse-softmax/u],
    [['reader', 'train', '--out', 'x', '--lambda', '2'], /a number from 0 to 1 is needed/u],
    [['reader', 'train', '--out', 'x', '--width', '0'], /a whole number, at least 1, is needed/u],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await lodestone(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

it('lodestone reader eval refuses what is no policy', async () => {
  const file = path.join(scratch(), 'policy.safetensors');
  writeFileSync(file, 'no policy');
  const { code, stderr } = await lodestone(['reader', 'eval', '--policy', file]);
  expect(code).toBe(6);
  expect(stderr.split('\n').length).toBe(2);
  expect(stderr).toContain(file);
});
