/** Keywords hidden in speech: the clips of the package, recordings made of them, and what becomes of an answer. */
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readWav } from '../../src/ingest/media/wav.js';
import { speechSegments } from '../../src/ingest/media/speech-segments.js';
import type { IngestedSource, Times } from '../../src/ingest/segment.js';
import { audioSuite } from '../../src/recall/audio.js';
import { speechClips } from '../../src/recall/plan.js';
import { openSpeechClips, Speaker } from '../../src/recall/speech-clips.js';
import type { Hearing } from '../../src/recall/spoken-document.js';
import { chanceOf } from '../../src/recall/record.js';
import { summarise } from '../../src/recall/summary.js';
import type { Trial } from '../../src/recall/trial.js';
import { runTrials } from '../../src/recall/trials.js';
import { join } from '../speech/golden.js';
import { planned, standIn, wordRequest } from './stand-in.js';

const clips = openSpeechClips(speechClips);
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'lodestone-audio-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

async function collect(of: AsyncIterable<Trial>): Promise<Trial[]> {
  const trials: Trial[] = [];
  for await (const trial of of) trials.push(trial);
  return trials;
}

const loudness = (samples: Float32Array): number => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);

describe('the clips', () => {
  it('are sound where the index says, and silence between', async () => {
    const file = path.join(dir, 'all.wav');
    const texts = [clips.needles[0]!.text, clips.haystack[3]!.text, clips.needles.at(-1)!.text];
    const said = await new Speaker(clips).record(texts, file);
    const { samples, seconds } = await readWav(createReadStream(file));
    const sound = await join(samples);
    const part = ([from, to]: Times): Float32Array => sound.subarray(Math.round(from * 16_000), Math.round(to * 16_000));
    expect(seconds).toBeCloseTo(said.at(-1)![1] + 0.4, 3);
    for (const [i, times] of said.entries()) {
      expect(loudness(part(times)), texts[i]).toBeGreaterThan(0.02);
      // Said from the first moment to the last: the index is not beside it.
      expect(loudness(part([times[0], times[0] + 0.25])), texts[i]).toBeGreaterThan(0.005);
      expect(loudness(part([times[1] - 0.25, times[1]])), texts[i]).toBeGreaterThan(0.002);
      expect(loudness(part([times[1] + 0.05, times[1] + 0.35])), texts[i]).toBeLessThan(1e-3);
    }
  });
  it('say each keyword once, and no haystack says one', () => {
    const keywords = clips.needles.map(({ text }) => /^The secret keyword is (\w+)\.$/u.exec(text)![1]!);
    expect(new Set(keywords).size).toBe(keywords.length);
    const prose = clips.haystack.map(({ text }) => text).join(' ');
    for (const keyword of keywords) expect(prose).not.toMatch(new RegExp(`\\b${keyword}\\b`, 'iu'));
  });
  it('are refused by name where there is none', async () => {
    await expect(new Speaker(clips).record(['Nobody said this.'], path.join(dir, 'none.wav'))).rejects.toThrow('Nobody said this.');
    expect(() => openSpeechClips(dir)).toThrow(/index\.json/u);
  });
});

