/** How much may be read, as a user says it. */
import type { Budget } from '../answer/answer.js';

/** More than any model reads. */
const MOST_TOKENS = 2 ** 40;
const MOST_SECONDS = 30 * 86_400;

/** 8000, 8k, 1M (K is 1,024); 20s, 1.5min. null where it is neither. */
export function parseBudget(text: string): Budget | null {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)(k|m|s|min)?$/iu.exec(text.trim());
  if (match === null) return null;
  const value = Number(match[1]);
  const unit = match[2]?.toLowerCase() ?? '';
  if (unit === 's' || unit === 'min') {
    const seconds = value * (unit === 's' ? 1 : 60);
    return seconds > 0 && seconds <= MOST_SECONDS ? { seconds } : null;
  }
  const tokens = value * { '': 1, k: 1024, m: 1024 ** 2 }[unit as '' | 'k' | 'm'];
  return Number.isInteger(tokens) && tokens > 0 && tokens <= MOST_TOKENS ? { tokens } : null;
}
