/** `lodestone models`, as a user and as a script run it. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { spawn as spawnPty } from '@lydell/node-pty';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Plan } from '../../src/answer/answer.js';
import type { PullResult } from '../../src/models/pull/pull.js';
import type { Inspection } from '../../src/models/inspect.js';
import type { ModelList } from '../../src/models/list.js';
import { packageRoot } from '../../src/paths.js';
import { fakeHub, sendFile, type FakeHub } from '../models/hub.js';
import { fillStores, folderFiles, ollamaModel, tiny } from '../models/stores.js';
import { lodestone, scratch, withHome, type Outcome } from './run.js';

let home: string;
beforeAll(() => {
  home = scratch();
  fillStores(home);
});

const models = (args: readonly string[], dir = home): Promise<Outcome> => lodestone(['models', ...args], { env: withHome(dir) });

describe('models ls', () => {
  it('lists every store, a line a model', async () => {
    const { code, stdout, stderr } = await models(['ls']);
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(9);
    expect(lines[0]).toMatch(/^lodestone-tiny +embedded +4\.5M {2}BF16 +8\.5 MiB +16,777,216 tokens +\S+lodestone-tiny$/u);
    expect(lines[6]).toMatch(/^ollama:gemma3:4b +ollama +.*Q4_0 .*sha256-[0-9a-f]{64}$/u);
    expect(lines.slice(7)).toEqual(['', expect.stringMatching(/^speech is heard by nothing: no speech model .*lodestone models pull hf:openai\/whisper-base/u)]);
  });

  it('gives one JSON object', async () => {
    const { stdout } = await models(['ls', '--json']);
    const list = JSON.parse(stdout) as ModelList & { schema: string };
    expect(list.schema).toBe('lodestone.models/1');
    expect(list.models.map(({ store }) => store)).toContain('lm-studio');
    expect(list.unreadable).toEqual([]);
  });

  it('lists a broken one with its reason', async () => {
    const dir = scratch();
    ollamaModel(path.join(dir, '.ollama/models'), 'gemma3', '4b', null);
    const { code, stdout } = await models(['ls'], dir);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ollama:gemma3:4b +ollama +broken .*blob sha256-[0-9a-f]{64} is missing/mu);
  });

  it('says what hears', async () => {
    const hearing = (speech: string): Promise<Outcome> => lodestone(['models', 'ls'], { env: { ...withHome(scratch()), LODESTONE_SPEECH: speech } });
    expect((await hearing(path.join(packageRoot, 'fixtures', 'whisper-random'))).stdout).toMatch(/^speech is heard by whisper-random: 2 languages; 2 \+ 3 layers of width 32$/mu);
    expect(await hearing('/nowhere')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^speech is heard by nothing: \/nowhere: no config\.json/mu) as string });
  });

  it('a verb is asked for', async () => {
    for (const args of [[], ['nonsense'], ['ls', '--nonsense']]) expect((await models(args)).code).toBe(2);
    expect((await models(['--help'])).stdout).toMatch(/Usage: lodestone models/u);
  });
});

describe('models inspect and convert', () => {
  it('show and write what was asked for', async () => {
    const shown = await models(['inspect', 'ollama:gemma3:4b']);
    expect([shown.code, shown.stderr]).toEqual([0, '']);
    expect(shown.stdout).toMatch(/^gemma3:4b {2}Gemma 3, 379K parameters, Q4_0, context 512 tokens\n/u);
    expect(shown.stdout).toMatch(/^KV at tokens {2}1K +32K +128K\n {2}f32 .*\n {2}f16 .*\n {2}q8_0 /mu);
    const { files } = JSON.parse((await models(['inspect', 'gemma3-1b', '--hash', '--json'])).stdout) as Inspection;
    expect(files.map(({ path: file, sha256 }) => [path.basename(file), sha256?.length])).toEqual([['config.json', 64], ['tokenizer.json', 64], ['model.safetensors', 64]]);
    const target = path.join(scratch(), 'small');
    const done = await models(['convert', 'gemma3-1b', target, '--to', 'q4_0']);
    expect(done).toEqual({ code: 0, stdout: `${target}: 741 KiB became 212 KiB\n`, stderr: '' });
    const again = await models(['convert', 'gemma3-1b', target]);
    expect([again.code, again.stdout]).toEqual([2, '']);
    expect(again.stderr).toMatch(/^lodestone: .*small: is there already; name a directory that is not\n$/u);
    expect((await models(['convert', 'gemma3-1b', path.join(target, 'x'), '--to', 'q5'])).code).toBe(2);
    expect((await models(['inspect', 'gemma3-27b'])).code).toBe(6);
  });
});

describe('ask -m', () => {
  const notes = path.join(packageRoot, 'fixtures', 'notes.md');
  it('takes the names that ls prints, and calls the model by them', async () => {
    for (const [model, id] of [['ollama:gemma3:4b', 'gemma3:4b'], ['hf:google/gemma-3-1b-it', 'gemma-3-1b-it'], ['gemma3-12b', 'gemma-3-12b-it-Q4_0']] as const) {
      const { stdout, stderr } = await lodestone(['ask', 'Why?', notes, '--dry-run', '--json', '-m', model], { env: withHome(home) });
      expect([stderr, (JSON.parse(stdout) as Plan).model.id]).toEqual(['', id]);
    }
  });

  it('says where it looked and how to get it', async () => {
    const { code, stdout, stderr } = await lodestone(['ask', 'Why?', notes, '-m', 'hf:google/gemma-3-4b-it'], { env: withHome(home) });
    expect([code, stdout]).toEqual([6, '']);
    expect(stderr).toBe(
      `lodestone: hf:google/gemma-3-4b-it: not on this machine (looked in ${home}/.local/share/lodestone/models, ${home}/.cache/huggingface/hub, ${home}/.cache/llama.cpp); ` +
        'get it with: lodestone models pull hf:google/gemma-3-4b-it\n',
    );
  });
});

describe('models pull and rm', () => {
  let hub: FakeHub;
  let dir: string;
  const env = (): NodeJS.ProcessEnv => ({ ...withHome(dir), HF_ENDPOINT: hub.endpoint });
  const run = (args: readonly string[], during?: Parameters<typeof lodestone>[1]) => lodestone(['models', ...args], { env: env(), ...during });
  beforeAll(async () => {
    hub = await fakeHub(Object.fromEntries(folderFiles.map((name) => [name, readFileSync(tiny(name))])));
    dir = scratch();
  });
  afterAll(() => hub.close());

  it('Ctrl-C stops it with 130, and the same command goes on', async () => {
    hub.fault = (asked, response) => {
      if (asked.url !== '/blobs/model.safetensors') return false;
      sendFile(hub, asked, response, { cutAfter: 500_000 });
      response.destroy = () => response;
      return true;
    };
    const stopped = await run(['pull', 'hf:google/gemma-3-tiny'], {
      during: (child) => {
        const timer = setInterval(() => {
          if (hub.sent < 500_000) return;
          clearInterval(timer);
          setTimeout(() => child.kill('SIGINT'), 300);
        }, 20);
      },
    });
    expect(stopped).toEqual({ code: 130, stdout: '', stderr: 'lodestone: interrupted\n' });
    hub.fault = null;
    const before = hub.sent;
    const { code, stdout, stderr } = await run(['pull', 'hf:google/gemma-3-tiny', '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const result = JSON.parse(stdout) as PullResult;
    expect(result).toMatchObject({ schema: 'lodestone.pull/1', name: 'hf:google/gemma-3-tiny', unchanged: false });
    expect(hub.sent - before).toBeLessThan(result.bytes - 400_000);
    expect((await run(['pull', 'hf:google/gemma-3-tiny'])).stdout).toBe(`hf:google/gemma-3-tiny: is there already, ${result.path}\n`);
  });

  it('what is wrong is one line', async () => {
    await run(['pull', 'hf:google/gemma-3-tiny', '--quiet']);
    for (const [args, code, message] of [
      [['pull', 'ollama:gemma3'], 2, /only the hub's models are pulled/u],
      [['pull', 'hf:gemma3'], 2, /is not of the form hf:org\/repo/u],
      [['pull', 'hf:nobody/nothing'], 6, /no such repository \(HTTP 404\)/u],
      [['pull', 'hf:google/gemma-3-tiny', '--connections', '0'], 2, /whole number from 1 to 32/u],
      [['rm', 'hf:google/gemma-3-tiny'], 2, /here is no terminal to ask on: add --yes/u],
      [['rm', 'hf:google/other', '--yes'], 6, /not on this machine/u],
      [['rm', 'lodestone-tiny', '--yes'], 2, /comes with Lodestone; Lodestone removes nothing there/u],
    ] as const) {
      const outcome = await run(args);
      expect([outcome.code, outcome.stdout]).toEqual([code, '']);
      expect(outcome.stderr.split('\n')[0]).toMatch(message);
    }
  });

  it('rm asks on a terminal, and takes no for an answer', async () => {
    await run(['pull', 'hf:google/gemma-3-tiny', '--quiet']);
    const place = path.join(dir, '.local/share/lodestone/models/hf/google/gemma-3-tiny/safetensors');
    const ask = async (answer: string): Promise<{ code: number; text: string }> => {
      const pty = spawnPty(process.execPath, [path.join(packageRoot, 'bin', 'lodestone.js'), 'models', 'rm', 'hf:google/gemma-3-tiny'], { cols: 300, rows: 10, env: { ...process.env, ...env() } });
      let text = '';
      pty.onData((data) => {
        if (!text.includes('[y/N]') && (text + data).includes('[y/N]')) pty.write(answer);
        text += data;
      });
      const code = await new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)));
      return { code, text };
    };
    expect((await ask('n\r')).text).toMatch(/Remove hf:google\/gemma-3-tiny \(\d+ KiB, .*safetensors\)\? \[y\/N\].*nothing was removed/su);
    expect((await ask('\r')).code).toBe(0);
    expect((await ask('\u0004')).code).toBe(0);
    expect((await ask('\u0003')).code).toBe(130);
    expect(existsSync(place)).toBe(true);
    const { code, text } = await ask('y\r');
    expect([code, existsSync(place)]).toEqual([0, false]);
    expect(text).toContain('removed hf:google/gemma-3-tiny');
  });

  it('rm --yes removes without asking', async () => {
    await run(['pull', 'hf:google/gemma-3-tiny', '--quiet']);
    const { code, stdout } = await run(['rm', 'hf:google/gemma-3-tiny', '--yes']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^removed hf:google\/gemma-3-tiny /u)]);
    expect(existsSync(path.join(dir, '.local/share/lodestone/models/hf'))).toBe(false);
  });
});
