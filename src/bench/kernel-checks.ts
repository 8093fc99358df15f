/** Every kernel of a device against the reference, in all formats, on small ragged shapes: what the GPU bench does before it measures. */
import type { Command, Device, View } from '../device/device.js';
import { attend, attentionCases, blockFormats, compare, drawBoth, randomFloats, ropeTable, samplings, type Rig } from './kernel-cases.js';

export interface KernelCheck {
  readonly name: string;
  /** The largest error, relative to the largest result, and the most that it may be. */
  readonly error: number;
  readonly most: number;
}

type Case = readonly [name: string, most: number, record: (rig: Rig) => Promise<[View, number]>];

const eps = 1e-6;
const formats = ['f32', 'f16', 'bf16', ...blockFormats] as const;

const embeds = formats.map((format): Case => {
  const [vocabulary, width] = [37, format.endsWith('k') ? 512 : 96];
  return [`embed ${format}`, 3e-7, async (rig) => {
    const weight = await rig.weight(randomFloats(vocabulary * width, 1), vocabulary, width, format);
    const out = rig.empty(3 * width);
    await rig.run({ op: 'embed', ids: rig.data(Uint32Array.of(36, 0, 17)), weight, scale: 7, out, rows: 3 });
    return [out, 3 * width];
  }];
});

const products = formats.flatMap((format) =>
  ([[1, 768, 515], [3, 256, 17], [70, 1280, 130]] as const).map(([rows, inputs, outputs]): Case => [`matMul ${format}, ${rows} x ${inputs} x ${outputs}`, 1e-6, async (rig) => {
    const weight = await rig.weight(randomFloats(outputs * inputs, 8, 0.1), outputs, inputs, format);
    const out = rig.empty(rows * outputs);
    await rig.run({ op: 'matMul', x: rig.data(randomFloats(rows * inputs, 9, 1e3)), rows, parts: [{ weight, out, bias: rig.data(randomFloats(outputs, 3)) }] });
    return [out, rows * outputs];
  }]),
);

const attentions = attentionCases.flatMap(([ring, pageSlots, pages, kvHeads, heads, headDim, window, end, start]) =>
  (['f32', 'f16', 'q8_0'] as const).flatMap((format): Case[] => {
    if (format === 'q8_0' && headDim % 32 !== 0) return [];
    // What is stored may be a step of the format apart, where the reference is on the other side of a tie.
    const most = { f32: 3e-6, f16: 1e-3, q8_0: 2e-2 }[format];
    return [[`attention ${format}, ${heads} heads of ${headDim}, ${end - start} of ${end}, window ${window}`, most, async (rig) => {
      const { out, elements } = await attend(rig, { format, ring, pageSlots, pages, kvHeads, headDim }, end, start, { heads, window, logScale: true });
      return [out, elements];
    }]];
  }),
);

/** A kernel whose result is its first argument's place. */
function inPlace(name: string, most: number, elements: number, magnitude: number, command: (x: View, rig: Rig) => Command): Case {
  return [name, most, async (rig) => {
    const x = rig.data(randomFloats(elements, 2, magnitude));
    await rig.run(command(x, rig));
    return [x, elements];
  }];
}

const [rows, width] = [17, 1152];
const others: readonly Case[] = [
  inPlace('rmsNorm', 5e-7, rows * width, 3e6, (x, rig) => ({ op: 'rmsNorm', x, gain: rig.data(randomFloats(width, 3)), out: x, rows, width, eps })),
  inPlace('addNorm', 5e-7, rows * width, 1e5, (x, rig) => ({
    op: 'addNorm', x, branch: rig.data(randomFloats(rows * width, 5, 300)), gain: rig.data(randomFloats(width, 6, 5e4)), next: { gain: rig.data(randomFloats(width, 7)), out: rig.empty(rows * width) }, rows, width, eps,
  })),
  inPlace('layerNorm', 1e-6, rows * width, 50, (x, rig) => ({ op: 'layerNorm', x, gain: rig.data(randomFloats(width, 3)), bias: rig.data(randomFloats(width, 4)), out: x, rows, width, eps })),
  inPlace('normRope', 5e-7, 5 * 4 * 256, 50, (q, rig) => ({ op: 'normRope', q, rows: 5, heads: 4, headDim: 256, gain: rig.data(randomFloats(256, 4)), eps, rope: rig.data(ropeTable(100_000, 5, 256)) })),
  inPlace('geGlu', 1e-6, 70_001, 60, (gate, rig) => ({ op: 'geGlu', gate, up: rig.data(randomFloats(70_001, 21, 1e4)), out: gate, count: 70_001 })),
  inPlace('gelu', 1e-6, 20_001, 8, (x) => ({ op: 'gelu', x, out: x, count: 20_001 })),
  inPlace('geluErf', 1e-6, 20_001, 8, (x) => ({ op: 'geluErf', x, out: x, count: 20_001 })),
  inPlace('add', 1e-7, 20_001, 8, (x, rig) => ({ op: 'add', x, y: rig.data(randomFloats(20_001, 9)), count: 20_001 })),
  ['averagePool', 1e-6, async (rig) => {
    const out = rig.empty(20);
    await rig.run({ op: 'averagePool', x: rig.data(randomFloats(180, 10)), out, side: 6, size: 3, width: 5 });
    return [out, 20];
  }],
  ['unfold', 0, async (rig) => {
    const out = rig.empty(150 * 21);
    await rig.run({ op: 'unfold', x: rig.data(randomFloats(2100, 2)), out, length: 300, width: 7, rows: 150, taps: 3, stride: 2, pad: 1 });
    return [out, 150 * 21];
  }],
];

/** All checks, one after another; `error` of draws is the share of tokens that are not the reference's. */
export async function* checkKernels(device: Device): AsyncGenerator<KernelCheck, void> {
  for (const [name, most, record] of [...embeds, ...products, ...attentions, ...others]) yield { name, error: await compare(device, record), most };
  for (const sampling of samplings) {
    const drawn = await drawBoth(device, sampling);
    yield { name: `sample ${JSON.stringify(sampling)}`, error: drawn.filter(({ id, want, difference }) => id !== want || !(difference < 1e-4)).length / drawn.length, most: 0 };
  }
}
