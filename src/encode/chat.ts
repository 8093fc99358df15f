/**
 * A conversation as Gemma's own chat template writes it, to the letter; what people say never becomes a control token.
 *
 * `<bos>`, then each turn `<start_of_turn>role\ncontent<end_of_turn>\n`, the assistant's role being "model". There is no
 * system turn: what the system says goes before the first user's words, as it stands, with an empty line between. Contents
 * are trimmed, parts of one each for itself, and stand together without anything between; an image is as in `prompt.ts`.
 * Source: the chat template in Gemma 3's tokenizer_config.json; transformers `processing_gemma3.py`.
 */
import type { VisionConfig } from '../gemma/vision-config.js';
import { IdList, IMAGE_MARGIN } from './prompt.js';
import type { Tokenizer } from './tokenizer.js';

export type ChatPart = { readonly type: 'text'; readonly text: string } | { readonly type: 'image' };

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'model';
  readonly content: string | readonly ChatPart[];
}

/** As Python's str.strip, which the template calls: other than JavaScript's trim, a byte order mark stays. */
const blank = String.raw`[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+`;
const blankEnds = new RegExp(`^${blank}|${blank}$`, 'gu');
const strip = (text: string): string => text.replace(blankEnds, '');

/** The template takes the first part of a system message for its text. */
function systemText({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  const [first] = content;
  return first?.type === 'text' ? first.text : '';
}

/**
 * @param reply end with the beginning of the model's turn, which it goes on with
 * @param vision ids around an image, where there are images
 * Errors: RangeError for roles that do not alternate, and for an image without `vision`.
 */
export async function encodeChat(messages: readonly ChatMessage[], tokenizer: Tokenizer, reply: boolean, vision?: Pick<VisionConfig, 'tokens' | 'tokensPerImage'>): Promise<Uint32Array> {
  const list = new IdList();
  // Text between control tokens is encoded in one piece: line ends around an image join those beside them.
  let text = '';
  const push = async (ids: readonly number[]): Promise<void> => {
    list.push(await tokenizer.encodeText(text));
    list.push(ids);
    text = '';
  };
  const control = (name: string): Promise<void> => push([tokenizer.controlId(name)]);
  const system = messages[0]?.role === 'system' ? messages[0] : undefined;
  const turns = system ? messages.slice(1) : messages;

  await control('<bos>');
  for (const [i, { role, content }] of turns.entries()) {
    const expected = i % 2 === 0 ? ['user'] : ['assistant', 'model'];
    if (!expected.includes(role)) throw new RangeError(`turn ${i + 1} is of the ${role}, but roles alternate, and the user begins`);
    await control('<start_of_turn>');
    text = `${role === 'user' ? role : 'model'}\n`;
    if (i === 0 && system) text += `${systemText(system)}\n\n`;
    for (const part of typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content) {
      if (part.type === 'text') {
        text += strip(part.text);
        continue;
      }
      if (!vision) throw new RangeError('there is an image, and no model that sees it');
      text += IMAGE_MARGIN;
      await push([vision.tokens.start, ...Array.from({ length: vision.tokensPerImage }, () => vision.tokens.soft), vision.tokens.end]);
      text = IMAGE_MARGIN;
    }
    await control('<end_of_turn>');
    text = '\n';
  }
  if (reply) {
    await control('<start_of_turn>');
    text = 'model\n';
  }
  await push([]);
  return list.toArray();
}
