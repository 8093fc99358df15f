/**
 * Text <-> token ids, from a model's `tokenizer.json`, which `tokenizers` (native) reads and, where that addon does not load,
 * `@huggingface/tokenizers` (JavaScript); `gguf-tokenizer.ts` makes one of a GGUF file's list of pieces, which needs neither.
 *
 * Control tokens (`<bos>`, `<start_of_turn>`, ...: the added tokens that tokenizer.json calls special) only ever come from
 * `controlId`. Text that spells one stays text, so a document can't end its own turn or forge a question.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { showJson } from '../weights/json.js';

type BackendName = 'native' | 'js' | 'pieces';

export interface Tokenizer {
  /** Which library does the work. */
  readonly backend: BackendName;
  /** Ids of a text, none of them a control token; nothing is added in front or behind. */
  encodeText(text: string): Promise<number[]>;
  /** Text of ids; control tokens are left out, incomplete UTF-8 is U+FFFD. */
  decode(ids: ArrayLike<number>): Promise<string>;
  decodeStream(): DecodeStream;
  /** Id of a control token. Throws LodestoneError(badModel) if the model has no such token. */
  controlId(name: string): number;
  findControlId(name: string): number | undefined;
  /** All control tokens, name -> id. */
  readonly controls: ReadonlyMap<string, number>;
  /** The largest id that text can have. */
  readonly largestTextId: number;
}

/** Text of ids that come one at a time. */
export interface DecodeStream {
  /** The text that is certain after this id; empty while a character is incomplete. */
  push(id: number): Promise<string>;
  /** The rest, incomplete characters as U+FFFD. */
  flush(): Promise<string>;
}

/** What a backend does: plain encoding (control tokens in the text are recognised) and decoding (they are skipped). */
export interface Backend {
  readonly name: BackendName;
  encode(text: string): Promise<number[]>;
  decode(ids: number[]): Promise<string>;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
}

/**
 * The tokenizer of a model directory: tokenizer.json, else what an older one is made of (`byte-level.ts`).
 * @param prefer a backend to insist on; default: native if it loads
 * Errors: LodestoneError(badModel), one line.
 */
export async function openTokenizer(dir: string, prefer?: 'native' | 'js'): Promise<Tokenizer> {
  const path = join(dir, 'tokenizer.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      const { byteLevelTokenizerJson } = await import('./byte-level.js');
      const made = await byteLevelTokenizerJson(dir);
      if (made === null) throw bad(`${dir}: no tokenizer.json`, cause);
      return makeTokenizer(join(dir, 'vocab.json'), made, JSON.stringify(made), prefer);
    }
    throw bad(`${path}: can't be read (${(cause as Error).message})`, cause);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw bad(`${path}: is not JSON`, cause);
  }
  return makeTokenizer(path, json, text, prefer);
}

/** @param text `json`, as it is written */
async function makeTokenizer(path: string, json: unknown, text: string, prefer: 'native' | 'js' | undefined): Promise<Tokenizer> {
  const { controls, unknown, largestTextId } = readTokens(json, (what) => {
    throw bad(`${path}: ${what}`);
  });
  let backend: Backend;
  try {
    backend = await openBackend(text, json as object, prefer);
  } catch (cause) {
    throw bad(`${path}: is not a tokenizer${reasonOf(cause)}`, cause);
  }
  return new TextTokenizer(path, guarded(path, backend), controls, unknown, largestTextId);
}

function bad(what: string, cause?: unknown): LodestoneError {
  return new LodestoneError(ExitCode.badModel, what, cause === undefined ? undefined : { cause });
}

/** What a library says of a file, on one line. What the engine says of the library's own stumbling helps nobody. */
function reasonOf(cause: unknown): string {
  if (cause instanceof RangeError) return ' (nested too deeply)';
  return cause instanceof TypeError ? '' : ` (${(cause as Error).message.split('\n', 1)[0]!.slice(0, 200)})`;
}

/** Libraries find some faults of a file only when it is used. */
function guarded(path: string, backend: Backend): Backend {
  const guard = async <T>(use: () => Promise<T>, verb: string): Promise<T> => {
    try {
      return await use();
    } catch (cause) {
      throw bad(`${path}: can't be used to ${verb} text${reasonOf(cause)}`, cause);
    }
  };
  return {
    name: backend.name,
    encode: (text) => guard(() => backend.encode(text), 'encode'),
    decode: (ids) => guard(() => backend.decode(ids), 'decode'),
  };
}

