/** Recordings of hours, made of the package's clips and pictures: a few minutes are encoded, and repeated without being encoded again. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../paths.js';

const fixture = (...parts: string[]): string => path.join(packageRoot, 'fixtures', ...parts);

/** Sentences by synthetic voices, three minutes of them. */
const speech = fixture('speech', 'haystack.ogg');

/** Each picture stands so long, in seconds. */
const pictureSeconds = 4;

async function ffmpeg(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, ['-nostdin', '-hide_banner', '-loglevel', 'error', '-y', ...args]);
}

/** Makes a file, whole or not at all; one that is there stays. */
async function made(file: string, make: (target: string) => Promise<void>): Promise<string> {
  if (existsSync(file)) return file;
  const partial = path.join(path.dirname(file), `partial-${path.basename(file)}`);
  await make(partial);
  await rename(partial, file);
  return file;
}

async function repeated(program: string, base: string, file: string, seconds: number): Promise<string> {
  return made(file, (target) => ffmpeg(program, ['-stream_loop', '-1', '-i', base, '-t', String(seconds), '-map', '0', '-c', 'copy', target]));
}

/** @param program ffmpeg */
export async function longRecording(program: string, folder: string, seconds: number): Promise<string> {
  const base = await made(path.join(folder, 'speech.mka'), (target) => ffmpeg(program, ['-i', speech, '-c:a', 'flac', '-ar', '16000', target]));
  return repeated(program, base, path.join(folder, `recording-${seconds}.mka`), seconds);
}

/** Five pictures in turn, five frames a second, with speech. */
export async function longVideo(program: string, folder: string, seconds: number): Promise<string> {
  const base = await made(path.join(folder, 'film.mkv'), (target) =>
    ffmpeg(program, ['-loop', '1', '-framerate', `1/${pictureSeconds}`, '-i', fixture('video', 'scene-%d.jpg'), '-i', speech, '-r', '5', '-c:v', 'mpeg4', '-q:v', '5', '-pix_fmt', 'yuv420p', '-c:a', 'flac', '-ar', '16000', '-shortest', target]),
  );
  return repeated(program, base, path.join(folder, `film-${seconds}.mkv`), seconds);
}
