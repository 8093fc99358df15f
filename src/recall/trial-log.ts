/** A run's records as lines of JSON, written as they come, so that a run that was stopped goes on where it was. */
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { ExitCode, LodestoneError } from '../errors.js';
import { sourceName } from '../ingest/name.js';
import { recordKey, type TrialRecord } from './record.js';
import { differs, type RunSettings } from './settings.js';

const SCHEMA = 'lodestone.needle-log/1';

export interface TrialLog {
  /** What was there, by `recordKey`. */
  readonly done: ReadonlyMap<string, TrialRecord>;
  /** Only those that are not in the log as they are. */
  append(records: readonly TrialRecord[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a log, or begins one. The last line may be torn, by a run that was killed while it wrote; it is cut off.
 * Errors: LodestoneError(usage) where the log is of other settings, named; unreadableInput where it is no log.
 */
export async function openTrialLog(file: string, settings: RunSettings): Promise<TrialLog> {
  const { text, whole } = await readWhole(file);
  const done = whole === '' ? new Map<string, TrialRecord>() : parseLog(file, whole, settings);
  let handle: FileHandle;
  try {
    // Opened to write in place: cutting the torn line off is the only change to what is there.
    handle = await open(file, whole === '' ? 'w' : 'r+');
    if (whole === '') await handle.write(`${JSON.stringify({ schema: SCHEMA, settings })}\n`);
    else if (whole !== text) await handle.truncate(Buffer.byteLength(whole));
  } catch (cause) {
    throw cannot(file, cause);
  }
  let end = (await handle.stat()).size;
  return {
    done,
    async append(records) {
      const fresh = records.filter((record) => done.get(recordKey(record)) !== record);
      if (fresh.length === 0) return;
      // One write for a document: a run that is killed leaves whole documents, and at most one torn line.
      const lines = Buffer.from(fresh.map((record) => `${JSON.stringify(record)}\n`).join(''));
      for (let from = 0; from < lines.length; ) {
        const { bytesWritten } = await handle.write(lines, from, lines.length - from, end);
        from += bytesWritten;
        end += bytesWritten;
      }
    },
    close: () => handle.close(),
  };
}

/** @returns the text, and its whole lines; both '' where there is no file. */
async function readWhole(file: string): Promise<{ text: string; whole: string }> {
  try {
    const text = await readFile(file, 'utf8');
    return { text, whole: text.slice(0, text.lastIndexOf('\n') + 1) };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { text: '', whole: '' };
    throw cannot(file, cause);
  }
}

function parseLog(file: string, whole: string, settings: RunSettings): Map<string, TrialRecord> {
  const [head = '', ...lines] = whole.trimEnd().split('\n');
  const header = parseLine(head) as { schema?: string; settings?: Partial<RunSettings> } | null;
  if (header?.schema !== SCHEMA || header.settings === undefined) {
    throw new LodestoneError(ExitCode.unreadableInput, `${sourceName(file)}: is not a log of lodestone needle; it is left as it is`);
  }
  const other = differs(header.settings, settings);
  if (other !== null) {
    throw new LodestoneError(ExitCode.usage, `${sourceName(file)}: is the log of a run with another ${other} (${short(header.settings[other])}, now ${short(settings[other])}); name another --log`);
  }
  const done = new Map<string, TrialRecord>();
  for (const [i, line] of lines.entries()) {
    const record = parseLine(line) as TrialRecord | null;
    if (record?.type !== 'trial') throw new LodestoneError(ExitCode.unreadableInput, `${sourceName(file)}: line ${i + 2} is not a trial`);
    // A later one stands for an earlier: an error that was tried again.
    done.set(recordKey(record), record);
  }
  return done;
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'none';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function cannot(file: string, cause: unknown): LodestoneError {
  return new LodestoneError(ExitCode.unreadableInput, `${sourceName(file)}: ${(cause as Error).message}`, { cause });
}
