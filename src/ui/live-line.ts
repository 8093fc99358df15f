/** A line on a terminal that is written over until it is cleared; nothing where the stream is none. */

export interface LiveLine {
  show(text: string): void;
  /** Removes the line; what follows starts on a clean one. */
  clear(): void;
}

/** Terminals redraw faster than people read; more updates only cost time. */
const REDRAW_MS = 80;

export function liveLine(stream: NodeJS.WriteStream, enabled: boolean): LiveLine {
  const live = enabled && stream.isTTY && process.env['TERM'] !== 'dumb' && !process.env['CI'];
  let drawn = false;
  let last = 0;
  return {
    clear() {
      if (drawn) stream.write('\r\u001b[K');
      drawn = false;
    },
    show(text) {
      const now = performance.now();
      if (!live || now - last < REDRAW_MS) return;
      last = now;
      drawn = true;
      stream.write(`\r\u001b[K${text.slice(0, Math.max(10, (stream.columns ?? 80) - 1))}`);
    },
  };
}
