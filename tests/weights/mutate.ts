/** Damage to model files, drawn from a seed: what bad disks, cut downloads and people with intentions make of them. */
import { pick, randomBelow, type Random } from '../../src/random.js';

export type Mutator = (file: Buffer, random: Random) => Buffer;

/** Where headers lie: most damage goes to the first bytes, some anywhere. */
function place(file: Buffer, head: number, random: Random): number {
  return randomBelow(random() < 0.95 ? Math.min(head, file.length) : file.length, random);
}

const counts: readonly bigint[] = [0n, 1n, 2n, 31n, 255n, 65_537n, 2n ** 24n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 40n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n];
/** f32: NaN, infinities, the smallest, the largest, -1. */
const floats = [0x7fc0_0000, 0x7f80_0000, 0xff80_0000, 1, 0x7f7f_ffff, 0xbf80_0000];

function splice(file: Buffer, at: number, remove: number, insert: Buffer): Buffer {
  return Buffer.concat([file.subarray(0, at), insert, file.subarray(at + remove)]);
}

function flipBits(head: number): Mutator {
  return (file, random) => {
    const out = Buffer.from(file);
    for (let flips = 1 + randomBelow(4, random); flips > 0; flips--) {
      const at = place(file, head, random);
      out[at] = out[at]! ^ (1 << randomBelow(8, random));
    }
    return out;
  };
}

const truncate = (head: number): Mutator => (file, random) => file.subarray(0, place(file, head, random));

/** A run of bytes said twice, left out, or turned into zeros or ones. */
function repeatOrDrop(head: number): Mutator {
  return (file, random) => {
    const at = place(file, head, random);
    const length = Math.min(1 + randomBelow(200, random), file.length - at);
    switch (randomBelow(4, random)) {
      case 0:
        return splice(file, at, 0, file.subarray(at, at + length));
      case 1:
        return splice(file, at, length, Buffer.alloc(0));
      case 2:
        return splice(file, at, length, Buffer.alloc(length));
      default:
        return splice(file, at, length, Buffer.alloc(length, 0xff));
    }
  };
}

/** Eight bytes that look like a small count become another, or a number a little beside it. */
function lieAboutLength(head: number): Mutator {
  return (file, random) => {
    const out = Buffer.from(file);
    const looksLike = (at: number): boolean => file[at + 3] === 0 && file[at + 4] === 0 && file[at + 5] === 0 && file[at + 6] === 0 && file[at + 7] === 0;
    for (let tries = 0; tries < 200; tries++) {
      const at = place(file, Math.min(head, file.length - 8), random);
      if (at > file.length - 8 || !looksLike(at)) continue;
      const near = file.readBigUInt64LE(at) + BigInt(randomBelow(5, random) - 2);
      out.writeBigUInt64LE(random() < 0.3 && near >= 0n ? near : pick(counts, random), at);
      break;
    }
    return out;
  };
}

/** A number of four bytes becomes a huge one, or no number; half the time one that a metadata key names. */
function lieAboutNumber(head: number, keys: readonly string[]): Mutator {
  return (file, random) => {
    const out = Buffer.from(file);
    const key = pick(keys, random);
    const named = file.indexOf(key, 0, 'latin1');
    // After the key: u32 type, then the value.
    const at = named >= 0 && random() < 0.7 ? named + key.length + 4 : place(file, head, random);
    if (at + 4 > file.length) return out;
    out.writeUInt32LE(random() < 0.5 ? pick(floats, random) : Number(pick(counts, random) & 0xffff_ffffn), at);
    return out;
  };
}

export function ggufMutators(head: number, keys: readonly string[]): readonly Mutator[] {
  return [flipBits(head), truncate(head), repeatOrDrop(head), lieAboutLength(head), lieAboutLength(head), lieAboutNumber(head, keys)];
}

const jsonValues = ['0', '-1', '1', '1.5', '1e308', '1e999', 'NaN', 'Infinity', 'null', 'true', '""', '"x"', '[]', '{}', '[[0]]', '9007199254740993', '18446744073709551616', '4294967295', '2147483648', '1000000000', '99999999999'];

