/** `lodestone transcribe`: a recording's speech as text, with times, while it is heard. */
import { Command, Option } from 'commander';
import { shortClock } from '../clock.js';
import { deviceChoices, type DeviceChoice } from '../device/select.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { defaultLimits } from '../ingest/limits.js';
import { speechFolder } from '../ingest/media/journal.js';
import { isPlaylist, mediaHeadBytes, mediaKind } from '../ingest/media/kind.js';
import { sourceName, unreadable } from '../ingest/name.js';
import { readHead } from '../ingest/read.js';
import { cacheFolder } from '../models/places.js';
import { formatSegment, opening, transcriptFormats, type TranscriptFormat } from '../speech/formats.js';
import { requireSpeech } from '../speech/choose.js';
import { namedSpeech } from '../speech/named.js';
import type { SpeechSegment } from '../speech/transcribe.js';
import type { Transcriber } from '../speech/transcriber.js';
import { clean } from '../ui/format.js';
import { finish, heardLines, jobLine, listening, paceFrom } from '../ui/job-state.js';
import { liveLine } from '../ui/live-line.js';
import { sha256OfFiles } from '../weights/hash.js';
import { integer } from './numbers.js';
import { openJobScreen } from './screen.js';
import { time, timeRange } from './times.js';

interface TranscribeOptions {
  readonly model?: string;
  readonly format: TranscriptFormat;
  readonly language?: string;
  readonly from?: number;
  readonly to?: number;
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly session: boolean;
  readonly plain?: boolean;
  readonly quiet?: boolean;
}

/** Throws LodestoneError(unreadableInput) where the file is no recording. */
async function refuseOthers(path: string): Promise<void> {
  const head = await readHead(path, mediaHeadBytes);
  if (head.length === 0) throw unreadable(path, 'is empty');
  if (isPlaylist(head)) throw unreadable(path, 'is a playlist, which points at other files; name those');
  if ((await mediaKind(head)) === null) throw unreadable(path, 'is no recording (WAV, FLAC, MP3, M4A, Ogg, Opus, MP4, MKV, WebM, ... are)');
}

async function run(path: string, options: TranscribeOptions, signal: AbortSignal): Promise<void> {
  const range = timeRange(options.from, options.to);
  await refuseOthers(path);
  const [{ openRecording }, { listen }, { Transcriber: Transcribers }, { selectDevice }] = await Promise.all([
    import('../ingest/media/open.js'),
    import('../ingest/media/listen.js'),
    import('../speech/transcriber.js'),
    import('../device/select.js'),
  ]);
  const dir = await requireSpeech(options.model, { option: '-m' });
  const { device, why } = await selectDevice(options.device, options.threads === undefined ? {} : { threads: options.threads });
  // Other formats are for programs, wherever they are printed.
  const screen = await openJobScreen(options.format === 'txt' && options.plain !== true && options.quiet !== true);
  const line = liveLine(process.stderr, options.quiet !== true && screen === null);
  const warn = (message: string): void => {
    if (options.quiet === true) return;
    if (screen) return screen.update((state) => finish(state, { mark: '!', text: message, tone: 'bad' }));
    line.clear();
    process.stderr.write(`lodestone: ${clean(message)}\n`);
  };
  if (device.name === 'reference' && options.device === 'auto') warn(why);
  let transcriber: Transcriber | undefined;
  try {
    transcriber = await Transcribers.open(dir, device, { language: options.language, keep: options.session ? speechFolder(cacheFolder()) : null });
    const recording = await openRecording(path, signal);
    if (!recording.audio) throw unreadable(path, 'has no sound track');
    const end = Math.min(range.to, recording.seconds ?? Infinity);
    if (range.from >= end) throw new LodestoneError(ExitCode.usage, `--from ${shortClock(range.from)}: ${sourceName(path)} ends at ${shortClock(end)}`);
    const sha256 = await sha256OfFiles([path], signal);
    const segments: SpeechSegment[] = [];
    let language: string | null = null;
    const pace = paceFrom();
    if (screen === null) process.stdout.write(opening(options.format));
    const decoding = { range, signal, stallMs: defaultLimits.mediaStallMs, onDamage: (what: string) => warn(`${sourceName(path)}: ${what}`) };
    for await (const window of listen(transcriber, recording, sha256, decoding)) {
      language ??= window.language;
      const now = listening(sourceName(path), pace(window.heard, end, performance.now()));
      if (screen) {
        screen.update((state) => ({ ...finish(state, ...heardLines(window.segments)), progress: now }));
        continue;
      }
      for (const segment of window.segments) {
        segments.push(segment);
        line.clear();
        process.stdout.write(clean(formatSegment(segment, segments.length, options.format)));
      }
      line.show(jobLine(now));
    }
    line.clear();
    const summary = { source: path, sha256, language, seconds: recording.seconds, segments };
    if (options.format === 'json') process.stdout.write(`${JSON.stringify({ schema: 'lodestone.transcript/1', ...summary })}\n`);
    if (options.format === 'jsonl') process.stdout.write(`${JSON.stringify({ type: 'end', ...summary, segments: segments.length })}\n`);
  } finally {
    line.clear();
    await screen?.close();
    await transcriber?.close();
    await device.close();
  }
}

export function transcribeCommand(signal: AbortSignal): Command {
  return new Command('transcribe')
    .description("write down a recording's speech, with times, while it is heard")
    .argument('<file>', 'WAV; with ffmpeg FLAC, MP3, M4A, Ogg, Opus, and the sound of MP4, MKV, WebM, MOV, ...')
    .addOption(new Option('-m, --model <model>', 'folder of a Whisper checkpoint (safetensors), hf:org/repo, or a short name (default: the one that was pulled)').default(namedSpeech()))
    .addOption(new Option('--format <name>', 'how to write it').choices(transcriptFormats).default('txt'))
    .option('--language <code>', 'en, de, ...; as it sounds by default')
    .option('--from <time>', 'begin here: seconds, MM:SS or H:MM:SS', time)
    .option('--to <time>', 'end here', time)
    .addOption(new Option('--device <name>', 'where to compute').choices(deviceChoices).default('auto'))
    .option('--threads <n>', 'threads of the cpu device', integer(1))
    .option('--no-session', 'hear everything again, and keep nothing for the next run')
    .option('--plain', 'plain text, also on a terminal')
    .option('-q, --quiet', 'no progress and no warnings on stderr')
    .action((file: string, options: TranscribeOptions) => run(file, options, signal));
}
