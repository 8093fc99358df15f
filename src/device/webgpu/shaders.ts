/** The kernels of kernels/wgsl: their text, put together, and what it says of their bindings and parameters. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../paths.js';

export type Kernel =
  | 'add'
  | 'add_norm'
  | 'attention'
  | 'attention_merge'
  | 'average_pool'
  | 'embed'
  | 'ge_glu'
  | 'gelu'
  | 'layer_norm'
  | 'mat_mul'
  | 'mat_mul_q8'
  | 'mat_vec'
  | 'mat_vec_q8'
  | 'norm_rope'
  | 'quantize_rows'
  | 'rms_norm'
  | 'sample_count'
  | 'sample_cut'
  | 'sample_pick'
  | 'sample_scan'
  | 'store_kv'
  | 'unfold';

/** Values of the constants that a kernel's first comment names. */
export type Constants = Readonly<Record<string, number | boolean>>;

export interface Binding {
  readonly name: string;
  readonly number: number;
  readonly access: 'read' | 'read_write';
}

export interface Shader {
  readonly code: string;
  /** Storage buffers; binding 0 is the parameters. */
  readonly bindings: readonly Binding[];
  /** Fields of the struct Params, of four bytes each, in order. */
  readonly params: readonly {
    readonly name: string;
    readonly type: 'u32' | 'f32';
    /** The binding whose offset it is, if its name says so: NAME_at. */
    readonly offsetOf: string | null;
  }[];
}

const folder = path.join(packageRoot, 'kernels', 'wgsl');
const texts = new Map<string, string>();

/** A file with the files that it includes in their places, each once, and of `#if CONSTANT`, `#else`, `#endif` the branch that holds. */
function textOf(file: string, constants: Constants, included = new Set<string>()): string {
  let text = texts.get(file);
  if (text === undefined) texts.set(file, (text = readFileSync(path.join(folder, file), 'utf8')));
  const chosen = text.replaceAll(/^#if (\w+)\n([^]*?)(?:^#else\n([^]*?))?^#endif\n/gm, (_, name: string, yes: string, no = '') => (constants[name] ? yes : no));
  return chosen.replaceAll(/^#include "(.+)"$/gm, (_, name: string) => {
    if (included.has(name)) return '';
    included.add(name);
    return textOf(name, constants, included);
  });
}

const declaration = /^@group\(0\) @binding\((\d+)\) var<storage, (read|read_write)> (\w+): (.+);$/gm;

/**
 * A kernel with its constants. Two bindings may be one buffer (out may be x), which WebGPU refuses where one of them
 * is written: `aliases` says which names are to be read as another's.
 */
export function shaderOf(kernel: Kernel, constants: Constants, aliases: ReadonlyMap<string, string>): Shader {
  const values = Object.entries(constants).map(([name, value]) => `const ${name} = ${typeof value === 'number' ? `${value}u` : String(value)};\n`);
  const targets = new Set(aliases.values());
  const bindings: Binding[] = [];
  // What is enabled comes before all else.
  const enabled = new Set<string>();
  const text = textOf(`${kernel}.wgsl`, constants).replaceAll(/^enable \w+;\n/gm, (line) => {
    enabled.add(line);
    return '';
  });
  let code = text.replaceAll(declaration, (_, number: string, access: Binding['access'], name: string, type: string) => {
    if (aliases.has(name)) return '';
    const merged = targets.has(name) ? 'read_write' : access;
    bindings.push({ name, number: Number(number), access: merged });
    return `@group(0) @binding(${number}) var<storage, ${merged}> ${name}: ${type};`;
  });
  for (const [name, target] of aliases) code = code.replaceAll(new RegExp(`\\b${name}\\b(?=\\[)`, 'g'), target);
  const struct = /^struct Params \{\n([^}]*)\}/m.exec(code)![1]!;
  const params = [...struct.matchAll(/^ {2}(\w+): (u32|f32),$/gm)].map(([, name, type]) => ({ name: name!, type: type as 'u32' | 'f32', offsetOf: name!.endsWith('_at') ? name!.slice(0, -3) : null }));
  return { code: [...enabled, ...values, code].join(''), bindings, params };
}

/** sha256 of all kernels, in hexadecimal. */
export function kernelsHash(): string {
  const hash = createHash('sha256');
  for (const file of readdirSync(folder).sort()) hash.update(readFileSync(path.join(folder, file)));
  return hash.digest('hex');
}
