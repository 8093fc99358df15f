/** What decoders make of recordings, whole and broken, through our own front door: right result, or one clear line. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ingest, type IngestOptions } from '../../../src/ingest/ingest.js';
import { findFfmpeg } from '../../../src/ingest/media/find-ffmpeg.js';
import { Ffmpeg } from '../../../src/ingest/media/ffmpeg.js';
import { findMediabunny } from '../../../src/ingest/media/mediabunny.js';
import type { Frame, MediaDecoder, TimeRange } from '../../../src/ingest/media/media.js';
import { openRecording } from '../../../src/ingest/media/open.js';
import type { MediaOptions } from '../../../src/ingest/media/recording.js';
import type { IngestedSource } from '../../../src/ingest/segment.js';
import type { Transcriber } from '../../../src/speech/transcriber.js';
import { join, talkSamples } from '../../speech/golden.js';
import { file, fixture, refusal, scratch } from '../support.js';
import { bars, colours, describeWithFfmpeg, ffmpeg, make, tone, wavBytes } from './support.js';

const everything: TimeRange = { from: 0, to: Infinity };
const decoding = { range: everything, stallMs: 20_000 };

/** Both, so that they pass the same tests. */
const decoders: [string, MediaDecoder][] = ffmpeg === null ? [] : [['ffmpeg', new Ffmpeg(ffmpeg)]];
const bunny = findMediabunny();
if (bunny === null) process.stderr.write('SKIPPED: mediabunny and node-webcodecs are not installed here: recordings were decoded by ffmpeg alone in these tests\n');
else if (ffmpeg !== null) decoders.push(['mediabunny', bunny]);

async function soundBy(decoder: MediaDecoder, path: string, range = everything): Promise<Float32Array> {
  return join(decoder.sound(path, { ...decoding, range }));
}
const sound = async (path: string): Promise<Float32Array> => soundBy((await openRecording(path)).decoder, path);

async function framesBy(decoder: MediaDecoder, path: string, fps = 1, range = everything): Promise<Frame[]> {
  const all: Frame[] = [];
  for await (const frame of decoder.frames(path, { ...decoding, range, fps, mostPixels: 256 })) all.push(frame);
  return all;
}

/** The middle pixel. */
function colour({ image: { width, height, data } }: Frame): number[] {
  const at = (Math.floor(height / 2) * width + Math.floor(width / 2)) * 3;
  return [...data.subarray(at, at + 3)].map((level) => Math.round(level / 64) * 64);
}
const [red, green, blue] = [[256, 0, 0], [0, 128, 0], [0, 0, 256]];

/** Hears every sound to its end and says that it was one. */
const listener = {
  async *transcribe({ decoder, path: of }: Awaited<ReturnType<typeof openRecording>>, _: string, options: typeof decoding) {
    let seconds = options.range.from;
    for await (const piece of decoder.sound(of, options)) seconds += piece.length / 16_000;
    yield { segments: [{ from: 0.5, to: seconds, text: 'A sound.', words: [], probability: 1 }], heard: seconds, language: null, repeated: false };
  },
} as unknown as Transcriber;
/** Hears nothing. */
const deaf = { async *transcribe() {} } as unknown as Transcriber;
const vision = { fps: 1, frames: 'changed', imageSize: 64, whole: false, most: 100 } as const;
const media: MediaOptions = { speech: async () => listener, vision, range: everything, ranged: false };

const read = async (path: string, options: Partial<MediaOptions> = {}, more: IngestOptions = {}): Promise<IngestedSource> => (await ingest([path], { media: { ...media, ...options }, ...more }))[0]!;

