/**
 * Gemma 3 the plain way: float64, the whole sequence at once, no cache, attention over all positions under a mask.
 * Written from the report and the specification, on purpose without a line of src.
 */
import { ropeBases, shape, type RandomModel } from './random-model.js';

type Vector = readonly number[];

function norm(x: Vector, w: Float32Array): number[] {
  const mean = x.reduce((sum, v) => sum + v * v, 0) / x.length;
  return x.map((v, i) => (v / Math.sqrt(mean + 1e-6)) * (1 + w[i]!));
}

function times(w: Float32Array, x: Vector): number[] {
  return Array.from({ length: w.length / x.length }, (_, o) => x.reduce((sum, v, i) => sum + v * w[o * x.length + i]!, 0));
}

function add(a: Vector, b: Vector): number[] {
  return a.map((v, i) => v + b[i]!);
}

/** As complex numbers: element j is the real part and element j + D/2 the imaginary one. */
function rotate(x: Vector, position: number, base: number, factor: number): number[] {
  const half = x.length / 2;
  return x.map((_, i) => {
    const j = i % half;
    const angle = position / factor / base ** (j / half);
    return i < half
      ? x[j]! * Math.cos(angle) - x[j + half]! * Math.sin(angle)
      : x[j]! * Math.sin(angle) + x[j + half]! * Math.cos(angle);
  });
}

function gelu(z: number): number {
  return 0.5 * z * (1 + Math.tanh(0.7978845608028654 * (z + 0.044715 * z * z * z)));
}

/** Logits [position][vocabulary]. Positions from (inclusive) to (exclusive) of `block` see each other both ways. */
export function bruteForce({ json, kinds, values }: RandomModel, ids: readonly number[], window = shape.window, block: readonly [number, number] = [0, 0]): number[][] {
  const { d, heads, kvHeads, headDim, attentionScalar } = shape;
  const lodestone = json['lodestone'] !== undefined;
  const embedding = values.get('embed_tokens.weight')!;
  let x: Vector[] = ids.map((id) => Array.from(embedding.subarray(id * d, (id + 1) * d), (v) => v * Math.sqrt(d)));
  for (const [l, kind] of kinds.entries()) {
    const w = (name: string): Float32Array => values.get(`layers.${l}.${name}`)!;
    const turn = (v: Vector, position: number): Vector =>
      kind === 'local' ? rotate(v, position, ropeBases.local, 1) : lodestone ? v : rotate(v, position, ropeBases.global, ropeBases.factor);
    const split = (v: Vector, count: number): Vector[] =>
      Array.from({ length: count }, (_, h) => v.slice(h * headDim, (h + 1) * headDim));
    const a = x.map((row) => norm(row, w('input_layernorm.weight')));
    const q = a.map((row, p) => split(times(w('self_attn.q_proj.weight'), row), heads).map((v) => turn(norm(v, w('self_attn.q_norm.weight')), p)));
    const k = a.map((row, p) => split(times(w('self_attn.k_proj.weight'), row), kvHeads).map((v) => turn(norm(v, w('self_attn.k_norm.weight')), p)));
    const v = a.map((row) => split(times(w('self_attn.v_proj.weight'), row), kvHeads));
    x = x.map((row, p) => {
      const attended = q[p]!.flatMap((query, h) => {
        const group = Math.floor(h / (heads / kvHeads));
        const inBlock = (position: number): boolean => block[0] <= position && position < block[1];
        const visible = ids.map((_, j) => (j <= p || (inBlock(j) && inBlock(p))) && (kind === 'global' || p - j < window));
        const sharpness = lodestone && kind === 'global' ? w('self_attn.log_n_scale')[h]! * Math.log(p + 1) : 1;
        const scores = ids.map((_, j) => {
          const dot = query.reduce((sum, e, i) => sum + e * k[j]![group]![i]!, 0);
          return visible[j] ? (sharpness * dot) / Math.sqrt(attentionScalar) : -Infinity;
        });
        const max = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - max));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        return query.map((_, i) => weights.reduce((sum, weight, j) => sum + (weight / total) * v[j]![group]![i]!, 0));
      });
      const middle = add(row, norm(times(w('self_attn.o_proj.weight'), attended), w('post_attention_layernorm.weight')));
      const b = norm(middle, w('pre_feedforward_layernorm.weight'));
      const up = times(w('mlp.up_proj.weight'), b);
      const gated = times(w('mlp.gate_proj.weight'), b).map((z, i) => gelu(z) * up[i]!);
      return add(middle, norm(times(w('mlp.down_proj.weight'), gated), w('post_feedforward_layernorm.weight')));
    });
  }
  return x.map((row) => times(embedding, norm(row, values.get('norm.weight')!)));
}
