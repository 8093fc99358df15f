/**
 * The device: memory, weights, and lists of kernel dispatches.
 *
 * The graph code (`gemma/`, `speech/`) records `Command`s, plain data, and never knows which device runs them. A kernel exists
 * under one name on every device: `device/reference` is the specification, in TypeScript and float64 where that
 * matters; `kernels/cpu` (C++) and `kernels/wgsl` are tested against it.
 *
 * Laws that every device keeps:
 * - Activations, residuals, norms, softmax and accumulation are float32 (Gemma 3's residual stream overflows float16).
 * - Of finite values, a row's result does not depend, in any bit, on how many rows are computed beside it, on the chunk
 *   it came in or on the number of threads. So warm and cold runs, and every chunk size, agree bit for bit on one device.
 * - Commands of one `submit` run in order; a later submit sees the results of an earlier one.
 */

import type { Profile } from './profile.js';
import type { Sampling } from './sampling.js';

/** Device memory. Freed by `Device.destroyBuffer`. */
export interface DeviceBuffer {
  readonly id: number;
  readonly bytes: number;
  /** What it holds, for error messages and memory plans. */
  readonly label: string;
}

/** A place in a buffer; `offset` in bytes, a multiple of 4. */
export interface View {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
}

/**
 * How a weight matrix is stored, in files and on devices: row-major, the formats that begin with q in GGUF's blocks along
 * the input dimension (`weights/blocks.ts`). Products work on all of them.
 */
export type WeightFormat = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0' | 'q4_1' | 'q5_0' | 'q5_1' | 'q4_k' | 'q5_k' | 'q6_k';

/** A weight matrix W of shape [outputs, inputs]. */
export interface Weight {
  readonly id: number;
  readonly label: string;
  readonly format: WeightFormat;
  readonly outputs: number;
  readonly inputs: number;
  /** Bytes the device holds for it (0 if it is computed on directly from the mapped file). */
  readonly bytes: number;
}

/** Where a matrix comes from: a row-major [outputs, inputs] run of bytes in a file, or in memory. */
export interface WeightSource {
  readonly label: string;
  /** Sources in blocks are GGUF's, row after row. */
  readonly format: WeightFormat;
  readonly outputs: number;
  readonly inputs: number;
  readonly data:
    /**
     * The file may stay mapped, and be computed on where it lies, as long as the device lives: a new version of it must
     * be renamed over it. Where it is overwritten the weights change with it, and where it is cut short the process
     * dies of SIGBUS.
     * `offset` need not be aligned: a safetensors header may have any length.
     */
    | { readonly path: string; readonly offset: number; readonly bytes: number }
    | { readonly memory: Uint8Array };
}

/**
 * How keys and values are stored. Attention computes in float32 on what it reads back.
 * - f16: rounded to nearest even; headDim must be even. Finite values beyond +-65504 become +-65504: as infinities they
 *   would turn every later sum into NaN.
 * - q8_0: int8 in blocks of 32 along headDim, which must be a multiple of 32, each block with a float32 scale. Rounded as
 *   activations are for products with quantised weights (see MatMulCommand): whatever float32 holds fits, and a block
 *   with NaN or an infinity reads as NaN.
 */
export type KvFormat = 'f32' | 'f16' | 'q8_0';

/**
 * Keys and values of one layer.
 * Position p lies in page floor(p / pageSlots) at slot p mod pageSlots; of a ring (local layers) there is one page, and
 * p lies at slot p mod pageSlots. Inside a page: [kvHead][slot][headDim], for `k` and for `v`; of q8_0 these are int8, and
 * the scales follow, [kvHead][slot][headDim / 32] (kvLayout.ts).
 * Keys are stored after QK-norm and rotation.
 */
export interface KvCache {
  readonly format: KvFormat;
  readonly ring: boolean;
  readonly pageSlots: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly pages: readonly { readonly k: DeviceBuffer; readonly v: DeviceBuffer }[];
}

/** out[r] = scale * W[ids[r]]; ids are u32 [rows], out f32 [rows, weight.inputs]. */
export interface EmbedCommand {
  readonly op: 'embed';
  readonly ids: View;
  readonly weight: Weight;
  readonly scale: number;
  readonly out: View;
  readonly rows: number;
}

/**
 * out[r] = x[r] * (mean(x[r]^2) + eps)^-1/2 * gain, over `width` elements. `gain` is the factor itself (1 + w of a
 * Gemma checkpoint; the loader adds the 1). out may be x.
 */
export interface RmsNormCommand {
  readonly op: 'rmsNorm';
  readonly x: View;
  readonly gain: View;
  readonly out: View;
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
}

/**
 * The sandwich's residual add, and the norm that follows it:
 * x[r] += rmsNorm(branch[r]; gain); then, if `next` is given, next.out[r] = rmsNorm(x[r]; next.gain).
 */
