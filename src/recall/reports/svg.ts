/** SVG: a heat map for each suite, one below the other. */
import { percent } from '../gate.js';
import { xml } from './escape.js';
import { colourOf, figureOf, hex } from './heat.js';
import { heatMap } from './map.js';
import type { NeedleReport } from './report.js';
import type { SuiteSummary } from '../summary.js';

const CELL = { width: 56, height: 24 };
const LEFT = 170;
const HEAD = 62;
const GAP = 24;

function suiteSvg(suite: SuiteSummary, top: number): { readonly svg: string; readonly width: number; readonly height: number } {
  const { columns, rows } = heatMap(suite);
  const { hits, trials, errors, recall } = suite.overall;
  const found = recall === null ? 'nothing answered' : `${hits} of ${trials - errors} found, ${percent(recall)}`;
  const lines = [`<text x="8" y="${top + 20}" font-weight="bold">${xml(`${suite.name}: ${found}`)}</text>`];
  for (const [i, name] of columns.entries()) {
    lines.push(`<text x="${LEFT + (i + 0.5) * CELL.width}" y="${top + HEAD - 8}" text-anchor="middle">${xml(name)}</text>`);
  }
  for (const [j, row] of rows.entries()) {
    const y = top + HEAD + j * CELL.height;
    lines.push(`<text x="${LEFT - 8}" y="${y + 16}" text-anchor="end">${xml(row.name)}</text>`);
    for (const [i, counts] of row.cells.entries()) {
      if (counts === null) continue;
      const x = LEFT + i * CELL.width;
      const title = `${columns[i]!}, ${row.name}: ${counts.hits} hits, ${counts.misses} misses, ${counts.refusals} refusals, ${counts.errors} errors`;
      lines.push(
        `<g><title>${xml(title)}</title><rect x="${x}" y="${y}" width="${CELL.width - 1}" height="${CELL.height - 1}" fill="${hex(colourOf(counts))}"/>` +
          `<text x="${x + CELL.width / 2}" y="${y + 16}" text-anchor="middle">${figureOf(counts)}</text></g>`,
      );
    }
  }
  return { svg: lines.join('\n'), width: LEFT + columns.length * CELL.width + 8, height: HEAD + rows.length * CELL.height + GAP };
}

export function svgReport(report: NeedleReport): string {
  const parts: string[] = [];
  let height = 0;
  let width = 480;
  for (const suite of report.suites) {
    const part = suiteSvg(suite, height);
    parts.push(part.svg);
    height += part.height;
    width = Math.max(width, part.width);
  }
  const about = `Recall in % by length in tokens and depth, ${report.model.id} (${report.model.quantization}) on ${report.device.name}`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + GAP}" viewBox="0 0 ${width} ${height + GAP}" role="img" font-family="sans-serif" font-size="13">\n` +
    `<title>lodestone needle</title><desc>${xml(about)}</desc>\n<rect width="100%" height="100%" fill="#ffffff"/>\n` +
    `${parts.join('\n')}\n<text x="8" y="${height + 14}" font-size="11">${xml(about)}</text>\n</svg>\n`
  );
}
