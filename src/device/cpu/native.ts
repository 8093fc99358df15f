/** The addon build/lodestone-cpu.node: its functions, and loading it. Built by scripts/build-addon.mjs. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** An open device on the native side. */
export type NativeDevice = object & { readonly brand: unique symbol };

export interface NativeVariant {
  readonly name: 'avx512' | 'avxvnni' | 'avx2' | 'neon' | 'scalar';
  /** For people: "AVX-512 VNNI". */
  readonly title: string;
  /** By this processor. */
  readonly supported: boolean;
  /** It has a dot product of bf16 numbers, which bf16Activations needs. */
  readonly bf16: boolean;
}

/**
 * Sizes are checked on this side of the boundary, so functions throw only where a buffer or weight is unknown, the
 * device is closed, or there is no memory (code OUT_OF_MEMORY).
 */
export interface Native {
  /** Of `addonAbi`'s kind. */
  readonly abi: number;
  /** Best first. */
  variants(): NativeVariant[];
  /** Physical cores that this process may run on. */
  defaultThreads(): number;
  /** Throws where its threads can't be started. */
  open(variant: string, threads: number, bf16Activations: boolean): NativeDevice;
  /** Threads at work: fewer than asked for where the system would start no more. */
  threads(device: NativeDevice): number;
  /** False where there is no memory for it. */
  createBuffer(device: NativeDevice, id: number, bytes: number): boolean;
  /** False where that part of an open file can't be mapped. */
  mapBuffer(device: NativeDevice, id: number, file: number, offset: number, bytes: number): boolean;
  destroyBuffer(device: NativeDevice, id: number): void;
  write(device: NativeDevice, id: number, offset: number, data: Uint8Array): void;
  read(device: NativeDevice, id: number, offset: number, into: Uint8Array): Promise<number>;
  /** Resolves to the bytes held; rejects with a reason for people, and code OUT_OF_MEMORY where it is that. */
  loadWeight(
    device: NativeDevice,
    id: number,
    from: number,
    to: number,
    outputs: number,
    inputs: number,
    path: string,
    offset: number,
    bytes: number,
    memory: Uint8Array | null,
  ): Promise<number>;
  /** Resolves to 0, or to 1 where it was cancelled; rejects like loadWeight. */
  submit(device: NativeDevice, serial: number, commands: Float64Array): Promise<number>;
  cancel(device: NativeDevice, serial: number): void;
  /** Joins the threads and frees all memory. No job may be in flight. */
  close(device: NativeDevice): void;
}

/** The addon's interface that this code speaks: `abi` in kernels/cpu/addon.cc, and changed together with it. */
const addonAbi = 6;

/** Relative to src/device/cpu and to dist/device/cpu alike. */
const addonPath = fileURLToPath(new URL('../../../build/lodestone-cpu.node', import.meta.url));

/** The addon, or why it can't be had. */
export function loadNative(): Native | { readonly unavailable: string } {
  if (!existsSync(addonPath)) {
    const script = fileURLToPath(new URL('../../../scripts/build-addon.mjs', import.meta.url));
    return { unavailable: `its addon is not built; install a C++20 compiler and run node ${/\s/.test(script) ? `"${script}"` : script}` };
  }
  try {
    return checkedAddon(createRequire(import.meta.url)(addonPath));
  } catch (error) {
    return { unavailable: `its addon does not load: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The addon, if it is of this version: sources may be newer than what was built of them. */
export function checkedAddon(addon: unknown): Native | { readonly unavailable: string } {
  if ((addon as Partial<Native>).abi === addonAbi) return addon as Native;
  return { unavailable: 'its addon is of another version: run npm run build:addon' };
}

/** sha256 of the addon, in hexadecimal. */
export function addonHash(): string {
  return createHash('sha256').update(readFileSync(addonPath)).digest('hex');
}