export interface AddNormCommand {
  readonly op: 'addNorm';
  readonly x: View;
  readonly branch: View;
  readonly gain: View;
  readonly next: { readonly gain: View; readonly out: View } | null;
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
}

/**
 * out[r] = (x[r] - mean(x[r])) (variance(x[r]) + eps)^-1/2 gain + bias, over `width` elements, the variance being the mean
 * square of the differences. gain and bias f32 [width]. out may be x.
 */
export interface LayerNormCommand {
  readonly op: 'layerNorm';
  readonly x: View;
  readonly gain: View;
  readonly bias: View;
  readonly out: View;
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
}

/**
 * For each part: part.out[r] = part.weight * x[r], plus part.bias (f32 [outputs]) where it is given. All parts share x (so
 * it is quantised once) and its width.
 * With weights in f32, f16 or bf16 the activations stay f32 (exact to f32 rounding). With weights in blocks the
 * activations are first quantised per row in blocks of 32 to int8: d = max|x| / 127, q = round(x / d) to nearest even
 * (d and q are 0 where d would be subnormal: below 2^-126), in f32; the products of a block are summed exactly as
 * integers, then scaled by the f32 product of both scales, and the blocks are added in f32. Of formats with a min, its
 * f32 product with the scale of the activations, times their sum, is taken off. A block of activations that holds NaN or
 * an infinity, and one of weights whose scale is NaN, give NaN.
 * x f32 [rows, inputs], out f32 [rows, outputs].
 */
export interface MatMulCommand {
  readonly op: 'matMul';
  readonly x: View;
  readonly rows: number;
  readonly parts: readonly { readonly weight: Weight; readonly out: View; readonly bias?: View }[];
}

/** Rotary tables for `rows` positions: f32 [rows, headDim]: headDim/2 cosines, then headDim/2 sines (made in float64). */
export type RopeTable = View | null;

/**
 * In place: each head of q is RMS-normalised over headDim (gain as in rmsNorm), then rotated in the split-half pairing
 * (element j with j + headDim/2): a' = a cos - b sin, b' = b cos + a sin. No rotation where rope is null.
 * q f32 [rows, heads, headDim].
 */
export interface NormRopeCommand {
  readonly op: 'normRope';
  readonly q: View;
  readonly rows: number;
  readonly heads: number;
  readonly headDim: number;
  readonly gain: View;
  readonly eps: number;
  readonly rope: RopeTable;
}

/**
 * k is normalised and rotated like q in normRope, v is taken as it is; both are written to the cache at positions
 * start .. start + rows - 1. k, v f32 [rows, kvHeads, headDim]; they may be used as scratch.
 * Where gain is null, k is taken as it is too, and rope must be null.
 */
export interface StoreKvCommand {
  readonly op: 'storeKv';
  readonly k: View;
  readonly v: View;
  readonly rows: number;
  /** Absolute position of row 0. */
  readonly start: number;
  readonly gain: View | null;
  readonly eps: number;
  readonly rope: RopeTable;
  readonly cache: KvCache;
}

