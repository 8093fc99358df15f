/** A conversation as a file: Markdown for people, JSON for programs. */
import type { Answer, SourceSummary } from '../answer/answer.js';
import { sourceName } from '../ingest/name.js';
import { count } from './format.js';
import { answerText, NO_CITATION, place } from './plain.js';

/** JSON where the file is called so, else Markdown. */
export function transcript(file: string, sources: readonly SourceSummary[], answers: readonly Answer[]): string {
  return /\.json$/iu.test(file) ? `${JSON.stringify({ schema: 'lodestone.transcript/1', sources, answers }, null, 2)}\n` : markdown(sources, answers);
}

function markdown(sources: readonly SourceSummary[], answers: readonly Answer[]): string {
  const model = answers[0]?.model.id;
  const read = sources.map(({ path, tokens }) => `- ${sourceName(path)} (${count(tokens)} tokens)`);
  const turns = answers.flatMap((answer) => [`## ${line(answer.question)}`, '', answerText(answer), '', ...citations(answer)]);
  return `${['# Questions and answers', '', `Read${model === undefined ? '' : ` by ${model}`}:`, '', ...read, '', ...turns].join('\n').trimEnd()}\n`;
}

function citations(answer: Answer): string[] {
  if (!answer.found) return [];
  if (answer.citations.length === 0) return [NO_CITATION, ''];
  return answer.citations.flatMap((citation, i) => [`${i + 1}. ${place(citation)}${citation.verified ? '' : ' (not verified)'}`, `   > ${line(citation.quote)}`, '']);
}

function line(text: string): string {
  return text.replaceAll(/\s+/gu, ' ').trim();
}
