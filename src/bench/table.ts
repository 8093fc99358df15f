/**
 * The table of speeds beside llama.cpp: reading and generating at several depths, for models of the published shapes with
 * random weights, and loading. A cell is measured on its own and kept in a file, so that a run can go on where another
 * ended. Both programs read the same GGUF file, in turn, so that both see the same neighbours on the machine.
 */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createCpuDevice } from '../device/cpu/device.js';
import { openModel } from '../runtime/model.js';
import type { BlockFormat } from '../weights/blocks.js';
import { measureLoad, type Load } from './load.js';
import { median, modelSpeed, type Speed } from './measure.js';
import { startPeer } from './peer.js';
import { writeJson } from './run-bench.js';
import { writeRandomGguf } from './random-gguf.js';
import { gemma1b, gemma270m, gemma4b, type Shape } from './random-model.js';

export const tableModels: Readonly<Record<string, { readonly shape: Shape; readonly format: BlockFormat }>> = {
  '270m-q8_0': { shape: gemma270m, format: 'q8_0' },
  '1b-q4_0': { shape: gemma1b, format: 'q4_0' },
  '1b-q8_0': { shape: gemma1b, format: 'q8_0' },
  '4b-q4_0': { shape: gemma4b, format: 'q4_0' },
};
export const tableDepths: readonly number[] = [512, 4096, 32_768];

/** What is measured beside llama.cpp: cells of another device or build are left alone. */
export interface Subject {
  /** For people. */
  readonly device: string;
  /** sha256 of the addon. */
  readonly addon: string;
}

export interface TableOptions {
  /** Holds the files of random weights; the peer is measured where node-llama-cpp is installed in it. */
  readonly folder: string;
  readonly models: readonly string[];
  readonly depths: readonly number[];
  readonly threads: number;
  readonly subject: Subject;
  readonly runs: number;
  readonly generate: number;
}

/** Medians. Cells that were measured in different ways may stand in one file. */
export interface TableCell extends Subject {
  readonly model: string;
  readonly depth: number;
  readonly generate: number;
  readonly runs: number;
  readonly ours: Speed;
  readonly peer: Speed | null;
}

export interface LoadCell extends Load, Subject {
  readonly model: string;
}

export interface Table {
  readonly schema: 'lodestone.bench-table/2';
  readonly cells: readonly TableCell[];
  readonly loads: readonly LoadCell[];
}

export const emptyTable: Table = { schema: 'lodestone.bench-table/2', cells: [], loads: [] };

/** What an earlier run has left; nothing where there is no such file. */
export function readTable(path: string): Table {
  if (!existsSync(path)) return emptyTable;
  const table = JSON.parse(readFileSync(path, 'utf8')) as Table;
  if (table.schema !== emptyTable.schema) throw new Error(`${path} is no table of this benchmark`);
  return table;
}

const isOf = (subject: Subject, cell: Subject): boolean => cell.device === subject.device && cell.addon === subject.addon;

/** Whether `cell` is the model's at this depth, measured as the options ask, or in more runs. */
export function isMeasured(cell: TableCell, model: string, depth: number, options: Pick<TableOptions, 'subject' | 'runs' | 'generate'>): boolean {
  return cell.model === model && cell.depth === depth && isOf(options.subject, cell) && cell.runs >= options.runs && cell.generate === options.generate;
}

/** With `cell` in the place of what was measured before of the same model, depth and subject. */
export function withCell(table: Table, cell: TableCell): Table {
  const others = table.cells.filter((other) => !(other.model === cell.model && other.depth === cell.depth && isOf(cell, other)));
  return { ...table, cells: [...others, cell] };
}

/** Measures the cells that `path` lacks, writing each as it is done. @param onCell what begins, for people */
export async function measureTable(path: string, options: TableOptions, onCell: (what: string) => void): Promise<Table> {
  let table = readTable(path);
  const { subject } = options;
  for (const model of options.models) {
    const gguf = await modelFile(options.folder, model);
    if (!table.loads.some((load) => load.model === model && isOf(subject, load))) {
      onCell(`${model}, loading`);
      await measureLoad(gguf, options.threads); // brings the file into memory
      const load = await measureLoad(gguf, options.threads);
      table = { ...table, loads: [...table.loads, { model, ...subject, ...load }] };
      writeJson(path, table);
    }
    for (const depth of options.depths) {
      if (table.cells.some((cell) => isMeasured(cell, model, depth, options))) continue;
      onCell(`${model}, ${depth} tokens`);
      table = withCell(table, await measureCell(gguf, model, depth, options));
      writeJson(path, table);
    }
  }
  return table;
}

