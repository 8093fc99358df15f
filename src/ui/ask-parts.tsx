/** Parts that the terminal views of `ask` and `chat` (Ink) share. */
import { Box, Text, useStdout } from 'ink';
import type { JSX } from 'react';
import { sourceName } from '../ingest/name.js';
import type { AskState, Finished } from './ask-state.js';
import { Bar } from './bar.js';
import { dialogueLetter, mapCells, type ContextPart } from './context-map.js';
import { bytes, clean, count } from './format.js';
import { answerText, NO_CITATION, place } from './plain.js';

function Progress({ state }: { readonly state: AskState }): JSX.Element | null {
  const { reading, prefill, look, step } = state;
  if (reading !== null) {
    return (
      <Text wrap="truncate-middle">
        <Bar done={reading.done} total={reading.total} /> {sourceName(reading.path)} {count(reading.done)} / {count(reading.total)} {reading.unit}
      </Text>
    );
  }
  if (step !== null) {
    return (
      <Text wrap="truncate">
        {count(step.number)}. {step.place}
        {step.answer === '' ? '' : `: ${clean(step.answer)}`}
      </Text>
    );
  }
  if (look !== null) {
    return (
      <Text>
        <Bar done={look.done} total={look.total} /> looking again {count(look.done + 1)} / {count(look.total)}
      </Text>
    );
  }
  if (prefill === null || prefill.done >= prefill.total) return null;
  return (
    <Text wrap="truncate">
      <Bar done={prefill.done} total={prefill.total} /> {count(prefill.done)} / {count(prefill.total)} tokens  {count(Math.round(prefill.rate))} tokens/s
      {'  '}{Math.ceil(prefill.eta)} s left
    </Text>
  );
}

/** Colours of the sources in the map, in turn; the letters say the same. */
const PART_COLOURS = ['cyan', 'green', 'magenta', 'yellow', 'blue'];

/** Who occupies the context; what is not read yet is dim. */
export function MapRow({ parts, dialogue, share }: { readonly parts: readonly ContextPart[]; readonly dialogue: number; readonly share: number }): JSX.Element {
  const { stdout } = useStdout();
  const cells = mapCells(parts, dialogue, Math.max(4, Math.min(64, (stdout.columns || 80) - 2)));
  const read = Math.round(cells.length * share);
  const runs = [...cells.matchAll(/(.)\1*/gu)].map((match) => ({ letter: match[1]!, from: match.index, text: match[0] }));
  return (
    <Text wrap="truncate">
      {runs.map(({ letter, from, text }) => {
        const colour = letter === dialogueLetter ? undefined : PART_COLOURS[Math.max(0, letter.charCodeAt(0) - 97) % PART_COLOURS.length];
        const done = Math.max(0, Math.min(text.length, read - from));
        return (
          <Text key={from} {...(colour === undefined ? {} : { color: colour })}>
            {text.slice(0, done)}
            <Text dimColor>{text.slice(done)}</Text>
          </Text>
        );
      })}
    </Text>
  );
}

/** Where reading is, and what it takes: for screens with room for it. */
function Details({ state }: { readonly state: AskState }): JSX.Element | null {
  const { prefill, parts, cached, kvBytes } = state;
  if (prefill === null || prefill.done >= prefill.total) return null;
  const { at, done, total } = prefill;
  const where = at === null ? null : `${sourceName(at.source)}${at.page === undefined ? (at.line === undefined ? '' : `, line ${count(at.line)}`) : `, page ${at.page}`}`;
  const facts = [where, `${bytes(kvBytes)} of keys and values`, cached === 0 ? null : `${count(cached)} tokens from a session`];
  return (
    <>
      <MapRow parts={parts} dialogue={0} share={(cached + done) / Math.max(1, cached + total)} />
      <Text dimColor wrap="truncate-middle">
        {clean(facts.filter((fact) => fact !== null).join('  '))}
      </Text>
    </>
  );
}

/** Rows that all of it takes; in a lower window only the first is shown. */
const READING_ROWS = 8;

export function Reading({ state }: { readonly state: AskState }): JSX.Element {
  const { stdout } = useStdout();
  return (
    <>
      <Progress state={state} />
      {(stdout.rows || 24) >= READING_ROWS && <Details state={state} />}
    </>
  );
}

export function FinishedPart({ part }: { readonly part: Finished }): JSX.Element {
  switch (part.type) {
    case 'warning':
      return <Text color="yellow">! {clean(part.message)}</Text>;
    case 'source': {
      const { source } = part;
      return (
        <Text dimColor wrap="truncate-middle">
          {sourceName(source.path)}
          {source.pages === undefined ? '' : `  ${count(source.pages)} pages`}  {count(source.tokens)} tokens
        </Text>
      );
    }
    case 'more-sources':
      return <Text dimColor>and {count(part.count)} more</Text>;
    case 'question':
      return (
        <Box marginTop={1}>
          <Text color="cyan">{'> '}</Text>
          <Text>{clean(part.text)}</Text>
        </Box>
      );
    case 'text':
      return <Text>{clean(part.text)}</Text>;
    case 'answer': {
      const { answer } = part;
      return (
        <Box flexDirection="column" marginTop={1}>
          <Text bold>{answerText(answer)}</Text>
          {answer.found && answer.citations.length === 0 && <Text color="yellow">  {NO_CITATION}</Text>}
        </Box>
      );
    }
    case 'citation': {
      const { citation, number } = part;
      return (
        <Box flexDirection="column" marginLeft={2}>
          <Text>
            <Text color={citation.verified ? 'green' : 'yellow'}>[{number}]</Text> {place(citation)}
            {citation.verified ? '' : '  (not verified)'}
          </Text>
          <Box marginLeft={4}>
            <Text dimColor>"{clean(citation.quote)}"</Text>
          </Box>
        </Box>
      );
    }
  }
}

/** The end of the growing answer, in rows of its own: whole it stands there when it is finished. */
export function Growing({ text }: { readonly text: string }): JSX.Element {
  const { stdout } = useStdout();
  const columns = Math.max(1, stdout.columns || 80);
  const rows = Math.max(1, Math.min(8, (stdout.rows || 24) - 3));
  const lines = clean(text)
    .trim()
    .split('\n')
    .flatMap((line) => Array.from({ length: Math.max(1, Math.ceil(line.length / columns)) }, (_, i) => line.slice(i * columns, (i + 1) * columns)));
  return (
    <Box flexDirection="column" marginTop={rows > 1 ? 1 : 0}>
      {lines.slice(-rows).map((line, i) => (
        <Text key={i} bold wrap="truncate">
          {line === '' ? ' ' : line}
        </Text>
      ))}
    </Box>
  );
}
