/** Targets and losses against PyTorch's (fixtures/reader), their properties, and the numerical facts that the method rests on. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src/random.js';
import { addExpectationGradient, binaryCrossEntropy, crossEntropy, huber, logSumExp, softmax, squaredError, squaredErrorOfExpectation } from '../../src/reader/losses.js';
import { clampToSupport, createSupport, paddedSupport } from '../../src/reader/support.js';
import { entropyOf, hlGauss, meanOf, projectReturns, twoHot } from '../../src/reader/targets.js';

interface Graded {
  readonly loss: number;
  readonly gradient: number[];
}
type Name = 'two_hot' | 'hl_gauss' | 'c51';
interface Case extends Record<'low' | 'high' | 'bins' | 'value' | 'sigma' | 'reward' | 'discount', number> {
  readonly logits: number[];
  readonly probabilities: number[];
  readonly targets: Record<Name, number[]>;
  readonly cross_entropy: Record<Name, Graded>;
  readonly mse_softmax: Graded;
  readonly expectation: Graded;
}
type Scalar = Record<'prediction' | 'target', number> & Record<'mse' | 'huber' | 'bce', { readonly loss: number; readonly gradient: number }>;
const vectors = JSON.parse(readFileSync(new URL('../../fixtures/reader/vectors.json', import.meta.url), 'utf8')) as { cases: Case[]; scalars: Scalar[] };

const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));
};
const sum = (p: Float64Array): number => p.reduce((a, b) => a + b, 0);

describe.each(vectors.cases)('PyTorch, $bins bins from $low to $high, value $value', (given) => {
  const support = createSupport(given.low, given.high, given.bins);
  const logits = Float64Array.from(given.logits);
  const made: Record<Name, Float64Array> = {
    two_hot: twoHot(given.value, support),
    hl_gauss: hlGauss(given.value, support, given.sigma),
    c51: projectReturns(given.probabilities, given.reward, given.discount, support),
  };

  it('has the same targets', () => {
    for (const name of Object.keys(made) as Name[]) expect(worst(made[name], given.targets[name]), name).toBeLessThan(1e-9);
  });

  it('has the same losses and gradients', () => {
    for (const name of Object.keys(made) as Name[]) {
      const gradient = new Float64Array(given.bins);
      expect(crossEntropy(logits, made[name], gradient), name).toBeCloseTo(given.cross_entropy[name].loss, 8);
      expect(worst(gradient, given.cross_entropy[name].gradient), name).toBeLessThan(1e-8);
    }
    const gradient = new Float64Array(given.bins);
    expect(squaredErrorOfExpectation(logits, support, given.value, gradient)).toBeCloseTo(given.mse_softmax.loss, 8);
    expect(worst(gradient, given.mse_softmax.gradient)).toBeLessThan(1e-7);
    gradient.fill(0);
    expect(addExpectationGradient(logits, support, 1, gradient)).toBeCloseTo(given.expectation.loss, 9);
    expect(worst(gradient, given.expectation.gradient)).toBeLessThan(1e-8);
  });
});

it.each(vectors.scalars)('scalar losses are PyTorch\'s at $prediction for $target', ({ prediction, target, ...given }) => {
  const made = { mse: squaredError(prediction, target), huber: huber(prediction, target, 0.25), bce: binaryCrossEntropy(prediction, target) };
  for (const name of ['mse', 'huber', 'bce'] as const) {
    expect(made[name].loss, name).toBeCloseTo(given[name].loss, 9);
    expect(made[name].gradient, name).toBeCloseTo(given[name].gradient, 9);
  }
});

describe('properties', () => {
  const random = createRandom(3);
  const supports = [createSupport(-0.6, 1.1, 51), createSupport(-40, 40, 101), createSupport(0, 1, 2)];

  it('two-hot keeps the mean and has mass 1, at the ends and on atoms too', () => {
    for (const support of supports) {
      const within = (support.high - support.low) * 1e-12;
      for (const value of [support.low, support.high, ...support.atoms, ...Array.from({ length: 200 }, () => support.low + (support.high - support.low) * random())]) {
        const p = twoHot(clampToSupport(value, support), support);
        expect(Math.abs(meanOf(p, support) - value)).toBeLessThan(within);
        expect(sum(p)).toBe(1);
        expect(p.filter((x) => x !== 0).length).toBeLessThanOrEqual(2);
        expect(p.every((x) => x >= 0)).toBe(true);
      }
    }
    expect(() => twoHot(1.2, supports[0]!)).toThrow(RangeError);
    expect(() => twoHot(NaN, supports[0]!)).toThrow(RangeError);
  });

  it('the projection keeps mass, and the mean of what stays inside', () => {
    for (const support of supports) {
      for (let trial = 0; trial < 50; trial++) {
        const p = softmax(Float64Array.from({ length: support.bins }, () => 4 * random()));
        // Rewards of whole bins fall on atoms exactly: there the classic version loses all mass.
        const reward = (trial % 2 === 0 ? Math.round(6 * random() - 3) : 6 * random() - 3) * support.width;
        const moved = projectReturns(p, reward, 1, support);
        expect(Math.abs(sum(moved) - sum(p))).toBeLessThan(1e-14);
        const inside = p.map((mass, i) => mass * clampToSupport(support.atoms[i]! + reward, support));
        expect(Math.abs(meanOf(moved, support) - sum(inside))).toBeLessThan(1e-12 * (support.high - support.low));
      }
    }
    // A point mass on an atom stays one, whole.
    const support = createSupport(-1, 1, 5);
    expect([...projectReturns([0, 0, 1, 0, 0], 0.5, 1, support)]).toEqual([0, 0, 0, 1, 0]);
    expect([...projectReturns([0, 0, 0, 0, 1], 0.5, 1, support)]).toEqual([0, 0, 0, 0, 1]);
    expect([...projectReturns([1, 0, 0, 0, 0], 0, 0, support)]).toEqual([0, 0, 1, 0, 0]);
  });

  it('HL-Gauss has mass 1 and no negative bin, wherever the value lies within the bins', () => {
    const support = createSupport(-1, 1, 21);
    for (const sigma of [1e-6, 0.01, 0.1, 10]) {
      for (const value of [support.edges[0]!, -1, -0.333, 0, 0.05, 1, support.edges[21]!]) {
        const p = hlGauss(value, support, sigma);
        expect(sum(p)).toBeCloseTo(1, 7);
        expect(Math.min(...p)).toBeGreaterThanOrEqual(0);
      }
    }
    expect(() => hlGauss(1.06, support, 0.1)).toThrow(RangeError);
    expect(() => hlGauss(0, support, 0)).toThrow(RangeError);
  });

  it('gradients are those of finite differences', () => {
    const support = createSupport(-0.6, 1.1, 11);
    const logits = Float64Array.from({ length: 11 }, () => 3 * random() - 1);
    const step = 1e-5;
    const slope = (loss: (at: Float64Array) => number): Float64Array =>
      logits.map((_, i) => (loss(logits.map((x, j) => x + (i === j ? step : 0))) - loss(logits.map((x, j) => x - (i === j ? step : 0)))) / (2 * step));
    const unused = new Float64Array(11);
    const target = hlGauss(0.2, support, 0.75 * support.width);
    const gradient = new Float64Array(11);
    crossEntropy(logits, target, gradient);
    expect(worst(gradient, slope((at) => crossEntropy(at, target, unused)))).toBeLessThan(1e-8);
    expect(worst(gradient, softmax(logits).map((p, i) => p - target[i]!))).toBeLessThan(1e-14);
    expect(gradient.reduce((total, x) => total + Math.abs(x), 0)).toBeLessThanOrEqual(2);
    gradient.fill(0);
    squaredErrorOfExpectation(logits, support, 0.2, gradient);
    expect(worst(gradient, slope((at) => squaredErrorOfExpectation(at, support, 0.2, unused)))).toBeLessThan(1e-8);
  });

  it('gradients are added, by their weight', () => {
    const logits = Float64Array.of(0.1, 0.2, -0.4);
    const once = new Float64Array(3);
    const twice = new Float64Array(3);
    crossEntropy(logits, [0, 1, 0], once);
    crossEntropy(logits, [0, 1, 0], twice, 0.5);
    crossEntropy(logits, [0, 1, 0], twice, 1.5);
    expect(worst(twice, once.map((x) => 2 * x))).toBeLessThan(1e-15);
  });

  it('large logits neither overflow nor lose the loss', () => {
    const gradient = new Float64Array(2);
    expect(crossEntropy(Float64Array.of(2000, -2000), [0, 1], gradient)).toBe(4000);
    expect([...gradient]).toEqual([1, -1]);
    expect(logSumExp([-1e5, -1e5])).toBeCloseTo(-1e5 + Math.LN2, 9);
    expect(binaryCrossEntropy(-900, 1).loss).toBe(900);
    expect(binaryCrossEntropy(900, 0).gradient).toBe(1);
  });
});

describe('supports', () => {
  it('have atoms in the middle of their bins', () => {
    const { atoms, edges, width } = createSupport(-0.6, 1.1, 51);
    expect(width).toBeCloseTo(0.034, 12);
    expect(atoms[50]).toBeCloseTo(1.1, 12);
    for (const [i, atom] of atoms.entries()) expect(atom).toBeCloseTo((edges[i]! + edges[i + 1]!) / 2, 12);
  });

  it('are padded by whole sigmas', () => {
    const { low, high, width } = paddedSupport(-0.5, 1, 51, 2.25);
    expect((-0.5 - low) / width).toBeCloseTo(2.25, 9);
    expect((high - 1) / width).toBeCloseTo(2.25, 9);
    expect(() => paddedSupport(0, 1, 5, 2)).toThrow(RangeError);
    expect(() => createSupport(1, 1, 5)).toThrow(RangeError);
    expect(() => createSupport(0, 1, 1)).toThrow(RangeError);
  });
});

/** 100 bins whose outer edges are -1 and 1; figures in bins, as measured for the method independently of this code. */
describe('the mean of HL-Gauss', () => {
  const support = createSupport(-0.99, 0.99, 100);
  const error = (value: number, ratio: number): number => (meanOf(hlGauss(value, support, ratio * support.width), support) - value) / support.width;

  it.each([
    [0.1, [-0.5, 0, 0, 0, 0]],
    [0.25, [-0.5, 0, 0, 0, 0]],
    [0.5, [-0.55, -0.035, 0, 0, 0]],
    [0.75, [-0.69, -0.155, -0.01, 0, 0]],
    [1.0, [-0.87, -0.31, -0.06, -0.005, 0]],
    [2.0, [-1.63, -1.04, -0.59, -0.28, -0.11]],
  ] as const)('is drawn inwards near the end of the support, at a ratio of %d', (ratio, biases) => {
    for (const [bins, bias] of biases.entries()) expect(Math.abs(error(1 - bins * support.width, ratio) - bias), `${bins} bins from the end`).toBeLessThan(0.01);
  });

  it.each([
    [0.1, 0.286, 0.18],
    [0.25, 0.093, 0.45],
    [0.5, 0.0023, 0.87],
    [0.75, 1e-4, 1.2],
    [2.0, 1e-4, 2.12],
  ] as const)('is off inside by little from a ratio of 0.5 on, and the entropy grows: %d', (ratio, most, entropy) => {
    const values = Array.from({ length: 400 }, (_, i) => -0.2 + (i * support.width) / 40);
    const largest = Math.max(...values.map((value) => Math.abs(error(value, ratio))));
    if (most > 1e-3) expect(largest / most).toBeCloseTo(1, 1);
    else expect(largest).toBeLessThan(most);
    const mean = values.reduce((total, value) => total + entropyOf(hlGauss(value, support, ratio * support.width)), 0) / values.length;
    expect(Math.abs(mean - entropy)).toBeLessThan(0.02);
  });
});