describe.each(decoders)('sound by %s', (_, decoder) => {
  const dir = scratch();
  it.each(['mp3', 'm4a', 'opus', 'mkv'])('of %s is that of the WAV', async (ext) => {
    const made = make(dir, `talk.${ext}`, '-i', fixture('talk.wav'), ...(ext === 'mkv' ? ['-c:a', 'flac'] : []));
    expect(await decoder.probe(made)).toMatchObject({ audio: true, video: false });
    const [got, want] = [await soundBy(decoder, made), await talkSamples()];
    // mediabunny leaves the silence in that an MP3 encoder puts around the sound, about a tenth of a second.
    const padded = ext === 'mp3' && decoder === bunny;
    expect(Math.abs(got.length - want.length)).toBeLessThan(16_000 / (padded ? 8 : 15));
    if (padded) return;
    // Loudness over time, since codecs keep no samples.
    const loudness = (samples: Float32Array): number[] => Array.from({ length: 30 }, (__, i) => Math.sqrt(samples.subarray(i * 1600, (i + 1) * 1600).reduce((sum, value) => sum + value ** 2, 0) / 1600));
    const [a, b] = [loudness(got), loudness(want)];
    const error = Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) / b.reduce((sum, value) => sum + value ** 2, 0));
    expect(error).toBeLessThan(0.1);
  });
  it('of a range begins and ends where it says', async () => {
    const made = make(dir, 'tones.flac', '-f', 'lavfi', '-i', 'sine=frequency=1000:duration=4:sample_rate=44100', '-af', 'volume=enable=gte(t\\,2):volume=0');
    const samples = await soundBy(decoder, made, { from: 1.5, to: 3 });
    expect(Math.abs(samples.length - 24_000)).toBeLessThan(20);
    expect(Math.max(...samples.subarray(0, 7500))).toBeGreaterThan(0.1);
    expect(Math.max(...samples.subarray(8500))).toBeLessThan(0.01);
  });
  it('that begins later than the pictures keeps its time', async () => {
    const made = make(dir, 'late.mkv', ...bars(3), '-itsoffset', '1.5', ...tone(1), '-map', '0:v', '-map', '1:a');
    const samples = await soundBy(decoder, made);
    expect(Math.max(...samples.subarray(0, 23_000))).toBeLessThan(0.01);
    expect(Math.max(...samples.subarray(25_000))).toBeGreaterThan(0.05);
  });
  it('is refused where there is none', async () => {
    const silent = make(dir, 'silent.mp4', ...bars(1));
    expect(await decoder.probe(silent)).toMatchObject({ audio: false, video: true });
    await refusal(soundBy(decoder, silent), 'silent.mp4');
    await refusal(decoder.probe(file(dir, 'text.mp4', 'just a text')), 'text.mp4');
  });
});

describe.each(decoders)('pictures by %s', (name, decoder) => {
  const dir = scratch();
  it('are those shown at their time', async () => {
    const made = make(dir, 'colours.mp4', ...colours(['red', 'green', 'blue']));
    const shown = await framesBy(decoder, made);
    expect(shown.map(({ time }) => time)).toEqual([0, 1, 2]);
    expect(shown.map(colour)).toEqual([red, green, blue]);
    expect((await framesBy(decoder, made, 2)).map(colour)).toEqual([red, red, green, green, blue, blue]);
    const part = await framesBy(decoder, made, 1, { from: 0.5, to: 2.5 });
    expect(part.map(({ time }) => time)).toEqual([0.5, 1.5]);
    expect(part.map(colour)).toEqual([red, green]);
  });
  it('of a variable frame rate keep their time', async () => {
    // Ten a second, but for nearly two seconds in the middle: what lasts is shown as long as it lasts.
    const made = make(dir, 'vfr.mkv', ...colours(['red', 'green', 'green', 'blue']), '-filter_complex', '[0:v][1:v][2:v][3:v]concat=n=4:v=1:a=0,select=not(between(t\\,1.05\\,2.95))', '-vsync', 'vfr');
    expect((await framesBy(decoder, made)).map(colour)).toEqual([red, green, green, blue]);
  });
  it('stand upright, whatever their size; one pixel is a picture too', async () => {
    const size = async (of: string): Promise<number[]> => (await framesBy(decoder, of)).flatMap(({ image: { width, height, data } }) => [width, height, data.length / width / height]);
    const flat = make(dir, 'flat.mp4', ...bars(1, '64x48'));
    const turned = make(dir, 'turned.mp4', '-i', flat, '-c', 'copy', '-metadata:s:v:0', 'rotate=90');
    expect(await size(flat)).toEqual([64, 48, 3]);
    expect(await size(turned)).toEqual([48, 64, 3]);
    // Both turn it the same way.
    const corner = (await framesBy(decoder, turned))[0]!.image.data.subarray(0, 3);
    const byFfmpeg = (await framesBy(decoders[0]![1], turned))[0]!.image.data.subarray(0, 3);
    expect(Math.max(...corner.map((level, i) => Math.abs(level - byFfmpeg[i]!)))).toBeLessThan(40);
    expect(await size(make(dir, 'large.mp4', ...bars(1, '640x100')))).toEqual([256, 40, 3]);
    expect(await size(make(dir, 'odd.webm', ...bars(1, '37x53'), '-c:v', 'libvpx'))).toEqual([37, 53, 3]);
    // In containers and codecs that only ffmpeg knows.
    if (name !== 'ffmpeg') return;
    const raw = file(dir, 'dot.rgb', Buffer.alloc(3 * 5, 200));
    expect(await size(make(dir, 'dot.avi', '-f', 'rawvideo', '-pixel_format', 'rgb24', '-video_size', '1x1', '-framerate', '5', '-i', raw, '-c:v', 'rawvideo', '-pix_fmt', 'bgr24'))).toEqual([1, 1, 3]);
  });
});

