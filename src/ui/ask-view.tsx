/** The terminal's view of `ask` (Ink). Its plain-text twin is plain.ts; both show the same. */
import { Box, render, Text } from 'ink';
import type { JSX } from 'react';
import type { AskEvent } from '../answer/answer.js';
import { initialAskState, reduceAsk, type AskState } from './ask-state.js';
import { sourceName } from '../ingest/name.js';
import { clean, count } from './format.js';
import { answerText, place } from './plain.js';

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
  const { reading, prefill } = state;
  if (reading !== null) {
    return (
      <Text wrap="truncate-middle">
        <Bar done={reading.done} total={reading.total} /> {sourceName(reading.path)} {count(reading.done)} / {count(reading.total)} {reading.unit}
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

export function AskView({ state }: { readonly state: AskState }): JSX.Element {
  const { answer } = state;
  return (
    <Box flexDirection="column">
      {state.warnings.map((warning) => (
        <Text key={warning} color="yellow">
          ! {clean(warning)}
        </Text>
      ))}
      {state.sources.map((source) => (
        <Text key={source.path} dimColor wrap="truncate-middle">
          {sourceName(source.path)}
          {source.pages === undefined ? '' : `  ${count(source.pages)} pages`}  {count(source.tokens)} tokens
        </Text>
      ))}
      <Reading state={state} />
      {(answer !== null || state.text !== '') && (
        <Box marginTop={1}>
          <Text bold>{answer === null ? clean(state.text).trim() : answerText(answer)}</Text>
        </Box>
      )}
      {answer?.citations.map((citation, i) => (
        <Box key={`${place(citation)}${citation.quote}`} flexDirection="column" marginLeft={2}>
          <Text>
            <Text color={citation.verified ? 'green' : 'yellow'}>[{i + 1}]</Text> {place(citation)}
            {citation.verified ? '' : '  (not verified)'}
          </Text>
          <Box marginLeft={4}>
            <Text dimColor>"{clean(citation.quote)}"</Text>
          </Box>
        </Box>
      ))}
    </Box>
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
