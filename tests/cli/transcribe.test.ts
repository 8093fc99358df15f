/** `lodestone transcribe`, and `ask` about a recording, as a user runs them. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';
import { sha256OfFiles } from '../../src/weights/hash.js';
import { randomWhisper, talk } from '../speech/golden.js';
import { fakeHub } from '../models/hub.js';
import { heardFiles, hearInstead } from './heard.js';
import { lodestone, scratch, withHome, type Outcome } from './run.js';

let home: string;
beforeAll(() => {
  home = scratch();
});
const run = (args: readonly string[], stdin?: Uint8Array): Promise<Outcome> =>
  lodestone(args, { env: { ...withHome(home), LODESTONE_HOME: home, FFMPEG_BIN: '' }, ...(stdin === undefined ? {} : { stdin }) });
const transcribe = (...args: string[]): Promise<Outcome> => run(['transcribe', talk, '-m', randomWhisper, '--language', 'en', ...args]);
const kept = (): string[] => heardFiles(home);

interface Transcript {
  readonly schema: string;
  readonly sha256: string;
  readonly language: string;
  readonly seconds: number;
  readonly segments: readonly { readonly from: number; readonly to: number; readonly text: string; readonly words: readonly { readonly from: number; readonly to: number }[] }[];
}

describe('transcribe', () => {
  it('writes the same in every format; what was heard is kept, and not heard again', async () => {
    const json = await transcribe('--format', 'json');
    expect(json).toMatchObject({ code: 0, stderr: '' });
    const transcript = JSON.parse(json.stdout) as Transcript;
    expect(transcript).toMatchObject({ schema: 'lodestone.transcript/1', language: 'en', sha256: await sha256OfFiles([talk]) });
    expect(transcript.seconds).toBeCloseTo(3.6, 1);
    expect(transcript.segments.length).toBeGreaterThan(1);
    for (const { from, to, words } of transcript.segments) {
      expect(from).toBeGreaterThanOrEqual(0);
      expect(to).toBeLessThanOrEqual(3.7);
      for (const word of words) expect(word.to).toBeGreaterThanOrEqual(word.from);
    }
    const [file] = kept();
    const written = readFileSync(file!, 'utf8');
    const [srt, vtt, jsonl] = await Promise.all(['srt', 'vtt', 'jsonl'].map((format) => transcribe('--format', format)));
    expect(srt!.stdout.match(/ --> /gu)).toHaveLength(transcript.segments.length);
    expect(vtt!.stdout).toMatch(/^WEBVTT\n\n00:00:0/u);
    const events = jsonl!.stdout.trim().split('\n').map((line) => JSON.parse(line) as { type: string });
    expect(events.map(({ type }) => type)).toEqual([...transcript.segments.map(() => 'segment'), 'end']);
    expect(kept()).toHaveLength(1);
    expect(readFileSync(file!, 'utf8')).toBe(written);
  });

  it('goes on where an interrupted run stopped', async () => {
    const whole = (await transcribe('--format', 'json')).stdout;
    const [file] = kept();
    const lines = readFileSync(file!, 'utf8').split('\n');
    expect(lines.length).toBeGreaterThan(3);
    writeFileSync(file!, `${lines[0]}\n${lines[1]!.slice(0, 20)}`);
    expect((await transcribe('--format', 'json')).stdout).toBe(whole);
    expect(readFileSync(file!, 'utf8').split('\n')).toEqual(lines);
    expect((await transcribe('--format', 'json', '--no-session')).stdout).toBe(whole);
  });

  it('refuses what it can not hear, in one line', async () => {
    const expectRefusal = (outcome: Outcome, code: number, message: RegExp): void => {
      expect(outcome.stderr.trim()).toMatch(message);
      expect(outcome.stderr.trim().split('\n')).toHaveLength(1);
      expect(outcome).toMatchObject({ code, stdout: '' });
    };
    const notes = path.join(packageRoot, 'fixtures', 'notes.md');
    const list = path.join(home, 'list.mp3');
    writeFileSync(list, '#EXTM3U\nother.mp3\n');
    expectRefusal(await run(['transcribe', talk]), 6, /^lodestone: no speech model is on this machine; get one with: lodestone models pull hf:openai\/whisper-base \(.*-m, or in LODESTONE_SPEECH\)$/u);
    expectRefusal(await run(['transcribe', notes, '-m', randomWhisper]), 7, /notes\.md is no recording/u);
    expectRefusal(await run(['transcribe', list, '-m', randomWhisper]), 7, /list\.mp3 is a playlist/u);
    expectRefusal(await run(['transcribe', 'nowhere.wav', '-m', randomWhisper]), 7, /nowhere\.wav does not exist/u);
    expectRefusal(await run(['transcribe', talk, '-m', path.join(packageRoot, 'models', 'lodestone-tiny')]), 6, /Whisper/u);
    expectRefusal(await transcribe('--from', '1:00'), 2, /--from 01:00.*ends at 00:03/u);
    expectRefusal(await transcribe('--from', '2', '--to', '1'), 2, /nothing lies between/u);
    expectRefusal(await run(['transcribe', talk, '-m', randomWhisper, '--language', 'xx']), 2, /en, de/u);
    expect((await transcribe('--from', 'soon')).code).toBe(2);
  });
});

describe('a speech model that was pulled', () => {
  it('hears, without being named: in transcribe, ask and needle', async () => {
    const hub = await fakeHub(Object.fromEntries(['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'].map((name) => [name, readFileSync(path.join(randomWhisper, name))])), 'openai/whisper-tiny');
    const dir = scratch();
    const here = (...args: string[]): Promise<Outcome> => lodestone(args, { env: { ...withHome(dir), HF_ENDPOINT: hub.endpoint } });
    try {
      expect(await here('models', 'pull', 'hf:openai/whisper-tiny', '--quiet')).toMatchObject({ code: 0, stderr: '' });
    } finally {
      // From here on there is no network.
      await hub.close();
    }
    const listed = await here('models', 'ls');
    expect(listed.stdout).toMatch(/^hf:openai\/whisper-tiny +lodestone +\S+ {2}F16 +\S+ KiB +hears 2 languages +\S+safetensors$/mu);
    expect(listed.stdout).toMatch(/^speech is heard by hf:openai\/whisper-tiny: 2 languages; 2 \+ 3 layers of width 32$/mu);
    expect((await here('models', 'inspect', 'whisper-tiny')).stdout).toMatch(/^whisper-tiny {2}Whisper, .*F16; hears recordings, in 2 languages: en de$/mu);
    const named = await transcribe('--format', 'srt', '--no-session');
    for (const model of [[], ['-m', 'whisper-tiny']]) expect(await here('transcribe', talk, '--language', 'en', '--format', 'srt', '--no-session', ...model)).toEqual(named);
    expect((await here('ask', 'What is the code?', talk, '--language', 'en', '--dry-run')).stdout).toMatch(/talk\.wav/u);
    for (const verb of [['ask', 'Why?', talk], ['plan']]) {
      const outcome = await here(...verb, '-m', 'hf:openai/whisper-tiny');
      expect([outcome.code, outcome.stdout]).toEqual([6, '']);
      expect(outcome.stderr).toMatch(/^lodestone: .*config\.json: is a speech recogniser \(Whisper\).*--speech names it$/mu);
    }
  });

  it('is not looked for where there is nothing to hear', async () => {
    const notes = path.join(packageRoot, 'fixtures', 'notes.md');
    expect(await run(['ask', 'What?', notes, '--speech', 'hf:nobody/nothing', '--dry-run'])).toMatchObject({ code: 0, stderr: '' });
    const { code, stderr } = await run(['ask', 'What?', talk, '--speech', 'hf:nobody/nothing']);
    expect([code, stderr]).toEqual([6, expect.stringMatching(/get it with: lodestone models pull hf:nobody\/nothing$/mu)]);
  });
});

describe('ask', () => {
  it('needs a speech model, and says which', async () => {
    const { code, stderr, stdout } = await run(['ask', 'What is the code?', talk]);
    expect(stderr).toMatch(/talk\.wav is a sound recording: no speech model .*lodestone models pull .*--speech/u);
    expect({ code, stdout }).toEqual({ code: 7, stdout: '' });
  });

  it('answers from what was said, with the time', async () => {
    await run(['ask', 'What?', talk, '--speech', randomWhisper, '--language', 'en']);
    hearInstead(home, 'The access code for the Harrow Lane archive is 7731942. Thank you.');
    const args = ['ask', 'What is the access code for the Harrow Lane archive?', talk, '--speech', randomWhisper, '--language', 'en'];
    const plain = await run(args);
    expect(plain.stdout).toBe(`7731942\n  [1] ${talk}, 01:00: "The access code for the Harrow Lane archive is 7731942."\n`);
    const answer = JSON.parse((await run([...args, '--json'])).stdout) as { citations: unknown[]; sources: unknown[] };
    expect(answer.citations).toMatchObject([{ time: [60, 70], verified: true }]);
    expect(answer.sources).toMatchObject([{ kind: 'audio', segments: 1 }]);
    // The same bytes from a pipe have been heard too.
    const piped = await run([...args.slice(0, 2), '-', ...args.slice(3)], readFileSync(talk));
    expect(piped.stdout).toMatch(/^7731942\n {2}\[1\] standard input, 01:00/u);
  });

  it('has no parts of a text', async () => {
    const { code, stderr } = await run(['ask', 'What?', path.join(packageRoot, 'fixtures', 'notes.md'), '--from', '1']);
    expect(stderr).toMatch(/--from and --to/u);
    expect(code).toBe(2);
  });
});
