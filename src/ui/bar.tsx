/** How far something is, as a bar. */
import { Text, useStdout } from 'ink';
import type { JSX } from 'react';

/** At most; narrow windows have less. */
const BAR_CELLS = 24;

export function Bar({ done, total }: { readonly done: number; readonly total: number }): JSX.Element {
  const { stdout } = useStdout();
  const cells = Math.max(4, Math.min(BAR_CELLS, Math.floor((stdout.columns || 80) / 4)));
  const filled = Math.min(cells, Math.round((cells * done) / Math.max(1, total)));
  return (
    <Text>
      <Text color="cyan">{'█'.repeat(filled)}</Text>
      <Text dimColor>{'░'.repeat(cells - filled)}</Text>
    </Text>
  );
}
