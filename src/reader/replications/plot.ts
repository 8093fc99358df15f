/** SVG: for each condition and column a group of points with their intervals, one colour an arm. */
import { xml } from '../../recall/reports/escape.js';
import type { Experiment, Run } from './experiment.js';
import { cellsOf } from './table.js';

/** Distinct also for people who confuse red and green (Okabe and Ito). */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];

const left = 64;
const top = 40;
const plotHeight = 240;
const pointGap = 16;
const groupGap = 28;
const ticks = 5;

export function plot(experiment: Experiment, runs: readonly Run[]): string {
  const cells = cellsOf(experiment, runs);
  const { arms, conditions, columns } = experiment;
  const least = Math.min(...cells.map(({ low }) => low));
  const most = Math.max(...cells.map(({ high }) => high));
  // Errors that differ a hundredfold are told apart on a logarithmic axis alone.
  const logarithmic = least > 0 && most / least > 100;
  const up = (value: number): number => (logarithmic ? Math.log(value) : value);
  const range = up(most) - up(least) || 1;
  const y = (value: number): number => top + plotHeight * (1 - (up(value) - up(least)) / range);
  const groupWidth = arms.length * pointGap + groupGap;
  const groups = conditions.flatMap((condition) => columns.map((column) => ({ condition, column })));
  const width = Math.max(560, left + groups.length * groupWidth + 16);
  const legendTop = top + plotHeight + 44;
  const parts = [`<text x="8" y="20" font-weight="bold">${xml(`${experiment.id}: ${experiment.measure}`)}</text>`];
  for (let i = 0; i <= ticks; i++) {
    const at = up(least) + (range * i) / ticks;
    const value = logarithmic ? Math.exp(at) : at;
    parts.push(`<line x1="${left}" x2="${width - 8}" y1="${y(value)}" y2="${y(value)}" stroke="#dddddd"/><text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${value.toPrecision(3)}</text>`);
  }
  for (const [g, { condition, column }] of groups.entries()) {
    const x = left + g * groupWidth + groupGap / 2;
    const name = conditions.length === 1 ? column : columns.length === 1 ? condition : `${condition}: ${column}`;
    parts.push(`<text x="${x + (arms.length * pointGap) / 2}" y="${top + plotHeight + 20}" text-anchor="middle">${xml(name)}</text>`);
    for (const [a, arm] of arms.entries()) {
      const cell = cells.find((each) => each.arm === arm && each.condition === condition && each.column === column)!;
      const at = x + (a + 0.5) * pointGap;
      const colour = colours[a % colours.length]!;
      parts.push(`<g><title>${xml(`${arm}, ${name}: ${cell.mean.toFixed(4)} (${cell.low.toFixed(4)} to ${cell.high.toFixed(4)})`)}</title><line x1="${at}" x2="${at}" y1="${y(cell.low)}" y2="${y(cell.high)}" stroke="${colour}" stroke-width="2"/><circle cx="${at}" cy="${y(cell.mean)}" r="4" fill="${colour}"/></g>`);
    }
  }
  for (const [a, arm] of arms.entries()) parts.push(`<circle cx="${left + 6}" cy="${legendTop + a * 18 - 4}" r="4" fill="${colours[a % colours.length]!}"/><text x="${left + 18}" y="${legendTop + a * 18}">${xml(arm)}</text>`);
  const height = legendTop + arms.length * 18;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="sans-serif" font-size="12">\n` +
    `<title>${xml(experiment.claim)}</title>\n<rect width="100%" height="100%" fill="#ffffff"/>\n${parts.join('\n')}\n</svg>\n`
  );
}
