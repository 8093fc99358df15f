/** The terminal's view of `needle` (Ink): the map that fills while it runs. Its plain-text twin is recall/reports/text.ts. */
import { Box, render, Static, Text, useStdout } from 'ink';
import type { JSX } from 'react';
import { oneLine } from '../recall/reports/escape.js';
import { colourOf, figureOf, hex } from '../recall/reports/heat.js';
import { heatMap } from '../recall/reports/map.js';
import { figureLines } from '../recall/reports/text.js';
import type { SuiteSummary } from '../recall/summary.js';
import { Bar } from './bar.js';
import { count } from './format.js';
import { initialNeedleState, type NeedlePart, type NeedleState } from './needle-state.js';

const CELL_COLUMNS = 6;

/** Boxes with the figure in them: without colours, the figures stay. */
export function HeatMapView({ suite }: { readonly suite: SuiteSummary }): JSX.Element {
  const map = heatMap(suite);
  const { columns } = map;
  const rows = map.rows.map(({ name, cells }) => ({ name: oneLine(name, 40), cells }));
  const label = Math.max(6, ...rows.map(({ name }) => name.length)) + 2;
  return (
    <Box flexDirection="column">
      <Text dimColor wrap="truncate">
        {' '.repeat(label)}
        {columns.map((name) => name.padStart(CELL_COLUMNS)).join('')}
      </Text>
      {rows.map(({ name, cells }, j) => (
        <Text key={j} wrap="truncate">
          <Text dimColor>{name.padStart(label - 1)} </Text>
          {cells.map((cell, i) =>
            cell === null ? (
              <Text key={i}>{'.'.padStart(CELL_COLUMNS)}</Text>
            ) : (
              <Text key={i} color="#000000" backgroundColor={hex(colourOf(cell))}>
                {figureOf(cell).padStart(CELL_COLUMNS - 1)}{' '}
              </Text>
            ),
          )}
        </Text>
      ))}
    </Box>
  );
}

function FinishedPart({ part }: { readonly part: NeedlePart }): JSX.Element {
  if (part.type === 'line') {
    const color = { plain: undefined, good: 'green', bad: 'red' }[part.tone];
    return <Text {...(color === undefined ? {} : { color })}>{oneLine(part.text)}</Text>;
  }
  const { suite, threshold } = part;
  return (
    <Box flexDirection="column" marginTop={1} marginBottom={1}>
      <Text>
        <Text bold>{suite.name}</Text>: {oneLine(suite.about)}
      </Text>
      <HeatMapView suite={suite} />
      <Text> </Text>
      {figureLines(suite, threshold).map((line, i) => (
        <Text key={i} wrap="truncate">
          {line}
        </Text>
      ))}
    </Box>
  );
}

function Progress({ done, total, reading }: Pick<NeedleState, 'done' | 'total' | 'reading'>): JSX.Element {
  return (
    <Text wrap="truncate">
      <Bar done={done} total={total} /> {count(done)} / {count(total)} {reading}
    </Text>
  );
}

/** As AskView: what is finished is written once, and what still changes is less than a screen. */
export function NeedleView({ state }: { readonly state: NeedleState }): JSX.Element {
  const { stdout } = useStdout();
  const { current, finished, done, total } = state;
  const rows = stdout.rows || 24;
  const fits = current !== null && heatMap(current).rows.length + 5 < rows;
  return (
    <>
      <Static items={[...finished]}>{(part, i) => <FinishedPart key={i} part={part} />}</Static>
      {fits && (
        <Box flexDirection="column" marginTop={1}>
          <Text bold>{current.name}</Text>
          <HeatMapView suite={current} />
        </Box>
      )}
      {current !== null && done < total && <Progress {...state} />}
    </>
  );
}

export interface NeedleScreen {
  show(state: NeedleState): void;
  /** Leaves the last frame on the terminal. */
  close(): Promise<void>;
}

/** Only for terminals; it reads no keys, as `askScreen`. */
export function needleScreen(stdout: NodeJS.WriteStream): NeedleScreen {
  let state = initialNeedleState;
  const view = render(<NeedleView state={state} />, { stdout, exitOnCtrlC: false, patchConsole: false, maxFps: 12 });
  return {
    show(next) {
      state = next;
      view.rerender(<NeedleView state={state} />);
    },
    async close() {
      view.rerender(<NeedleView state={{ ...state, current: null }} />);
      view.unmount();
      await view.waitUntilExit();
    },
  };
}
