/** One live line on stderr, when it is a terminal; warnings always, as lines of their own. */
import type { AskEvent } from '../answer/answer.js';
import { shortClock } from '../clock.js';
import { sourceName } from '../ingest/name.js';
import { stepPlace, stopLine } from './budget.js';
import { clean, count } from './format.js';
import { liveLine } from './live-line.js';

export interface ProgressLine {
  show(event: AskEvent): void;
  /** Removes the live line; what follows starts on a clean one. */
  clear(): void;
}

function describe(event: AskEvent): string | null {
  if (event.type === 'ingest' && (event.unit === 'seconds of sound' || event.unit === 'seconds of pictures')) {
    const left = event.eta_seconds === undefined ? '' : `  ${shortClock(event.eta_seconds)} left`;
    return `${event.unit === 'seconds of sound' ? 'listening to' : 'looking through'} ${sourceName(event.path)}  ${shortClock(event.done)} / ${shortClock(event.total)}${left}`;
  }
  if (event.type === 'ingest') return `reading ${sourceName(event.path)}  ${event.unit} ${count(event.done)} / ${count(event.total)}`;
  if (event.type === 'prefill') {
    const percent = Math.floor((100 * event.done) / Math.max(1, event.total));
    const eta = event.done < event.total ? `  ${Math.ceil(event.eta_seconds)} s left` : '';
    return `reading ${percent} %  ${count(event.done)} / ${count(event.total)} tokens  ${count(Math.round(event.tokens_per_second))} tokens/s${eta}`;
  }
  if (event.type === 'image') return `looking at images  ${Math.floor((100 * event.done) / event.total)} %  ${count(Math.ceil(event.done))} / ${count(event.total)}`;
  if (event.type === 'look') return `looking again ${count(event.done + 1)} / ${count(event.total)}`;
  if (event.type === 'index') return `${event.kept ? 'found' : 'made'} an index of ${count(event.leaves)} pieces`;
  if (event.type === 'step') return `${count(event.number)}. ${stepPlace(event)}${event.answer === '' ? '' : `: ${clean(event.answer)}`}`;
  if (event.type === 'token') return 'answering';
  return null;
}

export function progressLine(stream: NodeJS.WriteStream, enabled: boolean): ProgressLine {
  const line = liveLine(stream, enabled);
  return {
    clear: () => line.clear(),
    show(event) {
      if (!enabled) return;
      if (event.type === 'warning' || event.type === 'stop') {
        line.clear();
        stream.write(`lodestone: ${event.type === 'stop' ? stopLine(event) : clean(event.message)}\n`);
        return;
      }
      const text = describe(event);
      if (text !== null) line.show(text);
    },
  };
}
