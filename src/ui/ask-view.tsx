/** The terminal's view of `ask` (Ink). Its plain-text twin is plain.ts; both show the same. */
import { render, Static } from 'ink';
import type { JSX } from 'react';
import type { AskEvent } from '../answer/answer.js';
import { FinishedPart, Growing, Reading } from './ask-parts.js';
import { initialAskState, reduceAsk, type AskState } from './ask-state.js';

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