describe('the suite', () => {
  it('hides one keyword in whole sentences, at its depth', async () => {
    const trials = await collect(audioSuite(clips, [0, 50, 100]).make(wordRequest(900, 6)));
    expect(trials).toHaveLength(6);
    const known = new Set([...clips.haystack, ...clips.needles].map(({ text }) => text));
    for (const { pieces, needles, spoken, questions } of trials) {
      expect(spoken).toBe(true);
      expect(pieces.every((piece) => known.has(piece.trim()))).toBe(true);
      const at = pieces.findIndex((piece) => piece.trim() === needles![0]);
      expect((100 * at) / (pieces.length - 1)).toBeCloseTo(questions[0]!.depthPercent!, -1);
      expect(needles![0]).toContain(questions[0]!.expected[0]!);
    }
    expect(new Set(trials.slice(0, 3).map(({ needles }) => needles![0])).size).toBe(3);
    const without = trials.slice(0, 3).map(({ pieces, needles }) => pieces.filter((piece) => piece.trim() !== needles![0]).join(''));
    expect(new Set(without).size).toBe(1);
  });

  /** Hears every piece as it was written, `late` seconds after it was said, and every `deaf` word not at all. */
  const hearing = (late = 0, deaf = ''): Hearing => {
    let heard: IngestedSource | undefined;
    return {
      speaker: {
        async record(texts) {
          const said = texts.map((_, i): Times => [4 * i, 4 * i + 3]);
          const pieces = texts.map((text, i) => {
            const from = said[i]![0] + late;
            const words = text.trim().split(' ').filter((word) => word !== deaf);
            return { from, to: from + 3, text: words.join(' '), probability: 1, words: words.map((word, k) => ({ text: ` ${word}`, from: from + k / 10, to: from + k / 10 + 0.1, probability: 1 })) };
          });
          heard = { source: { path: 'x.wav', kind: 'audio', bytes: 1, sha256: 'x' }, segments: speechSegments(0, pieces), warnings: [] };
          return said;
        },
      },
      hear: async () => heard!,
    };
  };
  const measure = async (how: Hearing): Promise<ReturnType<typeof summarise>[number]> => {
    const { answerer, spy } = standIn(({ expected }, document) => (document.includes(expected[0]!) ? expected[0]! : ''));
    const plan = [planned(spy(audioSuite(clips, [0, 50, 100])), [300], 3)];
    const records = [];
    for await (const some of runTrials(answerer, plan, { seed: 1, looks: 0, hearing: how })) records.push(...some);
    return summarise(plan, records, 0.85)[0]!;
  };
  it('counts what was heard, and whether the time is right', async () => {
    expect(await measure(hearing())).toMatchObject({ overall: { hits: 3 }, recorded: { perceived: 3, of: 3, found: 3, near: 3 } });
    expect(await measure(hearing(1.9))).toMatchObject({ recorded: { found: 3, near: 3 } });
    expect(await measure(hearing(2.1))).toMatchObject({ overall: { hits: 3 }, recorded: { perceived: 3, found: 3, near: 0 } });
  });
  it('states the chance of one who knows the keywords', async () => {
    const [trial] = await collect(audioSuite(clips, [50]).make(wordRequest(300, 1)));
    expect(chanceOf(trial!.questions[0]!)).toBeCloseTo(1 / clips.needles.length);
  });
  it('tells what was not heard from what was not found', async () => {
    const [first] = await collect(audioSuite(clips, [0, 50, 100]).make(wordRequest(300, 3)));
    const lost = await measure(hearing(0, `${first!.questions[0]!.expected[0]!}.`));
    expect(lost).toMatchObject({ overall: { hits: 2, refusals: 1 }, recorded: { perceived: 2, of: 3, found: 2, near: 2 } });
  });
  it('is a miss, and no error, where nothing was understood at all', async () => {
    const nothing: Hearing = { ...hearing(), hear: async (file) => ({ source: { path: file, kind: 'audio', bytes: 1, sha256: 'x' }, segments: [], warnings: [] }) };
    expect(await measure(nothing)).toMatchObject({ overall: { hits: 0, refusals: 3, errors: 0 }, recorded: { perceived: 0, of: 3, found: 0, near: 0 } });
  });
  it('says what it needs', async () => {
    const { answerer, spy } = standIn(() => '');
    const records = [];
    for await (const some of runTrials(answerer, [planned(spy(audioSuite(clips, [50])), [300], 1)], { seed: 1, looks: 0 })) records.push(...some);
    expect(records).toMatchObject([{ outcome: 'error', error: expect.stringMatching(/speech model/u) as string, recorded: null }]);
  });
});