async function modelFile(folder: string, name: string): Promise<string> {
  const { shape, format } = tableModels[name]!;
  const path = join(folder, `lodestone-bench-${name}.gguf`);
  if (existsSync(path)) return path;
  await writeRandomGguf(`${path}.part`, shape, format);
  renameSync(`${path}.part`, path);
  return path;
}

async function measureCell(gguf: string, name: string, depth: number, options: TableOptions): Promise<TableCell> {
  const { folder, threads, runs, generate } = options;
  const device = createCpuDevice({ threads });
  if ('unavailable' in device) throw new Error(device.unavailable);
  const model = await openModel(gguf, device);
  const contextSize = depth + generate + 64;
  const peer = peerInstalled(folder) ? await startPeer(folder, gguf, threads, model.config.vocabSize, { contextSize }) : null;
  const ours: Speed[] = [];
  const theirs: Speed[] = [];
  try {
    const [warmPrompt, warmGenerate] = [Math.min(64, depth), 2];
    await modelSpeed(model, warmPrompt, warmGenerate);
    await peer?.run(warmPrompt, warmGenerate);
    for (let run = 0; run < runs; run++) {
      ours.push(await modelSpeed(model, depth, generate));
      if (peer) theirs.push(await peer.run(depth, generate));
    }
  } finally {
    peer?.close();
    await device.close();
  }
  return { model: name, depth, generate, runs, ...options.subject, ours: medians(ours), peer: peer && medians(theirs) };
}

export function peerInstalled(folder: string): boolean {
  try {
    createRequire(join(folder, 'package.json')).resolve('node-llama-cpp');
    return true;
  } catch {
    return false;
  }
}

function medians(speeds: readonly Speed[]): Speed {
  return { prefill: median(speeds.map(({ prefill }) => prefill)), decode: median(speeds.map(({ decode }) => decode)) };
}

/** Of one device and build (the others' cells are left out), in the order of models and depths. */
export function tableMarkdown(table: Table, subject: Subject): string {
  const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
  const columns = (our: number, their: number | undefined): string => (their === undefined ? `${number(our)} | | ` : `${number(our)} | ${number(their)} | ${(our / their).toFixed(2)}`);
  const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20).toLocaleString('en')} MiB`;
  const lines = [
    `${subject.device}; tok/s, medians; in turn with llama.cpp on the same file`,
    '',
    '| model, random weights | depth | reading: ours | llama.cpp | ratio | generating: ours | llama.cpp | ratio | runs |',
    '|---|---|---|---|---|---|---|---|---|',
  ];
  const order = Object.keys(tableModels);
  const sorted = table.cells.filter((cell) => isOf(subject, cell)).toSorted((a, b) => order.indexOf(a.model) - order.indexOf(b.model) || a.depth - b.depth);
  for (const { model, depth, ours, peer, runs } of sorted) {
    lines.push(`| ${model} | ${depth.toLocaleString('en')} | ${columns(ours.prefill, peer?.prefill)} | ${columns(ours.decode, peer?.decode)} | ${runs} |`);
  }
  lines.push('', '| warm file | first token | of it: Node | headers, tokenizer | weights | reading 8, first token | own memory | mapped |', '|---|---|---|---|---|---|---|---|');
  for (const { model, ms, resident } of table.loads.filter((load) => isOf(subject, load))) {
    const times = [ms.total, ms.start, ms.files, ms.weights, ms.firstToken].map((value) => `${value.toFixed(0)} ms`);
    lines.push(`| ${[model, ...times, resident ? mebibytes(resident.own) : '', resident ? mebibytes(resident.mapped) : ''].join(' | ')} |`);
  }
  return `${lines.join('\n')}\n`;
}