/** Positions from (inclusive) to (exclusive). */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * Causal attention, but for blocks. Row r is the query at position p = start + r; it sees the cached positions j with
 * j <= last and (window == 0 or j > p - window), where last = p, or, of a position in one of the `blocks`, the block's last
 * position: inside a block (an image's soft tokens) attention goes both ways. Blocks do not overlap and are in ascending
 * order; those that no query lies in change nothing. Query head h reads KV head floor(h * kvHeads / heads).
 * logit = scale * (q . k), times logScale[h] * ln(p + 1) where logScale (f32 [heads]) is given. Softmax in f32.
 * q, out f32 [rows, heads, headDim]. The positions the query sees have been stored.
 */
export interface AttentionCommand {
  readonly op: 'attention';
  readonly q: View;
  readonly out: View;
  readonly rows: number;
  readonly start: number;
  readonly heads: number;
  readonly window: number;
  readonly scale: number;
  readonly logScale: View | null;
  readonly blocks?: readonly Span[];
  readonly cache: KvCache;
}

/** out = gelu_tanh(gate) * up, element by element, `count` f32 elements. out may be gate or up. */
export interface GeGluCommand {
  readonly op: 'geGlu';
  readonly gate: View;
  readonly up: View;
  readonly out: View;
  readonly count: number;
}

/** out = gelu_tanh(x), element by element, `count` f32 elements. out may be x. */
export interface GeluCommand {
  readonly op: 'gelu';
  readonly x: View;
  readonly out: View;
  readonly count: number;
}

/** out = x/2 (1 + erf(x / sqrt 2)), element by element, `count` f32 elements. out may be x. */
export interface GeluErfCommand {
  readonly op: 'geluErf';
  readonly x: View;
  readonly out: View;
  readonly count: number;
}

/**
 * What a convolution along the rows reads for each of its outputs, side by side: out[r] = x[f], x[f + 1] .. x[f + taps - 1]
 * with f = r stride - pad, rows outside x being zeros. A product with weights [outputs, taps * width] then is the
 * convolution. x f32 [length, width], out f32 [rows, taps, width].
 */
export interface UnfoldCommand {
  readonly op: 'unfold';
  readonly x: View;
  readonly out: View;
  readonly length: number;
  readonly width: number;
  readonly rows: number;
  readonly taps: number;
  readonly stride: number;
  readonly pad: number;
}

/** x += y, element by element, `count` f32 elements. */
export interface AddCommand {
  readonly op: 'add';
  readonly x: View;
  readonly y: View;
  readonly count: number;
}

/**
 * The mean of each square of `size` x `size` cells: x f32 [side, side, width], out f32 [side / size, side / size, width].
 * side is a multiple of size.
 */
export interface AveragePoolCommand {
  readonly op: 'averagePool';
  readonly x: View;
  readonly out: View;
  readonly side: number;
  readonly size: number;
  readonly width: number;
}

/**
 * Draws the token that follows: out holds its id (u32), then ln softmax(logits)[id] (f32), whatever the filters kept. How it is
 * drawn says `sample` in sampling.ts; `step` is the token's number in the text. The id is 2^32 - 1 where all logits are NaN or
 * -Infinity. Devices agree on the id, unless two differ by less than their rounding. logits f32 [count].
 */
export interface SampleCommand {
  readonly op: 'sample';
  readonly logits: View;
  readonly count: number;
  readonly sampling: Sampling;
  readonly step: number;
  readonly out: View;
}

export type Command =
  | EmbedCommand
  | RmsNormCommand
  | AddNormCommand
  | MatMulCommand
  | NormRopeCommand
  | StoreKvCommand
  | AttentionCommand
  | GeGluCommand
  | LayerNormCommand
  | GeluCommand
  | GeluErfCommand
  | UnfoldCommand
  | AddCommand
  | AveragePoolCommand
  | SampleCommand;

export interface Device {
  readonly name: 'reference' | 'cpu' | 'webgpu';
  /** For people: "cpu (2 threads, AVX-512 VNNI BF16)". */
  readonly description: string;
  /** Names the code that computes, beyond our TypeScript: where it is the same, so are the results, bit for bit. */
  readonly kernels: string;
  /** Positions per page of a paged cache that suit it: each page costs attention a dispatch, and a short context a page. */
  readonly kvPageSlots: number;
  /** Tokens that suit one submit while decoding, each drawn and fed to the next with nothing read in between: several where the way is long. */
  readonly decodeSteps: number;
  /** Zero-filled. Throws LodestoneError(outOfMemory) naming the label and size when it can't be had. */
  createBuffer(bytes: number, label: string): DeviceBuffer;
  /**
   * Of a device that computes in this process's memory: a buffer that begins as a part of an open file, which is read as it is
   * used; what is written to it never reaches the file. The file must not be cut shorter meanwhile (to remove it, or to rename
   * another to its name, is safe), and its handle may be closed. null: it can't be mapped so, and has to be copied.
   */
  mapBuffer?(file: number, offset: number, bytes: number, label: string): DeviceBuffer | null;
  destroyBuffer(buffer: DeviceBuffer): void;
  /** Bytes in live buffers. */
  readonly allocatedBytes: number;
  /** Takes effect before any later submit. */
  write(to: View, data: ArrayBufferView): void;
  /** A copy of `bytes` bytes, as they are after all earlier submits. */
  read(from: View, bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Brings a matrix onto the device, stored as `as` (default: as it is in the source). The legal changes of format are
   * quantising to q8_0/q4_0 (ggml's rounding, see weights/blocks.ts: all in f32, x times the reciprocal of the unrounded
   * scale) and widening to f32, of all but q8_0/q4_0 themselves, and to f16 (to nearest even; beyond 65504 infinite) of
   * the other formats in blocks. q5_0 to q8_0 keeps scales and integers and so is exact.
   * Rows must be whole blocks in both formats.
   * Errors: LodestoneError(badModel), or (outOfMemory) naming the label.
   */
  loadWeight(source: WeightSource, as?: WeightFormat): Promise<Weight>;
  /**
   * Runs the commands in order, off the event loop. When `signal` aborts, stops soon and rejects with the signal's
   * reason; the rows and cache slots that the list writes are then undefined, everything else is as before (the
   * other slots of the same caches too: an interrupted prefill goes on from its last completed chunk).
   * Errors: LodestoneError(outOfMemory) where there is no memory for what kernels need in between.
   */
  submit(commands: readonly Command[], signal?: AbortSignal): Promise<void>;
  /** Of a device that can time its kernels itself: from now on it does, into `profile`, and everything takes longer. */
  profileInto?(profile: Profile): void;
  close(): Promise<void>;
}
