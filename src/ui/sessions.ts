/** Sessions as plain text. */
import { sourceName } from '../ingest/name.js';
import type { StoredSession } from '../sessions/store.js';
import { bytes, clean, count } from './format.js';
import { table } from './models.js';

/** How long ago: "5 minutes ago". @param now ms */
export function ago(then: number, now: number): string {
  const units: [number, string][] = [[86_400, 'day'], [3600, 'hour'], [60, 'minute']];
  const seconds = Math.max(0, (now - then) / 1e3);
  const [length, name] = units.find(([each]) => seconds >= each) ?? [0, ''];
  if (length === 0) return 'just now';
  const whole = Math.floor(seconds / length);
  return `${whole} ${name}${whole === 1 ? '' : 's'} ago`;
}

export function formatSessions(sessions: readonly StoredSession[], now: number): string {
  if (sessions.length === 0) return 'no sessions\n';
  const total = sessions.flatMap(({ blocks }) => blocks);
  const size = [...new Map(total.map((block) => [block.name, block.bytes])).values()].reduce((sum, value) => sum + value, 0);
  const rows = sessions.map(({ id, label, tokens, bytes: own, usedAt }) => {
    const [first, ...more] = label.sources;
    const names = `${sourceName(first?.path ?? '')}${more.length === 0 ? '' : ` and ${count(more.length)} more`}`;
    return [id, clean(label.model), `${count(tokens)} tokens`, bytes(own), ago(usedAt, now), clean(names)];
  });
  return `${table(rows)}\n${bytes(size)} in all\n`;
}

export function formatSession({ id, label, tokens, bytes: size, usedAt, blocks }: StoredSession, now: number): string {
  return `${table([
    ['session', id],
    ['model', clean(label.model)],
    ['tokens', count(tokens)],
    ['on disk', bytes(size)],
    ['used', ago(usedAt, now)],
    ...label.sources.map(({ path, tokens: of }, i) => [i === 0 ? 'sources' : '', `${clean(sourceName(path))}  ${count(of)} tokens`]),
    ['restores at', blocks.map(({ to }) => count(to)).join('  ')],
  ])}\n`;
}
