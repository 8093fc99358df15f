/** What a run was: two runs can be compared, or one go on as the other, only where these agree. */

export interface RunSettings {
  readonly model: string;
  /** Of config, tokenizer and weights, as files. */
  readonly model_sha256: string;
  readonly quantization: string;
  readonly device: string;
  readonly kv: string;
  readonly looks: number;
  readonly seed: number;
  /** Per length. */
  readonly suites: readonly { readonly name: string; readonly lengths: readonly (number | null)[]; readonly depths: readonly number[]; readonly parts?: readonly string[]; readonly questions: number }[];
  /** Of the model that hears, where something is heard. */
  readonly speech_sha256?: string;
  /** Of each haystack file, in their order. */
  readonly haystack_sha256: readonly string[];
}

/** What is asked; the rest is who answers. */
export const questionSettings = ['seed', 'suites', 'haystack_sha256'] as const;

/** The first setting that differs, or null. */
export function differs(a: Partial<RunSettings>, b: RunSettings, names: readonly (keyof RunSettings)[] = Object.keys(b) as (keyof RunSettings)[]): keyof RunSettings | null {
  return names.find((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name])) ?? null;
}
