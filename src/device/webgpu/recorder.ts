/** What the record-*.ts share: what they need of the device, and dispatches of common shapes. */
import type { View, Weight } from '../device.js';
import { groupsOf, type Bound, type Dispatch, type GpuMemory } from './dispatch.js';
import type { GpuWeight } from './weights.js';

/** Memory that kernels hand each other, and that nobody else sees. */
export type Purpose = 'quantized activations' | 'attention partials' | 'attention state' | 'sampling partials' | 'sampling state' | 'sampling bins';

/** What recording needs of the device. */
export interface Recorder {
  memoryOf(view: View): Bound;
  weightOf(weight: Weight): GpuWeight;
  /** Memory that holds until the next dispatch that is given some of the same purpose. */
  scratch(purpose: Purpose, bytes: number): GpuMemory;
  /** Bytes of workgroup memory. */
  readonly workgroupMemory: number;
  /** Half-precision numbers may be used. */
  readonly half: boolean;
  /** The driver computes on the processor. */
  readonly software: boolean;
}

export type Task = Omit<Dispatch, 'groups' | 'work' | 'bytes'>;

/** A workgroup per row, which `arrays` rows of f32 are read or written for. */
export function perRow(task: Task, rows: number, width: number, arrays: number): Dispatch[] {
  return rows === 0 ? [] : [{ ...task, groups: groupsOf(rows), work: rows * width * 4, bytes: rows * width * arrays * 4 }];
}

/** A thread per element, 256 a workgroup; `arrays` f32 of each are read or written. */
export function perElement(task: Task, count: number, arrays: number): Dispatch[] {
  if (count === 0) return [];
  return [{ ...task, params: { ...task.params, count }, groups: groupsOf(Math.ceil(count / 256)), work: count * 4, bytes: count * arrays * 4 }];
}

export function bindings(to: Recorder, views: Readonly<Record<string, View>>): Record<string, Bound> {
  // Called for every dispatch of every token: no arrays in between.
  const bound: Record<string, Bound> = {};
  for (const name in views) bound[name] = to.memoryOf(views[name]!);
  return bound;
}

export function whole(memory: GpuMemory): Bound {
  return { memory, offset: 0 };
}

/** Rows of activations in int8, as write_unit.wgsl lays them out. */
export interface Quantized {
  readonly memory: GpuMemory;
  /** Where the scales begin, in units of 16 bytes. */
  readonly scales: number;
}

/** Memory for `rows` rows of `units` units. */
export function quantizedRows(to: Recorder, rows: number, units: number): Quantized {
  const scales = rows * units * 2;
  return { memory: to.scratch('quantized activations', scales * 16 + rows * units * 4), scales };
}

/** What a kernel that also writes its result in int8 is given, and what one that does not. */
export function quantizing(into: Quantized | null): { readonly constants: { readonly QUANTIZE: boolean }; readonly bind: Record<string, Bound>; readonly params: { readonly scales: number } } {
  return { constants: { QUANTIZE: into !== null }, bind: into ? { quants: whole(into.memory) } : {}, params: { scales: into?.scales ?? 0 } };
}
