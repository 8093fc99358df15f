/** Windows, times and words; with the random checkpoint, and with a model that says what the test tells it. */
import { afterAll, describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { selectDevice } from '../../src/device/select.js';
import { sampleRate } from '../../src/encode/log-mel.js';
import { openSpeechModel, type Recogniser } from '../../src/speech/model.js';
import { compressionRatio, mostCompression, repeatedEnd } from '../../src/speech/repetition.js';
import { applyRules } from '../../src/speech/rules.js';
import { leadingSilence } from '../../src/speech/silence.js';
import { cutAtTimes, transcribe, type TranscribedWindow, type TranscribeOptions } from '../../src/speech/transcribe.js';
import { transcribeWindow } from '../../src/speech/window.js';
import { splitWords, warp } from '../../src/speech/words.js';
import { randomFloats } from '../device/cases.js';
import { floats, golden, randomWhisper, talkSamples } from './golden.js';

const { device } = await selectDevice('auto');
const model = await openSpeechModel(randomWhisper, device);
afterAll(async () => {
  model.close();
  await device.close();
});
const { tokens: ids } = model.config;
const time = (seconds: number): number => ids.firstTime + Math.round(seconds * 50);

async function* pieces(samples: Float32Array, size: number): AsyncGenerator<Float32Array> {
  for (let at = 0; at < samples.length; at += size) yield samples.subarray(at, at + size);
}

async function all(of: Recogniser, samples: Float32Array, options?: TranscribeOptions, size = 1000): Promise<TranscribedWindow[]> {
  const windows: TranscribedWindow[] = [];
  for await (const window of transcribe(of, pieces(samples, size), options)) windows.push(window);
  return windows;
}

/** Writes a script of tokens, a window after the other. */
function scripted(script: readonly (readonly number[])[]): Recogniser & { windows: number } {
  let window = -1;
  const logitsFor = (id: number): Float32Array => {
    const logits = new Float32Array(model.config.vocabSize).fill(-20);
    logits[id] = 20;
    return logits;
  };
  return {
    config: model.config,
    tokenizer: model.tokenizer,
    windows: 0,
    async listen() {
      window++;
      this.windows++;
    },
    async decode(tokens, start, rows = 1) {
      if (tokens.length === 1 && start === 0) return [logitsFor(ids.languages.get('de')!)];
      const written = start + tokens.length - 3;
      return Array.from({ length: rows }, () => logitsFor(script[window]?.[written] ?? ids.end));
    },
    async alignment(tokens, positions) {
      return [Float32Array.from({ length: tokens.length * positions }, (_, i) => (Math.floor(i / positions) === Math.floor((i % positions) / 8) ? 1 : 0))];
    },
  };
}
/** A byte is a token: ids of ASCII text in this vocabulary, which the alphabet's order gives. */
const say = (text: string): Promise<number[]> => model.tokenizer.encodeText(text);
const noise = (seconds: number): Float32Array => randomFloats(seconds * sampleRate, 1, 0.3);

describe('the rules of times', () => {
  it("are transformers'", async () => {
    // Every step of what transformers wrote: with the same rules, its next token is the likeliest.
    await model.listen(floats(golden.mel80));
    const prompt = [ids.start, ids.languages.get('en')!, ids.transcribe!];
    let [logits] = await model.decode(prompt, 0);
    for (const [i, id] of golden.written.entries()) {
      applyRules(logits!, golden.written.slice(0, i), ids);
      expect(logits!.indexOf(Math.max(...logits!)), `token ${i}`).toBe(id);
      if (i + 1 < golden.written.length) [logits] = await model.decode([id], prompt.length + i);
    }
  });
  it('let nothing but a time come first, no time go back, and no time stand alone', () => {
    const allowed = (written: number[], logits = new Float32Array(model.config.vocabSize)): number[] => {
      // Text far above times, so that it is not times for their number.
      logits.fill(50, 0, ids.firstTime);
      applyRules(logits, written, ids);
      return [...logits.keys()].filter((id) => logits[id] !== -Infinity);
    };
    expect(allowed([])).toEqual(Array.from({ length: 51 }, (_, i) => ids.firstTime + i));
    expect(allowed([time(0.5)]).every((id) => id <= ids.end)).toBe(true);
    expect(allowed([time(0.5), 3]).filter((id) => id > ids.end)[0]).toBe(time(0.52));
    expect(allowed([time(0.5), 3, time(0.8)])).toEqual([ids.end, ...Array.from({ length: 61 }, (_, i) => time(0.8) + i)]);
    expect(allowed([time(0.5), 3, time(0.8), time(0.8)]).every((id) => id <= ids.end)).toBe(true);
  });
});

describe('repetition', () => {
  it('is seen in tokens, whatever its length, and not in what people say', () => {
    expect(repeatedEnd([1, 2, ...Array.from({ length: 20 }, () => 7)])).toEqual({ period: 1, length: 20 });
    const phrase = [1, 2, 3, 4, 5, 6, 7];
    expect(repeatedEnd([9, ...phrase, ...phrase, ...phrase, ...phrase])).toEqual({ period: 7, length: 28 });
    expect(repeatedEnd([9, ...phrase, ...phrase, ...phrase])).toBeNull();
    expect(repeatedEnd([1, 1, 1, 1, 1])).toBeNull();
    expect(compressionRatio('Thank you. '.repeat(20))).toBeGreaterThan(mostCompression);
    expect(compressionRatio('The access code is seven four two, and the gate closes at nine in the evening.')).toBeLessThan(1.5);
  });
  it('does not run on: the window ends, and what was repeated is kept once', async () => {
    const ha = await say(' ha');
    const windows = await all(scripted([[time(0), ...Array.from({ length: 20 }, () => ha).flat()]]), noise(2));
    expect(windows).toMatchObject([{ repeated: true, segments: [{ text: 'ha' }] }]);
  });
  it('ends where the random checkpoint falls into it', async () => {
    await model.listen(floats(golden.mel80));
    const text = await transcribeWindow(model, [ids.start, ids.languages.get('en')!, ids.transcribe!], 1);
    expect(text!.tokens.length).toBeLessThanOrEqual(model.config.targetPositions / 2);
    expect(repeatedEnd(text!.tokens)).toBeNull();
  });
});

describe('windows', () => {
  it('begin where the last piece of speech ended, so that none is cut', async () => {
    const [hello, wor, world] = await Promise.all([say(' hello'), say(' wor'), say(' world')]);
    // "world" is cut by the first window's end; the second begins at 1.5 s and hears it whole.
    const talking = scripted([[time(0.2), ...hello, time(1.5), time(1.5), ...wor], [time(0), ...world, time(0.9)], [time(0), ...hello, time(1)]]);
    const windows = await all(talking, noise(4));
    expect(windows.map(({ heard }) => heard)).toEqual([1.5, 3.5, 4]);
    expect(windows.flatMap(({ segments }) => segments.map(({ text }) => text))).toEqual(['hello', 'world', 'hello']);
    expect(windows.every(({ language }) => language === 'de')).toBe(true);
  });
  it('give the same in pieces of any size, and when they go on from where another run stopped', async () => {
    const samples = await talkSamples();
    const whole = await all(model, samples, { language: 'en' });
    expect(whole.length).toBeGreaterThan(1);
    expect(await all(model, samples, { language: 'en' }, 37)).toEqual(whole);
    const { heard } = whole[0]!;
    const rest = await all(model, samples.subarray(Math.round(heard * sampleRate)), { language: 'en', from: heard });
    expect(rest.map((window) => window.heard)).toEqual(whole.slice(1).map((window) => window.heard));
    let before = 0;
    for (const { heard: now } of whole) {
      expect(now).toBeGreaterThan(before);
      before = now;
    }
  });
  it('are not shown to the model where nothing is to be heard', async () => {
    const silent = scripted([]);
    expect((await all(silent, new Float32Array(7 * sampleRate))).flatMap(({ segments }) => segments)).toEqual([]);
    expect(silent.windows).toBe(0);
    expect(await all(silent, new Float32Array(0))).toEqual([]);
    // Three and a half seconds of silence, then one of sound: its time is counted from the beginning.
    const late = scripted([[time(0.2), ...(await say(' hi')), time(1)]]);
    const windows = await all(late, Float32Array.from([...new Float32Array(3.5 * sampleRate), ...noise(1)]));
    expect(late.windows).toBe(1);
    expect(windows.flatMap(({ segments }) => segments)).toMatchObject([{ text: 'hi' }]);
    const { from, to } = windows.flatMap(({ segments }) => segments)[0]!;
    expect(from).toBeCloseTo(3.5);
    expect(to).toBeLessThanOrEqual(4.3);
    expect(leadingSilence(new Float32Array(10))).toBe(10);
  });
  it('know the language that they are told, and no other', async () => {
    expect((await all(scripted([[]]), noise(1), { language: 'en' }))[0]!.language).toBe('en');
    await expect(all(scripted([]), noise(1), { language: 'xx' })).rejects.toThrow(/en, de/);
  });
  it('stop at once', async () => {
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await expect(all(model, noise(1), { signal: stop.signal, language: 'en' })).rejects.toThrow('enough');
  });
  it('are cut where two times meet', () => {
    const cut = (...tokens: number[]): ReturnType<typeof cutAtTimes> => cutAtTimes({ tokens, probabilities: tokens.map(() => 1) }, 100, ids.firstTime);
    expect(cut()).toEqual({ pieces: [], next: 100 });
    expect(cut(time(0.1), 1, 2)).toMatchObject({ pieces: [{ from: 5, to: 100, text: [1, 2] }], next: 100 });
    expect(cut(time(0.1), 1, time(0.5))).toMatchObject({ pieces: [{ from: 5, to: 25 }], next: 100 });
    expect(cut(time(0.1), 1, time(0.5), time(0.5), 2)).toMatchObject({ pieces: [{ from: 5, to: 25, text: [1] }], next: 25 });
    expect(cut(time(0.1), 1, time(0.5), time(0.6), 2, time(3))).toMatchObject({ pieces: [{ to: 25 }, { from: 30, to: 100, text: [2] }], next: 100 });
    // What begins late and is cut by the window's end is heard whole in the next one.
    expect(cut(time(1.2))).toEqual({ pieces: [], next: 60 });
    expect(cut(time(0))).toEqual({ pieces: [], next: 100 });
    // A window that would begin again where it began is left.
    expect(cut(time(0), time(0), 5)).toMatchObject({ next: 100 });
  });
});

describe('words', () => {
  it('begin with a space, but for the first; characters of several tokens stay whole', async () => {
    const text = 'Über den Häusern, 早い';
    const words = await splitWords(await say(text), model.tokenizer, 'de');
    expect(words.map((word) => word.text)).toEqual(['Über', ' den', ' Häusern,', ' 早い']);
    expect(words.reduce((sum, { count }) => sum + count, 0)).toBe(Buffer.from(text).length);
    expect((await splitWords(await say('早い!'), model.tokenizer, 'ja')).map((word) => word.text)).toEqual(['早', 'い', '!']);
    expect(await splitWords([], model.tokenizer, null)).toEqual([]);
  });
  it('lie where the heads look', async () => {
    const spoken = await say(' ab cd');
    const [window] = await all(scripted([[time(0.48), ...spoken, time(1.5)]]), noise(2));
    // The stand-in's token number i looks at 0.16 s times i, and a word's first token is the one before it.
    const [first, second] = window!.segments[0]!.words;
    expect(first).toMatchObject({ text: ' ab' });
    expect(second).toMatchObject({ text: ' cd' });
    expect(Math.abs(second!.from - first!.from - 3 * 0.16)).toBeLessThan(0.05);
    expect(first!.to).toBe(second!.from);
  });
  it('follow the cheapest path, as going through all of them finds it', () => {
    for (let seed = 1; seed < 20; seed++) {
      const [rows, columns] = [1 + (seed % 4), 1 + (seed % 5)];
      const cost = randomFloats(rows * columns, seed);
      let best = { total: Infinity, entered: [] as number[] };
      const walk = (r: number, c: number, total: number, entered: number[]): void => {
        const now = total + cost[r * columns + c]!;
        if (r === rows - 1 && c === columns - 1 && now < best.total) best = { total: now, entered };
        if (r + 1 < rows) walk(r + 1, c, now, [...entered, c]);
        if (c + 1 < columns) walk(r, c + 1, now, entered);
        if (r + 1 < rows && c + 1 < columns) walk(r + 1, c + 1, now, [...entered, c + 1]);
      };
      walk(0, 0, 0, [0]);
      expect(warp(cost, rows, columns), `seed ${seed}`).toEqual(best.entered);
    }
  });
});

it('computes the same on the reference', async () => {
  const other = createReferenceDevice();
  const slow = await openSpeechModel(randomWhisper, other);
  const samples = (await talkSamples()).subarray(0, 2 * sampleRate);
  const texts = (windows: TranscribedWindow[]): string[] => windows.flatMap(({ segments }) => segments.map(({ text }) => text));
  expect(texts(await all(slow, samples, { language: 'en' }))).toEqual(texts(await all(model, samples, { language: 'en' })));
  slow.close();
  await other.close();
});