interface Tokens {
  readonly controls: Map<string, number>;
  /** Plain text may yield it where bytes have no tokens. */
  readonly unknown: string | null;
  readonly largestTextId: number;
}

/** Special added tokens, the name of the unknown token, and how far the ids of text reach. */
function readTokens(json: unknown, fail: (what: string) => never): Tokens {
  const file = json as { added_tokens?: unknown; model?: { unk_token?: unknown; vocab?: unknown } } | null;
  if (typeof file !== 'object' || file === null || typeof file.model !== 'object' || file.model === null) {
    return fail('has no "model"');
  }
  const added = file.added_tokens ?? [];
  if (!Array.isArray(added)) return fail('"added_tokens" is not a list');
  const controls = new Map<string, number>();
  for (const token of added as (Partial<AddedToken> & { special?: unknown })[]) {
    if (typeof token?.content !== 'string' || token.content === '' || !Number.isSafeInteger(token.id)) {
      return fail('an entry of "added_tokens" has no content or id');
    }
    if (token.special === true) controls.set(token.content, token.id!);
  }
  const unknown = file.model.unk_token;
  const { vocab } = file.model;
  // A list (Unigram) or an object, name -> id. A control token may stand there too, and text never yields it.
  const ids: Iterable<unknown> = Array.isArray(vocab) ? vocab.keys() : Object.values(vocab ?? {});
  const special = new Set<unknown>(controls.values());
  let largestTextId = 0;
  for (const id of [ids, (added as AddedToken[]).map((token) => token.id)].flatMap((list) => [...list])) {
    if (!Number.isSafeInteger(id) || (id as number) < 0) return fail(`gives a token the id ${showJson(id)}`);
    if ((id as number) > largestTextId && !special.has(id)) largestTextId = id as number;
  }
  return { controls, unknown: typeof unknown === 'string' ? unknown : null, largestTextId };
}