describeWithFfmpeg('pictures', () => {
  const dir = scratch();
  it('and sound lie on one line of time; repeated ones are left out and counted', async () => {
    const made = make(dir, 'both.mp4', ...tone(4), ...colours(['red', 'red', 'blue', 'blue']).map((each) => each.replaceAll(/\[(\d):v\]/g, (_, i: string) => `[${Number(i) + 1}:v]`)));
    const { source, segments, warnings } = await read(made);
    expect(source).toMatchObject({ kind: 'video', frames: { shown: 2, repeated: 2, scenes: 2 } });
    expect(Math.abs(source.seconds! - 4)).toBeLessThan(0.1);
    expect(segments.map(({ image, text, time }) => [image ? 'picture' : text, Math.round(time![0] * 10) / 10])).toEqual([['picture', 0], ['A sound.\n', 0.5], ['picture', 2]]);
    expect(segments[0]!.image).toMatchObject({ width: 64, height: 64 });
    expect(warnings).toEqual([]);
  });
  it('are not looked at by a model that reads text, and that is said', async () => {
    const made = path.join(dir, 'both.mp4');
    const { source, segments, warnings } = await read(made, { vision: 'x reads text only' });
    expect(source.frames).toBeUndefined();
    expect(segments).toHaveLength(1);
    expect(warnings).toEqual(['its pictures are not looked at: x reads text only']);
    expect((await read(made, { speech: async () => 'no ears' })).warnings).toEqual(['its sound is not heard: no ears']);
    expect(await refusal(read(made, { speech: async () => 'no ears', vision: 'no eyes' }), 'both.mp4')).toMatch(/no ears.*no eyes/);
  });
});

