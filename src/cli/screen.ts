/** Whether there is a terminal for the Ink views, and what has to be said before they are loaded. */
import type { JobScreen } from '../ui/job-view.js';

/** The views are for two terminals and nobody else. */
export function canShowScreen(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY && !process.env['CI'] && process.env['TERM'] !== 'dumb';
}

/** The view of a long job, where there is a terminal for it and nothing else is asked for. */
export async function openJobScreen(wanted: boolean): Promise<JobScreen | null> {
  if (!wanted || !canShowScreen()) return null;
  prepareScreen();
  const { jobScreen } = await import('../ui/job-view.js');
  return jobScreen(process.stdout);
}

/** To be called before any of them is imported; which is only where they are shown, since it costs half a second. */
export function prepareScreen(): void {
  // React looks at it when it is loaded; its development build is slow and keeps a record of every frame.
  process.env['NODE_ENV'] ??= 'production';
  // chalk, under Ink, looks at FORCE_COLOR alone, and only when it is first loaded.
  if (process.env['NO_COLOR'] && process.env['FORCE_COLOR'] === undefined) process.env['FORCE_COLOR'] = '0';
}