async function openBackend(text: string, json: object, prefer: 'native' | 'js' | undefined): Promise<Backend> {
  if (prefer !== 'js') {
    const native = await import('tokenizers').then(
      (module) => module.default,
      (error: unknown) => {
        if (prefer === 'native') throw error;
        return null;
      },
    );
    if (native) {
      const tokenizer = native.Tokenizer.fromString(text);
      return {
        name: 'native',
        encode: async (part) => (await tokenizer.encode(part, null, { addSpecialTokens: false })).getIds(),
        decode: (ids) => tokenizer.decode(ids, true),
      };
    }
  }
  const { Tokenizer } = await import('@huggingface/tokenizers');
  const tokenizer = new Tokenizer({ ...json, pre_tokenizer: exactPreTokenizer((json as { pre_tokenizer?: unknown }).pre_tokenizer) }, {});
  return {
    name: 'js',
    encode: async (part) => tokenizer.encode(part, { add_special_tokens: false }).ids,
    decode: async (ids) =>
      ids.length === 0 ? '' : tokenizer.decode(ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
  };
}

interface PreTokenizer {
  readonly type?: unknown;
  readonly pretokenizers?: unknown;
  readonly individual_digits?: unknown;
  readonly add_prefix_space?: unknown;
  readonly use_regex?: unknown;
}

/**
 * The JavaScript library splits by JavaScript's \d and \s, which know fewer digits and other spaces than those of the
 * native library, and so gives other ids for "x²". The same splits, spelled with Unicode properties.
 */
function exactPreTokenizer(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const step = value as PreTokenizer;
  const split = (regex: string): object => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
  if (step.type === 'Sequence' && Array.isArray(step.pretokenizers)) {
    return { ...step, pretokenizers: step.pretokenizers.map(exactPreTokenizer) };
  }
  if (step.type === 'Digits') return split(step.individual_digits === true ? String.raw`\p{N}` : String.raw`\p{N}+`);
  if (step.type === 'ByteLevel' && step.add_prefix_space === false && step.use_regex !== false) {
    const words = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+`;
    const others = String.raw` ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+`;
    return { type: 'Sequence', pretokenizers: [split(`${words}|${others}`), { ...step, use_regex: false }] };
  }
  return value;
}

export class TextTokenizer implements Tokenizer {
  readonly backend: BackendName;
  readonly #backend: Backend;
  readonly #path: string;
  /** Where a control token is spelled; null if there are none. */
  readonly #spelled: RegExp | null;
  /** Ids that text must not yield. */
  readonly #forbidden: ReadonlySet<number>;

  constructor(
    path: string,
    backend: Backend,
    readonly controls: ReadonlyMap<string, number>,
    unknown: string | null,
    readonly largestTextId: number,
  ) {
    this.#path = path;
    this.#backend = backend;
    this.backend = backend.name;
    const names = [...controls.keys()].map((name) => name.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`));
    this.#spelled = names.length === 0 ? null : new RegExp(names.join('|'), 'gu');
    this.#forbidden = new Set([...controls].filter(([name]) => name !== unknown).map(([, id]) => id));
  }

  async encodeText(source: string): Promise<number[]> {
    // Half a surrogate pair is no character; the backends would make different bytes of it.
    const text = source.replaceAll(/\p{Surrogate}/gu, '\uFFFD');
    // Cut each spelling after its first character; the pieces are encoded apart and can't join up again.
    const pieces: string[] = [];
    let from = 0;
    if (this.#spelled) {
      this.#spelled.lastIndex = 0;
      for (let match = this.#spelled.exec(text); match; match = this.#spelled.exec(text)) {
        const cut = match.index + String.fromCodePoint(match[0].codePointAt(0)!).length;
        pieces.push(text.slice(from, cut));
        from = cut;
        this.#spelled.lastIndex = cut;
      }
    }
    pieces.push(text.slice(from));
    const ids: number[] = [];
    for (const piece of pieces) for (const id of await this.#encodePiece(piece)) ids.push(id);
    return ids;
  }

  /** A normaliser may turn other characters into a control token's; then the text is cut until it can't. */
  async #encodePiece(piece: string): Promise<number[]> {
    if (piece === '') return [];
    const ids = await this.#backend.encode(piece);
    const beyond = ids.find((id) => id > this.largestTextId && !this.#forbidden.has(id));
    if (beyond !== undefined) throw new LodestoneError(ExitCode.badModel, `${this.#path}: encodes text as ${beyond}, which is no id of its vocabulary`);
    if (!ids.some((id) => this.#forbidden.has(id))) return ids;
    const characters = [...piece];
    if (characters.length < 2) {
      throw new LodestoneError(ExitCode.badModel, `${this.#path}: turns ${JSON.stringify(piece)} into a control token`);
    }
    const half = characters.length >> 1;
    const first = await this.#encodePiece(characters.slice(0, half).join(''));
    return [...first, ...(await this.#encodePiece(characters.slice(half).join('')))];
  }

  decode(ids: ArrayLike<number>): Promise<string> {
    return this.#backend.decode(Array.from(ids));
  }

  decodeStream(): DecodeStream {
    return new WindowedDecodeStream((ids) => this.#backend.decode(ids));
  }

  findControlId(name: string): number | undefined {
    return this.controls.get(name);
  }

  controlId(name: string): number {
    const id = this.controls.get(name);
    if (id === undefined) throw new LodestoneError(ExitCode.badModel, `${this.#path}: has no control token ${name}`);
    return id;
  }
}

/**
 * Text may end in U+FFFD of its own, so more tokens may wait than a character has bytes. Where this many wait, the bytes
 * are no UTF-8 and are shown as they are.
 */
const longestWait = 32;

/**
 * Decodes a short window of ids, not all of them: the ids whose text is out already and matter as left context, and those
 * that wait. What the waiting ids add to the window's text is new.
 */
class WindowedDecodeStream implements DecodeStream {
  #context: number[] = [];
  #waiting: number[] = [];

  constructor(private readonly decode: (ids: number[]) => Promise<string>) {}

  async push(id: number): Promise<string> {
    this.#waiting.push(id);
    return this.#emit(false);
  }

  flush(): Promise<string> {
    return this.#emit(true);
  }

  async #emit(all: boolean): Promise<string> {
    if (this.#waiting.length === 0) return '';
    const before = await this.decode(this.#context);
    const text = await this.decode([...this.#context, ...this.#waiting]);
    const incomplete = text.endsWith('\uFFFD');
    if (!all && incomplete && this.#waiting.length <= longestWait) return '';
    // After an incomplete character that is out already, what completes it must not change the text before.
    this.#context = incomplete ? [] : this.#waiting;
    this.#waiting = [];
    return text.slice(before.length);
  }
}
