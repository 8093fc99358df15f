/**
 * Sources and a question -> the token ids that the model reads.
 *
 * The documents come first and the question last, so that a later question about the same documents shares everything
 * but the tail. Text from files and from the user never becomes a control token (`Tokenizer.encodeText`).
 */
import { shortClock } from '../clock.js';
import { abortError } from '../errors.js';
import type { VisionConfig } from '../gemma/vision-config.js';
import type { IngestedSource, Raster, Segment } from '../ingest/segment.js';
import { tileBoxes, type Box, type Tiles } from './image.js';
import { splitAtSpaces } from './split.js';
import type { Tokenizer } from './tokenizer.js';

export type PromptStyle = 'gemma-chat' | 'qa';

export interface Prompt {
  readonly ids: Uint32Array;
  /** Tokens of each source, in the order given (the rest of the prompt is not counted). */
  readonly sourceTokens: readonly number[];
  /** Positions behind each segment of the documents, ascending. */
  readonly segmentEnds: readonly number[];
  /** Positions behind each source and what closes it; the question begins behind the last one. */
  readonly sourceEnds: readonly number[];
  /** What the runs of image tokens in `ids` show, in their order; none where absent. */
  readonly images?: readonly PromptImage[];
}

export interface PromptImage {
  /** Index into the list of sources. */
  readonly source: number;
  /** Of a PDF. */
  readonly page?: number;
  readonly image: Raster;
  /** The part that is shown; null: the whole. */
  readonly box: Box | null;
}

/** How images stand in a prompt. */
export interface ImageStyle {
  readonly vision: Pick<VisionConfig, 'tokens' | 'tokensPerImage'>;
  readonly tiles: Tiles;
}

/** What a model trained on the `qa` style says when the answer is not there. */
export const ABSENT_TOKEN = '<absent>';
/** What a chat model is asked to say instead. */
export const ABSENT_SENTENCE = 'Not in the documents.';

const CHAT_TASK =
  'Read the documents below. Answer the question that follows them from the documents alone.';
/** @param seen pages are shown as images: their words stand nowhere that we could look them up, so we ask for the page. */
const chatForm = (seen: boolean): string =>
  'Answer in as few words as possible, on one line. On the next line write Quote: and copy, word for word and in double ' +
  `quotes, the sentence that holds the answer${seen ? ', and behind it the [page] it is on' : ''}. ` +
  `If the documents do not answer the question, write only: ${ABSENT_SENTENCE}`;

/** Collects token ids without copying them over and over, four bytes each. */
export class IdList {
  private readonly parts: Uint32Array[] = [];
  length = 0;

  push(ids: ArrayLike<number>): void {
    this.parts.push(Uint32Array.from(ids));
    this.length += ids.length;
  }

