/** Reports by the names of their files. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ExitCode, LodestoneError } from '../../errors.js';
import { sourceName } from '../../ingest/name.js';
import { jsonLine } from './escape.js';
import { htmlReport } from './html.js';
import { junitReport } from './junit.js';
import type { NeedleReport } from './report.js';
import { svgReport } from './svg.js';
import { tapReport } from './tap.js';
import { textReport } from './text.js';

const WRITERS = {
  json: (report: NeedleReport) => `${jsonLine(report)}\n`,
  junit: junitReport,
  tap: tapReport,
  html: htmlReport,
  svg: svgReport,
  png: pngReport,
  txt: textReport,
} as const;
/** Twice as fine as the SVG, for screens of today. */
const DENSITY = 2 * 72;

async function pngReport(report: NeedleReport): Promise<Buffer> {
  // Loaded when it is needed.
  const { default: sharp } = await import('sharp');
  return sharp(Buffer.from(svgReport(report)), { density: DENSITY }).png().toBuffer();
}

export type ReportForm = keyof typeof WRITERS;

export interface ReportFile {
  readonly form: ReportForm;
  readonly file: string;
}

const FORMS: Readonly<Record<string, ReportForm>> = { '.json': 'json', '.xml': 'junit', '.tap': 'tap', '.html': 'html', '.htm': 'html', '.svg': 'svg', '.png': 'png', '.txt': 'txt' };

/** Errors: LodestoneError(usage). */
export function reportByExtension(file: string): ReportFile {
  const form = FORMS[path.extname(file).toLowerCase()];
  if (form === undefined) throw new LodestoneError(ExitCode.usage, `--report ${sourceName(file)}: the name must end in one of ${Object.keys(FORMS).join(' ')} (.xml is JUnit)`);
  return { form, file };
}

/** Errors: LodestoneError(usage) that names the file. */
export async function writeReports(files: readonly ReportFile[], report: NeedleReport): Promise<void> {
  for (const { form, file } of files) {
    try {
      await writeFile(file, await WRITERS[form](report));
    } catch (cause) {
      throw new LodestoneError(ExitCode.usage, `${sourceName(file)}: can't be written: ${(cause as Error).message}`, { cause });
    }
  }
}
