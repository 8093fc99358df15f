/** Commands to record without an adapter: buffers, matrices and caches that hold nothing, and the layer of a model. */
import type { Command, KvCache, View, WeightFormat } from '../../../src/device/device.js';
import type { Recorder } from '../../../src/device/webgpu/recorder.js';
import type { GpuWeight } from '../../../src/device/webgpu/weights.js';

const handle = {} as GPUBuffer;
let ids = 0;
export const view = (): View => ({ buffer: { id: ids++, bytes: 2 ** 40, label: 'test' }, offset: 0 });
export const recorder: Recorder = {
  memoryOf: ({ buffer, offset }) => ({ memory: { id: buffer.id, handle }, offset }),
  weightOf: (weight) => weight as GpuWeight,
  scratch: () => ({ id: ids++, handle }),
  workgroupMemory: 32 * 1024,
  half: false,
  software: false,
};
export const weight = (format: WeightFormat, outputs: number, inputs: number, shards = 1): GpuWeight => ({
  id: ids++,
  label: 'w',
  format,
  outputs,
  inputs,
  bytes: 0,
  units: inputs / 32,
  shards: Array.from({ length: shards }, (_, i) => ({ memory: { id: ids++, handle }, first: (i * outputs) / shards, rows: outputs / shards, planes: { integers: 0, highs: 0, scales: 0, supers: 0 }, bytes: 0 })),
});
export const cache = (ring: boolean, pageSlots: number, pages: number): KvCache => ({ format: 'f16', ring, pageSlots, kvHeads: 1, headDim: 256, pages: Array.from({ length: pages }, () => ({ k: view().buffer, v: view().buffer })) });

/** One layer of the 1B model, as gemma/graph.ts records it. */
export function layer(format: WeightFormat, rows: number, start: number, window: number, kv: KvCache): Command[] {
  const [d, f, q, k] = [1152, 6912, 1024, 256];
  const [x, normed, qs, ks, vs, attended, branch, gate, up, gain, rope] = Array.from({ length: 11 }, view) as [View, View, View, View, View, View, View, View, View, View, View];
  const product = (from: View, inputs: number, ...outs: [View, number][]): Command => ({ op: 'matMul', x: from, rows, parts: outs.map(([out, outputs]) => ({ out, weight: weight(format, outputs, inputs) })) });
  const addNorm: Command = { op: 'addNorm', x, branch, gain, next: { gain, out: normed }, rows, width: d, eps: 1e-6 };
  return [
    product(normed, d, [qs, q], [ks, k], [vs, k]),
    { op: 'storeKv', k: ks, v: vs, rows, start, gain, eps: 1e-6, rope, cache: kv },
    { op: 'normRope', q: qs, rows, heads: 4, headDim: 256, gain, eps: 1e-6, rope },
    { op: 'attention', q: qs, out: attended, rows, start, heads: 4, window, scale: 1 / 16, logScale: null, cache: kv },
    product(attended, q, [branch, d]),
    addNorm,
    product(normed, d, [gate, f], [up, f]),
    { op: 'geGlu', gate, up, out: gate, count: rows * f },
    product(gate, f, [branch, d]),
    addNorm,
  ];
}
