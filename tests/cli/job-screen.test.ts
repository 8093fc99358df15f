/** `transcribe` and `models pull` on a terminal: what is finished stays there, and nothing that was in progress does. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { embeddedModelDir } from '../../src/paths.js';
import { fakeHub } from '../models/hub.js';
import { randomWhisper, talk } from '../speech/golden.js';
import { lodestone, scratch } from './run.js';
import { inTerminal } from './terminal.js';

it('transcribe shows what was said, and when', { timeout: 90_000 }, async () => {
  const env = { LODESTONE_HOME: scratch(), LODESTONE_SPEECH: '', FFMPEG_BIN: '', NO_COLOR: '1' };
  const args = ['transcribe', talk, '-m', randomWhisper, '--language', 'en'];
  const running = inTerminal(args, { columns: 100, rows: 40, env });
  expect(await running.exited).toBe(0);
  const screen = await running.screen();
  expect(screen).toMatch(/^00:0\d {2}\S/u);
  expect(screen).not.toMatch(/█|░|listening/u);
  // On the terminal too, where --plain asks for it or the format is for programs, it is what a pipe gets.
  const piped = (await lodestone(args, { env })).stdout;
  for (const [more, expected] of [[['--plain'], piped], [['--format', 'srt'], (await lodestone([...args, '--format', 'srt'], { env })).stdout]] as const) {
    const plain = inTerminal([...args, ...more], { columns: 400, rows: 60, env });
    expect(await plain.exited).toBe(0);
    expect((await plain.screen()).replaceAll(/\s+/gu, ' ').trim()).toBe(expected.replaceAll(/\s+/gu, ' ').trim());
  }
});

it('models pull shows the files that are there', { timeout: 90_000 }, async () => {
  const files = ['config.json', 'tokenizer.json', 'model.safetensors'];
  const hub = await fakeHub(Object.fromEntries(files.map((name) => [name, readFileSync(path.join(embeddedModelDir, name))])));
  try {
    const env = { HF_ENDPOINT: hub.endpoint, LODESTONE_HOME: scratch(), NO_COLOR: '1' };
    const pull = ['models', 'pull', 'hf:google/gemma-3-tiny'];
    const running = inTerminal(pull, { columns: 200, env });
    expect(await running.exited).toBe(0);
    const screen = await running.screen();
    for (const name of files) expect(screen).toMatch(new RegExp(`^✓ {2}${name.replace('.', String.raw`\.`)}$`, 'mu'));
    expect(screen).toMatch(/hf:google\/gemma-3-tiny: pulled, .*safetensors$/mu);
    expect(screen).not.toMatch(/█|░|pulling/u);
    const again = inTerminal(pull, { columns: 200, env });
    expect(await again.exited).toBe(0);
    expect(await again.screen()).toMatch(/is there already/u);
  } finally {
    await hub.close();
  }
});
