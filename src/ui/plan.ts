/** A memory plan as plain text. */
import type { LayerKv } from '../runtime/kv.js';
import type { MemoryPlan, PatternKv } from '../runtime/memory-plan.js';
import { bytes, count, duration } from './format.js';

/** A row of the table: what, how many bytes, of what. */
function row(name: string, size: number, what: string): string {
  return `${name.padEnd(14)}${mebibytes(size).padStart(12)}  ${what}`.trimEnd();
}

function mebibytes(size: number): string {
  const value = size / 2 ** 20;
  return `${value.toLocaleString('en-US', { minimumFractionDigits: value < 100 ? 1 : 0, maximumFractionDigits: value < 100 ? 1 : 0 })} MiB`;
}

function layers(name: string, kind: string, part: LayerKv): string[] {
  return part.layers === 0 ? [] : [row(name, part.bytes, `${count(part.layers)} ${kind} layer${part.layers === 1 ? '' : 's'} x ${count(part.slots)} positions in ${part.format}`)];
}

function patternName({ local }: PatternKv): string {
  return local === 0 ? 'global only' : `${local}:1`;
}

/** One line for each pattern, one column for each window. */
function patternTable(patterns: readonly PatternKv[]): string[] {
  const windows = [...new Set(patterns.map(({ window }) => window))].filter((window) => window !== null);
  const cell = (of: PatternKv): string => `${mebibytes(of.bytes)} (${count(of.share_of_weights * 100)} %)`;
  return [
    `  ${'local:global'.padEnd(14)}${windows.map((window) => `window ${count(window)}`.padStart(24)).join('')}`,
    ...[...new Set(patterns.map(({ local }) => local))].map((local) => {
      const cells = patterns.filter((of) => of.local === local).map(cell);
      return `  ${patternName({ local } as PatternKv).padEnd(14)}${cells.map((text) => text.padStart(24)).join('')}`;
    }),
  ];
}

export function formatMemoryPlan(plan: MemoryPlan): string {
  const { model, kv, comparison, machine, fits, reading } = plan;
  return `${[
    `${model.id}: ${count(model.parameters)} parameters of text, ${count(plan.context)} positions of ${count(model.context)}`,
    '',
    row('weights', plan.weights.bytes, model.quantization),
    ...layers('KV, rings', 'local', kv.local),
    ...layers('KV, full', 'global', kv.global),
    row('scratch', plan.scratch.bytes, `activations of ${count(plan.chunk)} positions at a time`),
    ...(plan.vision ? [row('vision', plan.vision.weight_bytes, `the tower; ${mebibytes(plan.vision.scratch_bytes)} more while it looks at an image, before the text is read`)] : []),
    row('total', plan.total_bytes, `of ${bytes(machine.memory_bytes)} on this machine, ${bytes(machine.available_bytes)} free now`),
    row('largest', plan.largest_buffer.bytes, `one buffer: ${plan.largest_buffer.label}`),
    ...(reading === undefined ? [] : ['', `reading it all: ${duration(reading.seconds)}, at the ${count(reading.tokens_per_second)} tokens per second given`]),
    '',
    `Keys and values at ${count(plan.context)} positions, all in ${comparison.format}, in other patterns of as many layers (in % of the weights):`,
    ...patternTable(comparison.patterns),
    '',
    "This model's keys and values by length:",
    `  ${'positions'.padEnd(12)}${'rings and full'.padStart(16)}${'global only'.padStart(16)}`,
    ...comparison.growth.map((at) => `  ${count(at.context).padEnd(12)}${mebibytes(at.bytes).padStart(16)}${mebibytes(at.bytes_if_all_global).padStart(16)}`),
    '',
    ...(fits.context ? [] : [`does not fit the model's context of ${count(model.context)} positions`]),
    fits.memory ? 'fits the memory of this machine' : 'does not fit the memory of this machine: try --quantize q4_0, --kv q8_0 or a shorter --context',
  ].join('\n')}\n`;
}
