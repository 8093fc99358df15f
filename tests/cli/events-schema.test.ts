/** What --jsonl and --json print is what schemas/events.schema.json says. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';
import { lodestone } from './run.js';

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

it('refuses what is no event', () => {
  for (const wrong of [{}, { type: 'nothing' }, { type: 'warning' }, { type: 'token', text: 'x', more: 1 }, { type: 'look', done: -1, total: 3 }]) expect(isEvent(wrong), JSON.stringify(wrong)).toBe(false);
  expect(isEvent({ type: 'token', text: 'x' })).toBe(true);
});
