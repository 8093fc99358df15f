/** What --jsonl and --json print is what schemas/events.schema.json says. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';
import { writeImageModel } from '../answer/image-model.js';
import { colours, ffmpeg, make } from '../ingest/media/support.js';
import { randomWhisper, talk } from '../speech/golden.js';
import { hearInstead } from './heard.js';
import { lodestone, scratch } from './run.js';

const schema = JSON.parse(readFileSync(path.join(packageRoot, 'schemas', 'events.schema.json'), 'utf8')) as object;
const ajv = new Ajv2020({ allErrors: true });
const isEvent = ajv.compile(schema);
const part = (name: string): ValidateFunction => ajv.compile({ $ref: `lodestone.events/1#/$defs/${name}` });
const question = 'What is the access code for the Harrow Lane archive?';

function check(validate: ValidateFunction, value: unknown): void {
  const valid = validate(value);
  expect(valid ? [] : validate.errors, JSON.stringify(value)).toEqual([]);
}

it('describes every event, the answer and the plan', async () => {
  const files = ['fixtures/long-report.pdf', 'fixtures/notes.md', '--pages', '1-5'];
  const types = new Set<string>();
  for (const args of [files, files, ['-', '--dry-run']]) {
    const { stdout } = await lodestone(['ask', question, ...args, '--jsonl'], { stdin: 'A text.\n' });
    for (const line of stdout.trim().split('\n')) {
      const event = JSON.parse(line) as { type: string };
      types.add(event.type);
      check(isEvent, event);
    }
  }
  expect([...types].sort()).toEqual(['answer', 'ingest', 'look', 'plan', 'prefill', 'token', 'warning']);
  check(part('answer'), JSON.parse((await lodestone(['ask', 'Who?', 'fixtures/notes.md', '--json'])).stdout));
  check(part('plan'), JSON.parse((await lodestone(['ask', 'Who?', 'fixtures/notes.md', '--dry-run', '--json'])).stdout));
});

/** Checks every event of a run, and gives them. */
async function events(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ type: string }[]> {
  const { stdout } = await lodestone(['ask', ...args, '--jsonl'], { env });
  const all = stdout.trim().split('\n').map((line) => JSON.parse(line) as { type: string });
  for (const event of all) check(isEvent, event);
  return all;
}

it('describes what is heard, and when', async () => {
  const env = { LODESTONE_HOME: scratch(), FFMPEG_BIN: '' };
  const args = [question, talk, '--speech', randomWhisper, '--language', 'en'];
  const heard = await events(args, env);
  expect(heard).toContainEqual(expect.objectContaining({ type: 'ingest', unit: 'seconds of sound' }));
  hearInstead(env.LODESTONE_HOME, 'The access code for the Harrow Lane archive is 7731942. Thank you.');
  const answer = expect.objectContaining({ citations: [expect.objectContaining({ time: [60, 70] })], sources: [expect.objectContaining({ seconds: 3.6025625 })] }) as unknown;
  expect((await events(args, env)).at(-1)).toEqual({ type: 'answer', answer });
});

it.skipIf(ffmpeg === null)('describes what is seen, and how much of it', async () => {
  const dir = scratch();
  writeImageModel(dir);
  const film = make(dir, 'film.mp4', ...colours(['red', 'green', 'green', 'blue']));
  const seen = await events(['What is it?', film, '-m', dir, '--max-tokens', '3']);
  expect([...new Set(seen.map(({ type }) => type))]).toEqual(expect.arrayContaining(['ingest', 'plan', 'image', 'prefill', 'answer']));
  expect(seen).toContainEqual(expect.objectContaining({ type: 'ingest', unit: 'seconds of pictures' }));
  const frames = { shown: 3, repeated: 1, skipped: 0, scenes: 3 };
  const plan = expect.objectContaining({ frames: { shown: 3, fit: 3 }, sources: [expect.objectContaining({ frames })] }) as unknown;
  expect(seen).toContainEqual({ type: 'plan', plan });
});

it('refuses what is no event', () => {
  for (const wrong of [{}, { type: 'nothing' }, { type: 'warning' }, { type: 'token', text: 'x', more: 1 }, { type: 'look', done: -1, total: 3 }]) expect(isEvent(wrong), JSON.stringify(wrong)).toBe(false);
  expect(isEvent({ type: 'token', text: 'x' })).toBe(true);
});
