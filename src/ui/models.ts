/** Lists and descriptions of models as plain text. */
import type { StoredModel } from '../models/describe.js';
import type { Inspection } from '../models/inspect.js';
import type { SpeechInspection } from '../models/inspect-speech.js';
import { bytes, clean, count } from './format.js';

/** Parameters in the field's short form: 270M, 4.3B. */
export function parameters(value: number): string {
  const [scaled, unit] = value >= 1e9 ? [value / 1e9, 'B'] : value >= 1e6 ? [value / 1e6, 'M'] : [value / 1e3, 'K'];
  return `${scaled >= 100 ? Math.round(scaled) : Number(scaled.toFixed(1))}${unit}`;
}

/** Columns as wide as their longest cell; the last one is free. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!))).join('  ').trimEnd()).join('\n');
}

/** Of a text model its context, of a speech model its languages. */
function heldOrHeard({ context, languages }: StoredModel): string {
  if (languages !== null) return languages === 1 ? 'hears 1 language' : `hears ${languages} languages`;
  return context === null ? '' : `${count(context)} tokens`;
}

export function formatModels(models: readonly StoredModel[]): string {
  const rows = models.map((model) => [
    clean(model.name),
    model.store,
    model.problem === null ? `${parameters(model.parameters!)}  ${model.quantization}` : 'broken',
    model.bytes === null ? '' : bytes(model.bytes),
    heldOrHeard(model),
    model.problem === null ? clean(model.path) : clean(`${model.problem} (${model.path})`),
  ]);
  return `${table(rows)}\n`;
}

/** The period as often as it occurs, and the rest: 5 local, 1 global (4 times), then 2 local. */
export function layerPattern(pattern: string): string {
  const named = (part: string): string =>
    (part.match(/L+|G+/g) ?? []).map((run) => `${run.length} ${run[0] === 'L' ? 'local' : 'global'}`).join(', ');
  const [, period = ''] = /^(L*G+)\1*/.exec(pattern) ?? [];
  if (period === '') return named(pattern);
  let times = 0;
  while (pattern.startsWith(period, times * period.length)) times++;
  const rest = pattern.slice(times * period.length);
  if (/G/.test(rest)) return named(pattern);
  return `${named(period)}${times === 1 ? '' : ` (${times} times)`}${rest === '' ? '' : `, then ${named(rest)}`}`;
}

/** Formats by their share of the elements. */
function percent(formats: Readonly<Record<string, number>>): string {
  const all = Object.values(formats).reduce((sum, value) => sum + value, 0);
  const names = Object.entries(formats).sort(([, x], [, y]) => y - x);
  return names.map(([name, value]) => (names.length === 1 ? name : `${name} ${Math.round((100 * value) / all)} %`)).join(', ');
}

function visionText(vision: NonNullable<Inspection['vision']>): string {
  if ('problem' in vision) return `can't be used: ${clean(vision.problem)}`;
  const { layers, parameters: size, formats, image_size: side, tokens_per_image: tokens } = vision;
  return `${layers} layers, ${parameters(size)} parameters, ${percent(formats)}; images of ${side} x ${side} pixels become ${tokens} tokens`;
}

export function formatInspection(model: Inspection): string {
  const { architecture: a } = model;
  const kib = (tokens: number): string => (tokens >= 1024 ? `${tokens / 1024}K` : String(tokens));
  const lengths = Object.keys(model.kv[0]!.bytes);
  const rope = a.rope.global_base === null ? 'none in global layers' : `base ${count(a.rope.global_base)} in global layers${a.rope.global_factor === 1 ? '' : `, positions divided by ${a.rope.global_factor}`}`;
  const sections = [
    `${clean(model.id)}  Gemma 3, ${parameters(model.parameters)} parameters, ${model.quantization}, context ${count(model.context)} tokens`,
    `${clean(model.path)}${model.store === null ? '' : `  (${model.store})`}`,
    '',
    table([
      ['layers', `${a.layers}: ${layerPattern(a.pattern)}; local layers see ${count(a.window)} positions`],
      ['width', `${count(a.hidden_size)}, feed-forward ${count(a.intermediate_size)}`],
      ['heads', `${a.heads} of ${a.head_dim}, ${a.kv_heads} for keys and values`],
      ['rotation', `base ${count(a.rope.local_base)} in local layers, ${rope}`],
      ['vocabulary', `${count(a.vocabulary)} tokens, output matrix ${a.tied_head ? 'tied to the embedding' : 'of its own'}`],
      ...(model.vision === null ? [] : [['vision', visionText(model.vision)]]),
      ['prompt', `${model.prompt}, ${model.chat_template === null ? 'no chat template in the files' : 'chat template in the files (--json shows it)'}`],
    ]),
    '',
    table([['tensors', '', 'bytes', 'format'], ...model.tensors.map(({ kind, count: n, bytes: size, formats }) => [`  ${kind}`, `x ${n}`, bytes(size), percent(formats)])]),
    '',
    table([['KV at tokens', ...lengths.map((tokens) => kib(Number(tokens)))], ...model.kv.map(({ format, bytes: sizes }) => [`  ${format}`, ...lengths.map((tokens) => bytes(sizes[tokens]!))])]),
    '',
    filesTable(model.files),
  ];
  return `${sections.join('\n')}\n`;
}

function filesTable(files: Inspection['files']): string {
  return table([['files', '', ''], ...files.map(({ path, bytes: size, sha256 }) => [`  ${clean(path)}`, bytes(size), sha256 ?? ''])]);
}

export function formatSpeechInspection(model: SpeechInspection): string {
  const { architecture: a, languages } = model;
  const sections = [
    `${clean(model.id)}  Whisper, ${parameters(model.parameters)} parameters, ${percent(model.formats)}; hears recordings, ${languages.length === 1 ? 'in' : `in ${languages.length} languages:`} ${clean(languages.join(' '))}`,
    `${clean(model.path)}${model.store === null ? '' : `  (${model.store})`}`,
    '',
    table([
      ['encoder', `${a.encoder_layers} layers of width ${count(a.width)}, feed-forward ${count(a.encoder_hidden)}, ${a.encoder_heads} heads`],
      ['decoder', `${a.decoder_layers} layers of width ${count(a.width)}, feed-forward ${count(a.decoder_hidden)}, ${a.decoder_heads} heads`],
      ['sound', `windows of ${a.window_seconds} s, ${a.mel_bands} mel bands`],
      ['vocabulary', `${count(a.vocabulary)} tokens, at most ${count(a.tokens_per_window)} a window`],
    ]),
    '',
    filesTable(model.files),
  ];
  return `${sections.join('\n')}\n`;
}