describeWithFfmpeg('bad input', () => {
  const dir = scratch();
  const good = (): string => make(dir, 'good.mp4', ...bars(6, '160x120', 25), ...tone(6));
  it('an MP4 that is cut short: refused where its index was behind, told where it was in front', async () => {
    const bytes = readFileSync(good());
    const behind = file(dir, 'cut.mp4', bytes.subarray(0, bytes.length / 2));
    expect(await refusal(read(behind), 'cut.mp4')).toMatch(/moov atom/);
    const front = readFileSync(make(dir, 'front.mp4', '-i', path.join(dir, 'good.mp4'), '-c', 'copy', '-movflags', 'faststart'));
    const { warnings } = await read(file(dir, 'cut2.mp4', front.subarray(0, front.length / 2)), { vision: 'blind' });
    expect(warnings.join('; ')).toMatch(/cut short or damaged/);
  });
  it('no pictures, no sound, neither', async () => {
    const silent = make(dir, 'silent.mp4', ...bars(1));
    expect((await read(silent)).segments.every(({ image }) => image)).toBe(true);
    expect(await refusal(read(silent, { vision: 'no eyes' }), 'silent.mp4')).toMatch(/without sound.*no eyes/);
    const heard = make(dir, 'heard.mp4', ...tone(1));
    expect((await read(heard)).source.kind).toBe('audio');
    expect(await refusal(read(heard, { speech: async () => 'no ears' }), 'heard.mp4')).toMatch(/no ears/);
    const words = make(dir, 'words.mkv', '-f', 'srt', '-i', file(dir, 'x.srt', '1\n00:00:00,000 --> 00:00:01,000\nhi\n'));
    expect(await refusal(read(words), 'words.mkv')).toMatch(/neither sound nor pictures/);
  });
  it('a cover is no video', async () => {
    const cover = make(dir, 'cover.png', ...bars(1), '-frames:v', '1');
    const song = make(dir, 'song.mp3', ...tone(1), '-i', cover, '-map', '0', '-map', '1', '-disposition:v', 'attached_pic');
    expect((await read(song)).source.kind).toBe('audio');
  });
  it('nothing at all, and sound of no length', async () => {
    expect(await refusal(read(file(dir, 'empty.mp4', '')), 'empty.mp4')).toMatch(/empty/);
    const none = file(dir, 'none.wav', wavBytes(Buffer.alloc(0)));
    expect((await sound(none)).length).toBe(0);
    expect(await refusal(read(none, { speech: async () => deaf }), 'none.wav')).toMatch(/no speech/);
  });
  it('a wrong name: the content decides', async () => {
    const made = good();
    copyFileSync(made, path.join(dir, 'video.pdf'));
    expect((await read(path.join(dir, 'video.pdf'))).source.kind).toBe('video');
    const text = file(dir, 'text.mp4', 'The access code is 742.\n');
    expect((await read(text)).source.kind).toBe('text');
    const half = file(dir, 'half.mp4', Buffer.concat([readFileSync(made).subarray(0, 40), Buffer.alloc(500, 0x55)]));
    expect(await refusal(read(half), 'half.mp4')).toMatch(/can't be decoded/);
  });
  it('a playlist that points at other files, whatever it is called', async () => {
    const secret = make(dir, 'secret.mp3', ...tone(1));
    const lists = {
      'list.m3u8': `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${secret}\n#EXT-X-ENDLIST\n`,
      'list.mp4': `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${secret}\n#EXT-X-ENDLIST\n`,
      'concat.mp4': `ffconcat version 1.0\nfile ${secret}\n`,
    };
    for (const [name, text] of Object.entries(lists)) {
      const list = file(dir, name, text);
      expect(await refusal(read(list), name)).toMatch(/is a playlist/);
      // And ffmpeg itself would not follow it.
      expect(await refusal(openRecording(list), name)).toMatch(/can't be decoded/);
    }
    const sdp = file(dir, 'net.mp4', 'v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n');
    await refusal(openRecording(sdp), 'net.mp4');
  });
  it('names that ffmpeg would take for something else', async () => {
    const odd = path.join(dir, 'concat:a|b.mp3');
    copyFileSync(make(dir, 'plain.mp3', ...tone(1)), odd);
    expect((await sound(odd)).length).toBeGreaterThan(15_000);
  });
  it('a part that lies behind the end; parts and pages of what has none', async () => {
    const made = path.join(dir, 'plain.mp3');
    expect(await refusal(read(made, { range: { from: 60, to: Infinity }, ranged: true }), 'plain.mp3', 2)).toMatch(/--from 01:00/);
    await refusal(read(fixture('notes.md'), { range: { from: 1, to: 2 }, ranged: true }), 'notes.md', 2);
    await refusal(read(made, {}, { pages: [{ from: 1, to: 1 }] }), 'plain.mp3', 2);
  });
  it('without ffmpeg: what to do', async () => {
    expect(await findFfmpeg({ PATH: dir, FFMPEG_BIN: '' })).toBeNull();
    await expect(findFfmpeg({ FFMPEG_BIN: path.join(dir, 'plain.mp3') })).rejects.toThrow(/FFMPEG_BIN/);
    writeFileSync(path.join(dir, 'ffmpeg'), '', { mode: 0o755 });
    expect(await findFfmpeg({ PATH: dir })).toBe(path.join(dir, 'ffmpeg'));
  });
});
