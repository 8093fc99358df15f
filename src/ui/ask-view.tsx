/** The terminal's view of `ask` (Ink). Its plain-text twin is plain.ts; both show the same. */
import { Box, render, Static, Text, useStdout } from 'ink';
import type { JSX } from 'react';
import type { AskEvent } from '../answer/answer.js';
import { initialAskState, reduceAsk, type AskState, type Finished } from './ask-state.js';
import { sourceName } from '../ingest/name.js';
import { clean, count } from './format.js';
import { answerText, NO_CITATION, place } from './plain.js';

const BAR_CELLS = 24;

function Bar({ done, total }: { readonly done: number; readonly total: number }): JSX.Element {
  const filled = Math.round((BAR_CELLS * done) / Math.max(1, total));
  return (
    <Text>
      <Text color="cyan">{'█'.repeat(filled)}</Text>
      <Text dimColor>{'░'.repeat(BAR_CELLS - filled)}</Text>
    </Text>
  );
}

function Reading({ state }: { readonly state: AskState }): JSX.Element | null {
  const { reading, prefill, look } = state;
  if (reading !== null) {
    return (
      <Text wrap="truncate-middle">
        <Bar done={reading.done} total={reading.total} /> {sourceName(reading.path)} {count(reading.done)} / {count(reading.total)} {reading.unit}
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

function FinishedPart({ part }: { readonly part: Finished }): JSX.Element {
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
function Growing({ text }: { readonly text: string }): JSX.Element {
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

/**
 * Finished parts are written once and belong to the terminal from then on. Only what still changes is drawn again, and
 * that is less than a screen: Ink clears screen and scrollback where it is not.
 */
export function AskView({ state }: { readonly state: AskState }): JSX.Element {
  return (
    <>
      <Static items={[...state.finished]}>{(part, i) => <FinishedPart key={i} part={part} />}</Static>
      <Reading state={state} />
      {state.text.trim() !== '' && <Growing text={state.text} />}
    </>
  );
}

export interface AskScreen {
  show(event: AskEvent): void;
  /** Leaves the last frame on the terminal. */
  close(): Promise<void>;
}

/** Only for terminals. Ctrl-C stays a signal: the view reads no keys, so the terminal is never in raw mode. */
export function askScreen(stdout: NodeJS.WriteStream): AskScreen {
  let state = initialAskState;
  const view = render(<AskView state={state} />, { stdout, exitOnCtrlC: false, patchConsole: false, maxFps: 12 });
  return {
    show(event) {
      state = reduceAsk(state, event);
      view.rerender(<AskView state={state} />);
    },
    async close() {
      view.rerender(<AskView state={state} />);
      view.unmount();
      await view.waitUntilExit();
    },
  };
}
