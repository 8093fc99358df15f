/** What `lodestone perplexity` found, as a table and as a plot with a logarithmic axis of positions. */
import { count } from '../../ui/format.js';
import { gateSentence, lengthName, perplexityChange, type Gate } from '../gate.js';
import type { LossPoint, PowerLaw } from '../perplexity.js';
import { oneLine, xml } from './escape.js';

export interface TextLoss {
  readonly path: string;
  readonly sha256: string;
  /** Foretold: all but the first. */
  readonly tokens: number;
  /** Mean, in nats a token. */
  readonly loss: number;
  readonly perplexity: number;
}

/** Schema lodestone.perplexity/1. */
export interface PerplexityReport {
  readonly schema: 'lodestone.perplexity/1';
  readonly model: { readonly id: string; readonly quantization: string; readonly kv: string; readonly context: number };
  readonly device: { readonly name: string; readonly adapter: string };
  readonly files: readonly TextLoss[];
  /** Of all files together. */
  readonly tokens: number;
  readonly loss: number;
  readonly perplexity: number;
  /** Mean losses of the first 128, 256, ... tokens. */
  readonly points: readonly LossPoint[];
  /** Of the points; null where they are too few. */
  readonly fit: PowerLaw | null;
  readonly baseline: { readonly file: string; readonly loss: number } | null;
  readonly gate: Gate | null;
}

function lawText({ a, b, c, r2 }: PowerLaw): string {
  return `L(x) = ${a.toPrecision(4)} x^${b.toPrecision(3)} ${c < 0 ? '-' : '+'} ${Math.abs(c).toPrecision(4)}, R2 = ${r2.toFixed(4)}`;
}

function headOf({ model, device }: PerplexityReport): string {
  return oneLine(`${model.id} ${model.quantization} on ${device.adapter}, keys and values ${model.kv}`);
}

export function perplexityText(report: PerplexityReport): string {
  const { files, tokens, loss, perplexity, points, fit, baseline, gate } = report;
  const figures = (mean: number, value: number): string => `${mean.toFixed(4).padStart(8)} nats a token  perplexity ${value.toPrecision(6)}`;
  const lines = [headOf(report), ''];
  for (const point of points) lines.push(`  first ${count(point.tokens).padStart(9)} tokens ${figures(point.loss, Math.exp(point.loss))}${files.length > 1 ? `  (${point.texts} ${point.texts === 1 ? 'text' : 'texts'})` : ''}`);
  lines.push('');
  for (const file of files) lines.push(oneLine(`${file.path}: ${count(file.tokens)} tokens, ${file.loss.toFixed(4)} nats a token, perplexity ${file.perplexity.toPrecision(6)}`));
  if (files.length > 1) lines.push(`all: ${count(tokens)} tokens, ${loss.toFixed(4)} nats a token, perplexity ${perplexity.toPrecision(6)}`);
  lines.push(fit === null ? 'too few points for a power law: longer texts are needed' : lawText(fit));
  if (baseline !== null) lines.push(oneLine(`against ${baseline.file}: perplexity ${(100 * perplexityChange(baseline.loss, loss)).toFixed(3)} % higher`));
  if (gate !== null) lines.push(oneLine(gateSentence(gate)));
  return `${lines.join('\n')}\n`;
}

const SIZE = { width: 640, height: 400, left: 64, right: 20, top: 48, bottom: 48 };
/** Steps of the curve of the fit. */
const STEPS = 100;

export function perplexitySvg(report: PerplexityReport): string {
  const { points, fit } = report;
  const { width, height, left, right, top, bottom } = SIZE;
  const first = Math.log2(points[0]?.tokens ?? 1);
  const last = Math.max(first + 1, Math.log2(points.at(-1)?.tokens ?? 2));
  const law = (tokens: number): number => (fit === null ? 0 : fit.a * tokens ** fit.b + fit.c);
  const values = points.flatMap(({ tokens, loss }) => (fit === null ? [loss] : [loss, law(tokens)]));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.08 * (high - low || 1);
  const x = (tokens: number): number => left + ((Math.log2(tokens) - first) / (last - first)) * (width - left - right);
  const y = (loss: number): number => top + ((high + margin - loss) / (high - low + 2 * margin)) * (height - top - bottom);
  const place = (tokens: number, loss: number): string => `${x(tokens).toFixed(1)},${y(loss).toFixed(1)}`;
  const title = `Mean negative log-likelihood of the first x tokens, ${headOf(report)}`;
  const lines = [
    `<text x="8" y="18" font-weight="bold">${xml(title)}</text>`,
    `<text x="8" y="36">${xml(fit === null ? 'too few points for a power law' : lawText(fit))}</text>`,
    `<path d="M${left},${top}V${height - bottom}H${width - right}" fill="none" stroke="#444"/>`,
    `<text x="${(left + width - right) / 2}" y="${height - 10}" text-anchor="middle">tokens</text>`,
    `<text transform="translate(14 ${(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">nats a token</text>`,
  ];
  for (const { tokens } of points) lines.push(`<text x="${x(tokens).toFixed(1)}" y="${height - bottom + 16}" text-anchor="middle" font-size="10">${xml(lengthName(tokens, ''))}</text>`);
  for (let i = 0; i <= 4; i++) {
    const loss = low + ((high - low) * i) / 4;
    lines.push(`<text x="${left - 6}" y="${(y(loss) + 4).toFixed(1)}" text-anchor="end" font-size="10">${loss.toFixed(3)}</text>`);
  }
  if (fit !== null) {
    const curve = Array.from({ length: STEPS + 1 }, (_, i) => 2 ** (first + ((last - first) * i) / STEPS)).map((tokens) => place(tokens, law(tokens)));
    lines.push(`<polyline points="${curve.join(' ')}" fill="none" stroke="#999" stroke-dasharray="4 3"/>`);
  }
  lines.push(`<polyline points="${points.map(({ tokens, loss }) => place(tokens, loss)).join(' ')}" fill="none" stroke="#0b62c4"/>`);
  for (const { tokens, loss } of points) lines.push(`<circle cx="${x(tokens).toFixed(1)}" cy="${y(loss).toFixed(1)}" r="3" fill="#0b62c4"><title>${xml(`${count(tokens)} tokens: ${loss.toFixed(4)}`)}</title></circle>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="sans-serif" font-size="12">\n<title>lodestone perplexity</title><desc>${xml(title)}</desc>\n<rect width="100%" height="100%" fill="#ffffff"/>\n${lines.join('\n')}\n</svg>\n`;
}
