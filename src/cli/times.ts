/** Times as options give them. */
import { InvalidArgumentError } from 'commander';
import { ExitCode, LodestoneError } from '../errors.js';
import type { TimeRange } from '../ingest/media/media.js';

/** 90, 1:30, 1:02:03.5 -> seconds. */
export function time(text: string): number {
  const match = /^(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)$/.exec(text.trim());
  if (!match) throw new InvalidArgumentError('a time is needed: seconds, MM:SS or H:MM:SS');
  const [, hours = '0', minutes = '0', seconds] = match;
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

/** Throws LodestoneError(usage) where it is empty. */
export function timeRange(from = 0, to = Infinity): TimeRange {
  if (to <= from) throw new LodestoneError(ExitCode.usage, `--from ${from} --to ${to}: nothing lies between them`);
  return { from, to };
}
