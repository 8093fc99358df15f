/** `lodestone models`, as a user and as a script run it. */
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Plan } from '../../src/answer/answer.js';
import type { ModelList } from '../../src/models/list.js';
import { packageRoot } from '../../src/paths.js';
import { fillStores, ollamaModel } from '../models/stores.js';
import { lodestone, scratch, type Outcome } from './run.js';

let home: string;
beforeAll(() => {
  home = scratch();
  fillStores(home);
});

/** With a home folder of its own, and none of the variables that lead elsewhere. */
export function withHome(dir: string): NodeJS.ProcessEnv {
  const cleared = ['HF_HOME', 'HF_HUB_CACHE', 'HF_TOKEN', 'HF_ENDPOINT', 'LLAMA_CACHE', 'OLLAMA_MODELS', 'XDG_DATA_HOME', 'XDG_CACHE_HOME', 'LODESTONE_HOME', 'LODESTONE_MODEL'];
  return { ...Object.fromEntries(cleared.map((name) => [name, ''])), HOME: dir };
}

const models = (args: readonly string[], dir = home): Promise<Outcome> => lodestone(['models', ...args], { env: withHome(dir) });

describe('models ls', () => {
  it('lists every store, a line a model', async () => {
    const { code, stdout, stderr } = await models(['ls']);
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(7);
    expect(lines[0]).toMatch(/^lodestone-tiny +embedded +3\.7M {2}BF16 +7\.0 MiB +1,048,576 tokens +\S+lodestone-tiny$/u);
    expect(lines.at(-1)).toMatch(/^ollama:gemma3:4b +ollama +.*Q4_0 .*sha256-[0-9a-f]{64}$/u);
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

  it('a verb is asked for', async () => {
    for (const args of [[], ['nonsense'], ['ls', '--nonsense']]) expect((await models(args)).code).toBe(2);
    expect((await models(['--help'])).stdout).toMatch(/Usage: lodestone models/u);
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