  toArray(): Uint32Array {
    const all = new Uint32Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

/** What stands in front of a segment, so that a chat model can tell where it is. */
function markOf({ page, time }: Segment): string {
  if (page !== undefined) return `[page ${page}]\n`;
  return time === undefined ? '' : `[${shortClock(time[0])}] `;
}

/** Segments encoded at a time: the native tokenizer has threads of its own, and one call takes longer to come back than to run. */
const batch = 64;

/** Where a chat model is told what it reads. */
function documentTags({ source }: IngestedSource): { readonly open: string; readonly close: string } {
  return { open: `<document name=${JSON.stringify(source.path)}>\n`, close: '</document>\n\n' };
}

function chatQuestion(question: string, pagesSeen: boolean): string {
  return `Question: ${question.trim()}\n${chatForm(pagesSeen)}`;
}

/** @param ends of the segments are added to it, as positions in the list */
async function pushText(list: IdList, ends: number[], segments: readonly Segment[], tokenizer: Tokenizer, pageMarks: boolean, signal: AbortSignal | undefined): Promise<void> {
  const encode = async (segment: Segment): Promise<number[]> => {
    if (signal?.aborted) throw abortError(signal);
    return tokenizer.encodeText((pageMarks ? markOf(segment) : '') + segment.text);
  };
  for (let i = 0; i < segments.length; i += batch) {
    for (const ids of await Promise.all(segments.slice(i, i + batch).map(encode))) {
      list.push(ids);
      ends.push(list.length);
    }
  }
}

/** Of Gemma's own processor: what stands around an image, and between it and its crops. */
export const IMAGE_MARGIN = '\n\n';
const BEFORE_WHOLE = 'Here is the original image ';
const BEFORE_CROPS = ' and here are some crops to help you see better ';

/**
 * An image in the prompt, as Gemma's own processor writes it: `<start_of_image>`, soft tokens and `<end_of_image>` between
 * two line ends on either side, which are encoded together with the text beside them. With crops, the sentence that names
 * them, and the same of each crop.
 * @param before text that goes in front
 * @param after text that follows
 * @returns tokens between the first `<start_of_image>` and the last `<end_of_image>`, these included
 */
async function pushImage(list: IdList, images: PromptImage[], shown: PromptImage, style: ImageStyle, before: string, after: string, tokenizer: Tokenizer): Promise<number> {
  const { tokens, tokensPerImage } = style.vision;
  const boxes = tileBoxes(shown.image.width, shown.image.height, style.tiles);
  const views = [shown, ...boxes.map((box) => ({ ...shown, box }))];
  let text = before + (boxes.length > 0 ? BEFORE_WHOLE : '');
  let from: number | undefined;
  for (const [i, view] of views.entries()) {
    list.push(await tokenizer.encodeText(text + IMAGE_MARGIN));
    from ??= list.length;
    list.push([tokens.start, ...Array.from({ length: tokensPerImage }, () => tokens.soft), tokens.end]);
    images.push(view);
    text = IMAGE_MARGIN + (i === 0 ? BEFORE_CROPS : ' ');
  }
  const count = list.length - from!;
  list.push(await tokenizer.encodeText(IMAGE_MARGIN + after));
  return count;
}

/**
 * Segments some of which are images, in order: a PDF's pages, each after its mark, or a video's pictures, each after its time as
 * Gemini had them, with what was said between them.
 */
async function pushSeen(list: IdList, ends: number[], images: PromptImage[], segments: readonly Segment[], style: ImageStyle, tokenizer: Tokenizer, signal: AbortSignal | undefined): Promise<void> {
  let text: Segment[] = [];
  for (const segment of segments) {
    if (signal?.aborted) throw abortError(signal);
    if (!segment.image) {
      text.push(segment);
      continue;
    }
    await pushText(list, ends, text, tokenizer, true, signal);
    text = [];
    const { source, page, time, image } = segment;
    const mark = time ? shortClock(time[0]) : markOf(segment);
    await pushImage(list, images, { source, ...(page === undefined ? {} : { page }), image, box: null }, style, mark, '', tokenizer);
    ends.push(list.length);
  }
  await pushText(list, ends, text, tokenizer, true, signal);
}

/** What a prompt begins with: everything up to the question, the same for every question about these sources. */
export async function encodeDocuments(
  style: PromptStyle,
  sources: readonly IngestedSource[],
  tokenizer: Tokenizer,
  signal?: AbortSignal,
  imageStyle?: ImageStyle,
): Promise<Prompt> {
  const list = new IdList();
  list.push([tokenizer.controlId('<bos>')]);
  if (style === 'gemma-chat') {
    list.push([tokenizer.controlId('<start_of_turn>')]);
    list.push(await tokenizer.encodeText(`user\n${CHAT_TASK}\n\n`));
  }
  const sourceTokens: number[] = [];
  const segmentEnds: number[] = [];
  const sourceEnds: number[] = [];
  const images: PromptImage[] = [];
  for (const [index, entry] of sources.entries()) {
    const { open, close } = documentTags(entry);
    const image = entry.segments.find((segment) => segment.image)?.image;
    if (image && (!imageStyle || style !== 'gemma-chat')) throw new RangeError(`${entry.source.path} is or holds an image, and this prompt has no place for it`);
    if (image && entry.source.kind === 'image') {
      sourceTokens.push(await pushImage(list, images, { source: index, image, box: null }, imageStyle!, open, close, tokenizer));
      segmentEnds.push(list.length);
    } else {
      if (style === 'gemma-chat') list.push(await tokenizer.encodeText(open));
      const before = list.length;
      if (image) await pushSeen(list, segmentEnds, images, entry.segments, imageStyle!, tokenizer, signal);
      else await pushText(list, segmentEnds, entry.segments, tokenizer, style === 'gemma-chat', signal);
      sourceTokens.push(list.length - before);
      if (style === 'gemma-chat') list.push(await tokenizer.encodeText(close));
    }
    sourceEnds.push(list.length);
  }
  return { ids: list.toArray(), sourceTokens, segmentEnds, sourceEnds, ...(images.length === 0 ? {} : { images }) };
}

/** Does a prompt show pages of PDFs as images? */
export function showsPages({ images }: Pick<Prompt, 'images'>): boolean {
  return images?.some(({ page }) => page !== undefined) === true;
}

/** What a prompt ends with, after which the model answers. `pagesSeen`: as `showsPages` says of the documents. */
export async function encodeQuestion(style: PromptStyle, question: string, tokenizer: Tokenizer, pagesSeen = false): Promise<Uint32Array> {
  const list = new IdList();
  if (style === 'qa') {
    list.push([tokenizer.controlId('<question>')]);
    list.push(await tokenizer.encodeText(question.trim()));
    list.push([tokenizer.controlId('<answer>')]);
  } else {
    list.push(await encodeTurnEnd(chatQuestion(question, pagesSeen), '', tokenizer));
  }
  return list.toArray();
}

/** Characters encoded at a time of a text that has no segments. */
const partCharacters = 1500;

async function encodeAfter(controls: readonly string[], text: string, tokenizer: Tokenizer, signal?: AbortSignal): Promise<Uint32Array> {
  const list = new IdList();
  list.push(controls.map((name) => tokenizer.controlId(name)));
  for (const part of splitAtSpaces(text, partCharacters)) {
    if (signal?.aborted) throw abortError(signal);
    list.push(await tokenizer.encodeText(part));
  }
  return list.toArray();
}

/** A text by itself. */
export function encodePlain(text: string, tokenizer: Tokenizer, signal?: AbortSignal): Promise<Uint32Array> {
  return encodeAfter(['<bos>'], text, tokenizer, signal);
}

/** A chat's prompt whose words are the caller's: the user's turn, still open. */
export function encodeOpenTurn(text: string, tokenizer: Tokenizer, signal?: AbortSignal): Promise<Uint32Array> {
  return encodeAfter(['<bos>', '<start_of_turn>'], `user\n${text}`, tokenizer, signal);
}

/** The end of that turn, and the model's own, which begins with `prefix`. */
export async function encodeTurnEnd(tail: string, prefix: string, tokenizer: Tokenizer): Promise<Uint32Array> {
  const list = new IdList();
  list.push(await tokenizer.encodeText(tail));
  list.push([tokenizer.controlId('<end_of_turn>')]);
  list.push(await tokenizer.encodeText('\n'));
  list.push([tokenizer.controlId('<start_of_turn>')]);
  list.push(await tokenizer.encodeText(`model\n${prefix}`));
  return list.toArray();
}

/** Another question, after an answer of the model (of which a chat model has read everything). */
export async function encodeFollowUp(style: PromptStyle, question: string, tokenizer: Tokenizer, pagesSeen = false): Promise<Uint32Array> {
  if (style === 'qa') return encodeQuestion(style, question, tokenizer);
  const list = new IdList();
  list.push([tokenizer.controlId('<end_of_turn>')]);
  list.push(await tokenizer.encodeText('\n'));
  list.push([tokenizer.controlId('<start_of_turn>')]);
  list.push(await tokenizer.encodeText('user\n'));
  list.push(await encodeQuestion(style, question, tokenizer, pagesSeen));
  return list.toArray();
}

/** Gives the documents of these sources as they were made before, or makes them. */
export type KeepDocuments = (sources: readonly IngestedSource[], make: () => Promise<Prompt>) => Promise<Prompt>;

/**
 * Style `qa`: `<bos>` documents `<question>` question `<answer>`, the form that lodestone-tiny is trained on.
 * Style `gemma-chat`: one user turn in Gemma's chat format.
 * Throws the signal's reason once it fires, and RangeError where there are images and no `imageStyle`.
 */
export async function buildPrompt(
  style: PromptStyle,
  question: string,
  sources: readonly IngestedSource[],
  tokenizer: Tokenizer,
  signal?: AbortSignal,
  imageStyle?: ImageStyle,
  keep: KeepDocuments = (_, make) => make(),
): Promise<Prompt> {
  const documents = await keep(sources, () => encodeDocuments(style, sources, tokenizer, signal, imageStyle));
  return joinPrompt(documents, await encodeQuestion(style, question, tokenizer, showsPages(documents)));
}

/** Documents and a question, as `buildPrompt` puts them together. */
export function joinPrompt({ ids, ...rest }: Prompt, question: Uint32Array): Prompt {
  const all = new Uint32Array(ids.length + question.length);
  all.set(ids);
  all.set(question, ids.length);
  return { ...rest, ids: all };
}

/** The words of the user's turn in style `gemma-chat`, for engines with a tokenizer of their own. Throws RangeError where there are images. */
export function chatPrompt(question: string, sources: readonly IngestedSource[]): string {
  const documents = sources.map((entry) => {
    if (entry.segments.some(({ image }) => image)) throw new RangeError(`${entry.source.path} is or holds an image`);
    const { open, close } = documentTags(entry);
    return open + entry.segments.map((segment) => markOf(segment) + segment.text).join('') + close;
  });
  return `${CHAT_TASK}\n\n${documents.join('')}${chatQuestion(question, false)}`;
}

export interface ParsedAnswer {
  readonly found: boolean;
  readonly answer: string;
  /** What must stand in the sources to the letter: the quote a chat model gave, else the answer itself. */
  readonly needle: string;
  /** Where the model says that its quote stands; it is asked where pages are shown as images. */
  readonly page?: number;
}

/** The model's text -> answer and needle. `absent`: the model gave its token for "not there". */
export function parseAnswer(style: PromptStyle, text: string, absent: boolean): ParsedAnswer {
  const trimmed = text.trim();
  const missing = absent || trimmed === '' || trimmed.toLowerCase().startsWith(ABSENT_SENTENCE.toLowerCase().slice(0, -1));
  if (missing) return { found: false, answer: '', needle: '' };
  if (style === 'qa') {
    // Copied to the letter, line ends of the page included.
    const span = trimmed.replace(/\s+/gu, ' ');
    return { found: true, answer: span, needle: span };
  }
  const quote = /(?:^|\n)\s*quote:\s*["\u201c]?(.*?)["\u201d]?\s*(?:[[(]page (\d{1,6})[\])]\.?\s*)?$/isu.exec(trimmed);
  if (quote === null) return { found: true, answer: trimmed, needle: trimmed };
  const needle = quote[1]!.trim();
  // Of a model that gave nothing but a quote, the quote is the answer.
  return { found: true, answer: trimmed.slice(0, quote.index).trim() || needle, needle, ...(quote[2] === undefined ? {} : { page: Number(quote[2]) }) };
}
