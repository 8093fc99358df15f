/** A conversation with its commands, for a terminal, a pipe and a screen reader alike: lines in, plain text out. */
import { writeFile } from 'node:fs/promises';
import type { Answer, AskEvent } from '../answer/answer.js';
import { citedImage } from '../answer/cited-image.js';
import { citedText, type CitedText } from '../answer/cited-text.js';
import type { Citation } from '../answer/citations.js';
import type { Conversation } from '../answer/conversation.js';
import { sourceName } from '../ingest/name.js';
import type { Raster } from '../ingest/segment.js';
import { chatCommands, type ChatCommandName } from './chat-commands.js';
import { formatContextMap, type ContextPart } from './context-map.js';
import { bytes, clean, count } from './format.js';
import { table } from './models.js';
import { place } from './plain.js';
import { transcript } from './transcript.js';

/** What a command shows; null: leave. */
export type CommandResult = { readonly text: string } | null;

export interface Cited {
  readonly citation: Citation;
  readonly text: CitedText | null;
  readonly image: Raster | null;
}

export class ChatSession {
  readonly #conversation: Conversation;
  readonly #answers: Answer[] = [];

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  get answers(): readonly Answer[] {
    return this.#answers;
  }

  async ask(question: string, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Answer> {
    const answer = await this.#conversation.ask(question, signal, emit);
    this.#answers.push(answer);
    return answer;
  }

  /** Where a citation of the last answer stands, and what was to be seen there. */
  cited(number: number): Cited | null {
    const citation = this.#answers.at(-1)?.citations[number - 1];
    return citation === undefined ? null : { citation, text: citedText(citation, this.#conversation.sources), image: citedImage(citation, this.#conversation.sources) };
  }

  parts(): ContextPart[] {
    return this.#conversation.plan.sources.map(({ path, tokens }) => ({ name: sourceName(path), tokens }));
  }

  get dialogue(): number {
    return this.#conversation.tokens.dialogue;
  }

  get kvBytes(): number {
    return this.#conversation.kvBytes;
  }

  /** @param columns of the terminal */
  async command(name: ChatCommandName, argument: string, columns: number): Promise<CommandResult> {
    switch (name) {
      case 'sources':
        return { text: table(this.#conversation.plan.sources.map(({ path, kind, pages, tokens }) => [sourceName(path), kind, pages === undefined ? '' : `${count(pages)} pages`, `${count(tokens)} tokens`])) };
      case 'cite':
        return { text: this.#cite(argument) };
      case 'context': {
        const { dialogue, most } = this.#conversation.tokens;
        const map = formatContextMap(this.parts(), dialogue, most, Math.min(64, columns));
        return { text: `${map}${bytes(this.kvBytes)} of keys and values` };
      }
      case 'save':
        return { text: await this.#save(argument) };
      case 'history':
        return { text: this.#answers.length === 0 ? 'no questions yet' : this.#answers.map(({ question }, i) => `${i + 1}  ${clean(question)}`).join('\n') };
      case 'forget':
        this.#conversation.forget();
        return { text: 'the dialogue is forgotten' };
      case 'help':
        return { text: table(chatCommands.map((command) => [`/${command.name}${command.argument === null ? '' : ` ${command.argument}`}`, command.help])) };
      case 'quit':
        return null;
    }
  }

  /** The page with the quote marked, for those who see no colours. */
  #cite(argument: string): string {
    const found = this.cited(Number(argument));
    if (found === null) {
      const most = this.#answers.at(-1)?.citations.length ?? 0;
      return most === 0 ? 'the last answer has no citations' : `/cite takes a number from 1 to ${most}`;
    }
    const { citation, text } = found;
    if (text === null) return `[${argument}] ${place(citation)}: "${clean(citation.quote)}"`;
    const marked = `${text.text.slice(0, text.from)}>>>${text.text.slice(text.from, text.to)}<<<${text.text.slice(text.to)}`;
    return `[${argument}] ${place(citation)}\n${clean(marked).trim()}`;
  }

  async #save(file: string): Promise<string> {
    if (this.#answers.length === 0) return 'nothing to save yet';
    try {
      await writeFile(file, transcript(file, this.#conversation.plan.sources, this.#answers));
      return `saved ${count(this.#answers.length)} answers to ${clean(file)}`;
    } catch (error) {
      return `can't write ${clean(file)}: ${(error as Error).message}`;
    }
  }
}