/** Deep enough to end a parser that recurses. */
const depths = [200, 5000, 50_000];

function deep(random: Random): string {
  const depth = pick(depths, random);
  const [open, close] = random() < 0.5 ? ['[', ']'] : ['{"a":', '}'];
  return `${open.repeat(depth)}0${random() < 0.8 ? close.repeat(depth) : ''}`;
}

/** Of a JSON text: a value (number, string, null, or one within brackets) becomes another. */
function replaceValue(text: string, random: Random, value: string): string {
  const values = /("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|null|true|false|\[[^[\]{}]*\]|\{[^[\]{}]*\})(?=\s*[,}\]])/gu;
  values.lastIndex = randomBelow(text.length, random);
  const match = values.exec(text);
  return match === null ? text : text.slice(0, match.index) + value + text.slice(values.lastIndex);
}

/** A member of an object said twice, taken out, or under the name of another. */
function shuffleMembers(text: string, random: Random): string {
  const members = /"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?\d+|null|true|false|\[[^[\]{}]*\]|\{[^{}]*\})/gu;
  const next = (): { at: number; text: string } | null => {
    members.lastIndex = randomBelow(text.length, random);
    const match = members.exec(text);
    return match === null ? null : { at: match.index, text: match[0] };
  };
  const one = next();
  const other = next();
  if (one === null || other === null) return text;
  const put = (insert: string, remove: number): string => text.slice(0, one.at) + insert + text.slice(one.at + remove);
  const value = (member: string): string => member.slice(member.indexOf(':'));
  switch (randomBelow(4, random)) {
    case 0:
      return put(`${one.text},${one.text},`, 0);
    case 1:
      return put(`${other.text},`, 0);
    case 2:
      return put(one.text.slice(0, one.text.indexOf(':')) + value(other.text), one.text.length);
    default:
      return put('"dropped":0', one.text.length);
  }
}

type TextMutator = (text: string, random: Random) => string;

const jsonTextMutators: readonly TextMutator[] = [
  (text, random) => replaceValue(text, random, pick(jsonValues, random)),
  (text, random) => replaceValue(text, random, pick(jsonValues, random)),
  (text, random) => replaceValue(text, random, deep(random)),
  shuffleMembers,
  shuffleMembers,
  (text, random) => text.replaceAll(pick(['BF16', 'U8', 'BPE', 'Replace', 'Sequence', 'ByteFallback', 'Fuse', 'special', 'q8_0', 'q4_0'], random), pick(['F64', 'F4', 'Unigram', 'WordPiece', 'WordLevel', 'Precompiled', '\\u0000', 'q6_k', '__proto__'], random)),
];

const asBytes = (mutate: TextMutator): Mutator => (file, random) => Buffer.from(mutate(file.toString('utf8'), random));

/** Of a file that is one JSON text. */
export const jsonMutators: readonly Mutator[] = [...jsonTextMutators.map(asBytes), flipBits(Infinity), truncate(Infinity), repeatOrDrop(Infinity)];

/** Of a safetensors file with a header of `head` bytes: as of JSON, the header's length then right or not. */
export function safetensorsMutators(head: number): readonly Mutator[] {
  const inHeader = (mutate: TextMutator): Mutator => (file, random) => {
    const header = Buffer.from(mutate(file.toString('utf8', 8, 8 + head), random));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(random() < 0.95 ? header.length : head));
    return Buffer.concat([length, header, file.subarray(8 + head)]);
  };
  const lieAboutHeader: Mutator = (file, random) => {
    const out = Buffer.from(file);
    out.writeBigUInt64LE(random() < 0.4 ? BigInt(head + randomBelow(9, random) - 4) : pick(counts, random), 0);
    return out;
  };
  return [...jsonTextMutators.map(inHeader), flipBits(8 + head), truncate(8 + head), repeatOrDrop(8 + head), lieAboutHeader];
}
