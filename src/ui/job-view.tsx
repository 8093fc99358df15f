/** The terminal's view of `transcribe` and `models pull` (Ink). In a pipe and with --plain they print as they go. */
import { Box, render, Static, Text } from 'ink';
import type { JSX } from 'react';
import { Bar } from './bar.js';
import { clean } from './format.js';
import { initialJobState, type JobLine, type JobProgress, type JobState } from './job-state.js';

const COLOURS = { plain: undefined, good: 'green', bad: 'yellow' } as const;

function Line({ line: { mark, text, tone } }: { readonly line: JobLine }): JSX.Element {
  const colour = COLOURS[tone];
  return (
    <Box>
      {mark !== '' && (
        <Box marginRight={2} flexShrink={0}>
          {colour === undefined ? <Text dimColor>{mark}</Text> : <Text color={colour}>{mark}</Text>}
        </Box>
      )}
      <Text>{clean(text)}</Text>
    </Box>
  );
}

function Progress({ progress: { doing, done, total, facts } }: { readonly progress: JobProgress }): JSX.Element {
  return (
    <Box flexDirection="column">
      <Text wrap="truncate">
        {total !== null && (
          <>
            <Bar done={done} total={total} />{' '}
          </>
        )}
        {clean(facts.join('  '))}
      </Text>
      <Text dimColor wrap="truncate-middle">
        {clean(doing)}
      </Text>
    </Box>
  );
}

/** As AskView: what is finished is written once, and what still changes is two lines. */
export function JobView({ state }: { readonly state: JobState }): JSX.Element {
  return (
    <>
      <Static items={[...state.finished]}>{(line, i) => <Line key={i} line={line} />}</Static>
      {state.progress && <Progress progress={state.progress} />}
    </>
  );
}

export interface JobScreen {
  /** @param change from what was shown last */
  update(change: (state: JobState) => JobState): void;
  /** Leaves what is finished on the terminal. */
  close(): Promise<void>;
}

/** Only for terminals; it reads no keys, as `askScreen`. */
export function jobScreen(stdout: NodeJS.WriteStream): JobScreen {
  let state = initialJobState;
  const view = render(<JobView state={state} />, { stdout, exitOnCtrlC: false, patchConsole: false, maxFps: 12 });
  return {
    update(change) {
      state = change(state);
      view.rerender(<JobView state={state} />);
    },
    async close() {
      view.rerender(<JobView state={{ ...state, progress: null }} />);
      view.unmount();
      await view.waitUntilExit();
    },
  };
}
