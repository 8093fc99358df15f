/** Results of an experiment: interquartile means with 95 % intervals of the stratified bootstrap over seeds. */
import type { Interval } from '../../recall/statistics.js';
import { bootstrapInterval, interquartileMean } from '../statistics.js';
import type { Experiment, Run } from './experiment.js';

export interface Cell extends Interval {
  readonly arm: string;
  readonly condition: string;
  readonly column: string;
  readonly mean: number;
  readonly learningRate: number;
}

export function cellsOf({ arms, conditions, columns }: Experiment, runs: readonly Run[]): Cell[] {
  return conditions.flatMap((condition) =>
    columns.flatMap((column, c) =>
      arms.map((arm): Cell => {
        const own = runs.filter((run) => run.arm === arm && run.condition === condition);
        const figures = own.map((run) => run.figures[c]!);
        return { arm, condition, column, mean: interquartileMean(figures), ...bootstrapInterval([figures], interquartileMean), learningRate: own[0]!.learningRate };
      }),
    ),
  );
}

/** In Markdown: a row for each arm. */
export function resultsTable(experiment: Experiment, runs: readonly Run[]): string {
  const cells = cellsOf(experiment, runs);
  const { arms, conditions, columns } = experiment;
  const heads = conditions.flatMap((condition) => columns.map((column) => ({ condition, column, name: conditions.length === 1 ? column : columns.length === 1 ? condition : `${condition}: ${column}` })));
  const show = ({ mean, low, high }: Cell): string => `${mean.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
  const rows = arms.map((arm) => {
    const own = cells.filter((cell) => cell.arm === arm);
    const rates = [...new Set(own.map(({ learningRate }) => learningRate))].join(', ');
    return `| ${arm} | ${heads.map(({ condition, column }) => show(own.find((cell) => cell.condition === condition && cell.column === column)!)).join(' | ')} | ${rates} |`;
  });
  return [`### ${experiment.id}: ${experiment.claim}`, '', `${experiment.setup}. Figures: ${experiment.measure}; ${experiment.seeds} seeds.`, '', `| arm | ${heads.map(({ name }) => name).join(' | ')} | learning rate |`, `|${' --- |'.repeat(heads.length + 2)}`, ...rows, ''].join('\n');
}
