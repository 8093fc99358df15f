/** An extractive model reads one passage; in a second search, behind the sentence that led there. */
import { fold, occurrences } from '../answer/fold.js';
import { readAlone, type PassageResult, type ReadRequest } from '../answer/reading.js';
import { onlyRepeats, type Reading } from '../answer/second-look.js';
import { encodeQuestion } from '../encode/prompt.js';
import type { IngestedSource, Segment } from '../ingest/segment.js';
import type { Model } from '../runtime/model.js';
import { wordsOf } from './question.js';

const NOT_FOUND = { found: false, answer: '', needle: '' } as const;

/** Reads passages for one question, each alone. */
export class PassageReader {
  readonly #asked: ReadonlySet<string>;
  #question: Promise<Uint32Array> | null = null;

  constructor(
    private readonly model: Model,
    private readonly request: ReadRequest,
  ) {
    this.#asked = wordsOf(request.question);
  }

  /**
   * @param lead a sentence read before, '' for none: it stands in front of the passage, and what is found in it alone is no answer
   * @param most tokens that it may take; null: it takes more
   * Errors: the signal's reason.
   */
  async read(segments: readonly Segment[], lead: string, signal: AbortSignal, most = Infinity): Promise<PassageResult | null> {
    this.#question ??= encodeQuestion(this.model.config.prompt, this.request.question, this.model.tokenizer);
    const text = segments.map((segment) => segment.text).join('');
    const source: IngestedSource = { source: { path: '', kind: 'text', bytes: 0, sha256: '' }, segments: [], warnings: [] };
    const shown = [...(lead === '' ? [] : [{ source: 0, text: `${lead} ` }]), { source: 0, text }];
    const result = await readAlone(this.model, this.request, [source], shown, await this.#question, signal, most);
    if (result === null || this.#answers(result.reading.parsed, text)) return result;
    return { ...result, reading: { ...result.reading, parsed: NOT_FOUND } };
  }

  #answers({ found, answer }: Reading['parsed'], text: string): boolean {
    return found && !onlyRepeats(answer, this.#asked) && occurrences(fold(text).text, fold(answer).text).length > 0;
  }
}
