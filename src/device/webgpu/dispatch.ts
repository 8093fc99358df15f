/** What the GPU is asked to do: a kernel, the buffers that it is bound to, its parameters. Plain data. */
import type { Constants, Kernel } from './shaders.js';

/** A buffer on the GPU. */
export interface GpuMemory {
  /** Of no other buffer of the device, ever. */
  readonly id: number;
  readonly handle: GPUBuffer;
}

/** `offset` in bytes, a multiple of 4; kernels have it in elements, as the parameter NAME_at. */
export interface Bound {
  readonly memory: GpuMemory;
  readonly offset: number;
}

export interface Dispatch {
  readonly kernel: Kernel;
  readonly constants: Constants;
  /** By the names of the kernel's bindings; those that it does not read may be left out. */
  readonly bind: Readonly<Record<string, Bound>>;
  /** By the names of the fields of Params; those of offsets are filled in. */
  readonly params: Readonly<Record<string, number>>;
  readonly groups: readonly [x: number, y: number, z: number];
  /** Numbers of the kernel's own, bound as `extras`. */
  readonly extras?: Uint32Array<ArrayBuffer>;
  /** Multiply-adds, about: long lists are submitted in pieces. */
  readonly work: number;
  /** Bytes that it has to read and write, each once: what time is compared with. */
  readonly bytes: number;
}

/** Whether two dispatches differ in nothing but parameters, offsets and numbers of workgroups: then pipeline and bindings are the same. */
export function bindsAlike(a: Dispatch, b: Dispatch): boolean {
  if (a.kernel !== b.kernel || a.extras?.byteLength !== b.extras?.byteLength) return false;
  for (const name in a.constants) if (a.constants[name] !== b.constants[name]) return false;
  for (const name in a.bind) if (a.bind[name]!.memory.id !== b.bind[name]?.memory.id) return false;
  for (const name in b.bind) if (!(name in a.bind)) return false;
  return true;
}

/** The most workgroups in one dimension. */
const mostGroups = 65_535;

/** So many workgroups, in two dimensions where one does not do: kernels count x + y * (workgroups in x), and stop at the end. */
export function groupsOf(count: number): readonly [number, number, number] {
  return count <= mostGroups ? [count, 1, 1] : [mostGroups, Math.ceil(count / mostGroups), 1];
}
