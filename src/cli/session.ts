/** `lodestone session`: what is kept of documents that were read, and how to be rid of it. */
import { rm } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { imagesFolder } from '../answer/kept-images.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { picturesFolder, speechFolder } from '../ingest/media/journal.js';
import { indexesFolder } from '../reader/index-file.js';
import { sessionsFolder } from '../sessions/open.js';
import { removeUnfinished } from '../sessions/private-file.js';
import { leastRecent, listBlocks, listSessions, ownBlocks, removeBlocks, type StoredSession } from '../sessions/store.js';
import { textsFolder } from '../sessions/texts.js';
import { bytes, count } from '../ui/format.js';
import { formatSession, formatSessions } from '../ui/sessions.js';
import { cacheOptions } from './cache.js';
import { between, parseBytes } from './numbers.js';

interface JsonOption {
  readonly json?: boolean;
}

function sessionJson({ id, label, tokens, bytes: size, usedAt, blocks }: StoredSession): object {
  return {
    schema: 'lodestone.session/1',
    id,
    model: label.model,
    sources: label.sources,
    tokens,
    bytes: size,
    used: new Date(usedAt).toISOString(),
    restore_points: blocks.map(({ to }) => to),
  };
}

async function list({ json }: JsonOption): Promise<void> {
  const { sessions, broken } = await listSessions(sessionsFolder(cacheOptions().folder));
  process.stdout.write(json === true ? `${JSON.stringify(sessions.map(sessionJson))}\n` : formatSessions(sessions, Date.now()));
  if (broken.length > 0) process.stderr.write(`lodestone: ${broken.length} files are damaged or lack their beginning; lodestone session prune removes them\n`);
}

/** Errors: LodestoneError(usage) where none or several begin so. */
function named(id: string, sessions: readonly StoredSession[]): StoredSession {
  const found = sessions.filter((session) => session.id.startsWith(id));
  if (found.length === 1) return found[0]!;
  const problem = found.length === 0 ? `no session ${id}` : `${found.length} sessions begin with ${id}`;
  throw new LodestoneError(ExitCode.usage, `${problem}; lodestone session ls lists them`);
}

async function show(id: string, { json }: JsonOption): Promise<void> {
  const { sessions } = await listSessions(sessionsFolder(cacheOptions().folder));
  const session = named(id, sessions);
  process.stdout.write(json === true ? `${JSON.stringify(sessionJson(session))}\n` : formatSession(session, Date.now()));
}

async function remove(ids: readonly string[]): Promise<void> {
  const folder = sessionsFolder(cacheOptions().folder);
  const { sessions } = await listSessions(folder);
  const chosen = ids.map((id) => named(id, sessions));
  let left = sessions;
  for (const session of chosen) {
    await removeBlocks(folder, ownBlocks(session, left).map(({ name }) => name));
    left = left.filter((other) => other !== session);
  }
}

async function prune({ to, days, all }: { readonly to?: number; readonly days?: number; readonly all?: boolean }): Promise<void> {
  const { folder: cache, sessionBytes } = cacheOptions();
  const folder = sessionsFolder(cache);
  const before = await listBlocks(folder);
  const { broken } = await listSessions(folder);
  const oldest = days === undefined ? -Infinity : Date.now() - days * 86_400_000;
  const dropped = new Set([...broken, ...before.filter(({ usedAt }) => usedAt < oldest)]);
  const kept = before.filter((block) => !dropped.has(block));
  for (const block of leastRecent(kept, all === true ? 0 : (to ?? sessionBytes))) dropped.add(block);
  await removeBlocks(folder, [...dropped].map(({ name }) => name));
  await removeUnfinished(folder);
  if (all === true) for (const other of [textsFolder, imagesFolder, speechFolder, picturesFolder, indexesFolder]) await rm(other(cache), { recursive: true, force: true });
  const freed = [...dropped].reduce((sum, block) => sum + block.bytes, 0);
  process.stdout.write(`removed ${count(dropped.size)} files, ${bytes(freed)}\n`);
}

function size(text: string): number {
  const value = parseBytes(text);
  if (value === null) throw new InvalidArgumentError('a size such as 500M or 10G is needed');
  return value;
}

/** @param parent whose settings its verbs take over */
export function sessionCommand(parent: Command): Command {
  const session = new Command('session').copyInheritedSettings(parent).description('what is kept of documents that were read, so that the next question is read alone');
  session
    .command('ls')
    .description('list sessions, the last used first')
    .option('--json', 'print a JSON array (schema lodestone.session/1 each)')
    .action((options: JsonOption) => list(options));
  session
    .command('show')
    .description('sources, tokens and restore points of a session')
    .argument('<id>', 'as ls shows it, or its beginning')
    .option('--json', 'print one JSON object (schema lodestone.session/1)')
    .action((id: string, options: JsonOption) => show(id, options));
  session
    .command('rm')
    .description('remove sessions; what another one begins with stays')
    .argument('<id...>', 'as ls shows them, or their beginnings')
    .action((ids: string[]) => remove(ids));
  session
    .command('prune')
    .description('remove what is damaged, and the least recently used beyond the limit')
    .option('--to <size>', 'leave at most so much, such as 500M (default: the limit)', size)
    .option('--days <n>', 'also what was not used for so long', between(0, 36_500))
    .option('--all', 'everything, also texts, indexes, and what was heard and seen')
    .action((options: { to?: number; days?: number; all?: boolean }) => prune(options));
  session.addHelpText(
    'after',
    `
Sessions hold the keys and values of what was read, and so its content; only you can read the files. They lie in
LODESTONE_HOME/cache, else in XDG_CACHE_HOME/lodestone, and take at most LODESTONE_SESSION_BYTES (10G).`,
  );
  return session;
}
