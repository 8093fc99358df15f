/** Questions about a text, answered by a server. */
import { chat, type Endpoint } from '../endpoint/client.js';
import { chatPrompt, parseAnswer } from '../encode/prompt.js';
import { segmentText } from '../ingest/text.js';
import type { Answerer, Inquiry, Responses, Response } from './respond.js';
import { ANSWER_TOKENS, type TrialQuestion } from './trial.js';

/** Where a server counts no tokens: English prose, and no more. */
const TOKENS_PER_CHARACTER = 0.25;
/** A chat template's own tokens. */
const TEMPLATE_TOKENS = 32;
/** Kept back, since lengths are estimated. */
const MARGIN = 1.05;
const greedy = { temperature: 0 };

/** The prefix, which opens a local model's turn, ends the user's here: few servers let one write the other. */
function userTurn({ document, head = '' }: Inquiry, { question, published }: Pick<TrialQuestion, 'question' | 'published'>): string {
  if (published) return head + document + published.tail + published.prefix;
  const source = { path: 'haystack', kind: 'text', bytes: document.length, sha256: '' } as const;
  return chatPrompt(question, [{ source, segments: segmentText(source.path, 0, document), warnings: [] }]);
}

/**
 * The server's tokenizer is not here: lengths are estimated from what it counts in `sample`, a text like the haystack.
 * Errors: those of `chat`.
 */
export async function endpointAnswerer(endpoint: Endpoint, sample: string): Promise<Answerer> {
  const { tokens } = await chat(endpoint, { user: sample, maxTokens: 1, sampling: greedy });
  const rate = tokens === null ? TOKENS_PER_CHARACTER : tokens.prompt / sample.length;
  const count = (text: string): number => Math.ceil(rate * text.length);
  return {
    refusesInWords: true,
    count: async (text) => count(text),
    async documentTokens(length, { words = chatPrompt(' '.repeat(200), []), answerTokens = ANSWER_TOKENS } = {}) {
      return Math.max(0, Math.floor((length - count(words) - answerTokens - TEMPLATE_TOKENS) / MARGIN));
    },
    async respond(inquiry, { signal = endpoint.signal }): Promise<Responses> {
      const started = performance.now();
      const responses: Response[] = [];
      let documentTokens = count(inquiry.document);
      let tokensRead = 0;
      for (const one of inquiry.questions) {
        const user = userTurn(inquiry, one);
        const reply = await chat({ ...endpoint, signal }, { user, maxTokens: inquiry.answerTokens ?? ANSWER_TOKENS, sampling: greedy });
        responses.push({ once: one.published ? reply.text.trim() : parseAnswer('gemma-chat', reply.text, false).answer, twice: null });
        tokensRead += reply.tokens?.prompt ?? count(user);
        documentTokens = reply.tokens?.prompt ?? documentTokens;
      }
      const ms = performance.now() - started;
      // What a server keeps of a prompt it does not tell.
      return { responses, documentTokens, tokensRead, tokensReused: 0, prefillMs: ms, decodeMs: 0, kvBytes: 0, lookMs: 0 };
    },
  };
}
