/** Block formats and 16-bit floats against gguf-py's values, and against their definitions. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { WeightFormat } from '../../src/device/device.js';
import { dequantizeBlocks, quantizeActivations, quantizeBlocks, refuseConversion, storedBytes, unpackBlocks } from '../../src/weights/blocks.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, roundHalfAway, roundHalfEven } from '../../src/weights/half.js';
import { duplicateKey } from '../../src/weights/json.js';
import { q5ToQ8, unpackValues } from '../../src/weights/packed.js';
import { packedFormats, randomFloats } from '../device/cases.js';
import { fixtureDir } from '../runtime/fixture.js';

interface Vectors {
  readonly [format: `Q${string}`]: { readonly raw_hex: string; readonly f32: number[] };
  readonly quantize_input: number[];
  readonly quantize_Q8_0: string;
  readonly quantize_Q4_0: string;
  readonly quantize_BF16: string;
}
const vectors = JSON.parse(readFileSync(join(fixtureDir, 'blocks.json'), 'utf8')) as Vectors;
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

function vectorsOf(format: WeightFormat): { readonly raw_hex: string; readonly f32: number[] } {
  return vectors[format.toUpperCase() as `Q${string}`]!;
}

describe('packed formats', () => {
  it.each(packedFormats)('%s unpacks to gguf-py\'s values, exactly', (format) => {
    const { raw_hex, f32 } = vectorsOf(format);
    expect(bytes(raw_hex).length).toBe(storedBytes(format, f32.length));
    expect([...unpackValues(format, bytes(raw_hex))]).toEqual(f32);
  });

  it('q5_0 becomes q8_0 without rounding', () => {
    const { raw_hex, f32 } = vectorsOf('q5_0');
    expect([...dequantizeBlocks('q8_0', q5ToQ8(bytes(raw_hex)))]).toEqual(f32);
  });

  it.each<[WeightFormat, WeightFormat, number, string | null]>([
    ['bf16', 'bf16', 7, null],
    ['bf16', 'f32', 7, null],
    ['bf16', 'f16', 64, "bf16 can't be loaded as f16"],
    ['f32', 'q4_0', 64, null],
    ['f32', 'q4_0', 40, 'q4_0 needs rows of a multiple of 32 elements, but they have 40'],
    ['q8_0', 'q8_0', 64, null],
    ['q8_0', 'q4_0', 64, "q8_0 can't be loaded as q4_0"],
    ['q8_0', 'f32', 64, "q8_0 can't be loaded as f32"],
    ['q4_k', 'f16', 512, null],
    ['q4_k', 'f16', 320, 'q4_k needs rows of a multiple of 256 elements, but they have 320'],
    ['q4_k', 'bf16', 512, "q4_k can't be loaded as bf16"],
    ['q6_k', 'q8_0', 512, null],
  ])('%s as %s in rows of %i: %s', (from, to, inputs, refusal) => {
    expect(refuseConversion(from, to, inputs)).toBe(refusal);
  });
});

describe('blocks', () => {
  it.each(['q8_0', 'q4_0'] as const)('%s dequantises to gguf-py\'s values, exactly', (format) => {
    const { raw_hex, f32 } = vectorsOf(format);
    expect([...dequantizeBlocks(format, bytes(raw_hex))]).toEqual(f32);
  });

  it.each([
    ['q8_0', vectors.quantize_Q8_0],
    ['q4_0', vectors.quantize_Q4_0],
  ] as const)('%s quantises to gguf-py\'s bytes, exactly', (format, expected) => {
    expect(hex(quantizeBlocks(format, Float32Array.from(vectors.quantize_input)))).toBe(expected);
  });

  it('quantise zeros to zeros', () => {
    for (const format of ['q8_0', 'q4_0'] as const) {
      expect(dequantizeBlocks(format, quantizeBlocks(format, new Float32Array(64))).every((value) => value === 0)).toBe(true);
    }
  });

  it('q8_0 rounds ties away from zero', () => {
    const x = new Float32Array(32);
    x.set([127, 0.5, 1.5, -0.5, -2.5]);
    expect([...unpackBlocks('q8_0', quantizeBlocks('q8_0', x)).q.subarray(0, 5)]).toEqual([127, 1, 2, -1, -3]);
  });

  it('q4_0 keeps the element of largest magnitude, with its sign', () => {
    for (const sign of [1, -1]) {
      const x = Float32Array.from({ length: 32 }, (_, i) => (i === 20 ? sign * 8 : sign * -7.5 * (i / 31)));
      expect(dequantizeBlocks('q4_0', quantizeBlocks('q4_0', x))[20]).toBe(sign * 8);
    }
  });

  it('q4_0 rounds in float32: 8.9999999 becomes 9', () => {
    const x = new Float32Array(32);
    x[0] = -8 / 9.192461967468262; // the largest element; 1 / d is 9.192461967468262
    x[1] = 0.054392363876104355;
    expect(Math.fround(1 / Math.fround(x[0] / -8))).toBe(9.192461967468262);
    expect(unpackBlocks('q4_0', quantizeBlocks('q4_0', x)).q[1]! + 8).toBe(9);
  });

  it('round trips within half a step', () => {
    const x = randomFloats(320, 4, 3);
    for (const [format, steps] of [
      ['q8_0', 127],
      ['q4_0', 8],
    ] as const) {
      const back = dequantizeBlocks(format, quantizeBlocks(format, x));
      for (let block = 0; block < 10; block++) {
        const largest = Math.max(...x.subarray(block * 32, block * 32 + 32).map(Math.abs));
        for (let i = block * 32; i < block * 32 + 32; i++) {
          // q4_0 has one step less on the side away from its largest element; f16 scales round by 2^-11.
          const step = (largest / steps) * (format === 'q4_0' ? 1.01 : 0.5 + 127 * 2 ** -11);
          expect(Math.abs(back[i]! - x[i]!)).toBeLessThanOrEqual(step);
        }
      }
    }
  });

  it('activations are quantised to the nearest of 127 steps, ties to even', () => {
    const x = new Float32Array(64);
    x.set([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -127, 3.4, 3.6]);
    const { q, d } = quantizeActivations(x);
    expect([...q.subarray(0, 10)]).toEqual([127, 0, 2, 2, 0, -2, -2, -127, 3, 4]);
    expect([...d]).toEqual([1, 0]);
    expect(q.subarray(32).every((v) => v === 0)).toBe(true);
  });

  it('activations below the normal numbers are zeros; NaN and infinity are not lost', () => {
    const x = new Float32Array(160);
    x.fill(127 * 2 ** -127, 0, 32);
    x.fill(127 * 2 ** -126, 32, 64);
    x.set([1, Number.NaN, 2], 64);
    x[100] = Number.NEGATIVE_INFINITY;
    x[130] = Number.NaN;
    expect([...quantizeActivations(x).d]).toEqual([0, 2 ** -126, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN]);
  });

  it('unpack q4_0 with element j in the low nibble and j + 16 in the high one', () => {
    const block = new Uint8Array(18);
    block.set([0x00, 0x3c, 0xf0, 0x19]); // scale 1; byte 0: low 0, high 15; byte 1: low 9, high 1
    const { q, d } = unpackBlocks('q4_0', block);
    expect([q[0], q[16], q[1], q[17], d[0]]).toEqual([-8, 7, 1, -7, 1]);
  });
});

describe('16-bit floats', () => {
  it('bf16 rounds to gguf-py\'s bits', () => {
    const halves = Uint16Array.from(vectors.quantize_input, (value) => f32ToBf16(value));
    expect(hex(new Uint8Array(halves.buffer))).toBe(vectors.quantize_BF16);
  });

  it('every bf16 and f16 number comes back from float32', () => {
    for (let bits = 0; bits < 65_536; bits++) {
      for (const [widen, narrow] of [
        [bf16ToF32, f32ToBf16],
        [f16ToF32, f32ToF16],
      ] as const) {
        const value = widen(bits);
        if (Number.isNaN(value)) {
          if (!Number.isNaN(widen(narrow(value)))) throw new Error(`NaN ${bits} is lost`);
        } else if (narrow(value) !== bits && value !== 0) throw new Error(`${bits} becomes ${narrow(value)}`);
      }
    }
  });

  it('f16 by its definition: normal, subnormal, largest, infinite, signed zero', () => {
    expect([0x3c00, 0xc000, 0x3555, 0x0001, 0x03ff, 0x0400, 0x7bff].map((bits) => f16ToF32(bits))).toEqual([
      1, -2, 0.333251953125, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 65504,
    ]);
    expect([f16ToF32(0x7c00), f16ToF32(0xfc00), f16ToF32(0x7e00)]).toEqual([Infinity, -Infinity, Number.NaN]);
    expect(Object.is(f16ToF32(0x8000), -0)).toBe(true);
  });

  it('f16 rounds ties to even and overflows to infinity at 65520', () => {
    // 2049 and 2051 lie half way between neighbours 2048, 2050, 2052.
    expect([2049, 2051, -2049].map((v) => f16ToF32(f32ToF16(v)))).toEqual([2048, 2052, -2048]);
    expect([65519, 65520, -1e9].map((v) => f16ToF32(f32ToF16(v)))).toEqual([65504, Infinity, -Infinity]);
    expect([2 ** -25, 2 ** -25 * 1.001, 3 * 2 ** -25].map((v) => f16ToF32(f32ToF16(v)))).toEqual([0, 2 ** -24, 2 ** -23]);
  });

  it('bf16 rounds ties to even', () => {
    // Neighbours of 1 are 2^-7 apart.
    expect([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8].map((v) => bf16ToF32(f32ToBf16(v)))).toEqual([1, 1 + 2 ** -6, -1]);
  });

  it('the two roundings differ at ties alone', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6].map(roundHalfEven)).toEqual([0, 2, 2, 0, -2, 2, -3]);
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6].map(roundHalfAway)).toEqual([1, 2, 3, -1, -2, 2, -3]);
  });
});

describe('duplicateKey', () => {
  it('finds a key twice in one object, however deep and however spelled', () => {
    expect(duplicateKey('{"a":1,"b":{"c":[{"d":1,"d":2}]}}')).toBe('d');
    expect(duplicateKey(String.raw`{"a":1,"\u0061":2}`)).toBe('a');
    expect(duplicateKey('{"a" :1, "a"\n:2}')).toBe('a');
  });
  it('is not misled by values, strings with braces, or equal keys of different objects', () => {
    expect(duplicateKey(String.raw`{"a":"a","b":["a","a"],"c":{"a":1},"d":{"a":"}\"{"},"e":"\\"}`)).toBeNull();
    expect(duplicateKey('[]')).toBeNull();
  });
});
