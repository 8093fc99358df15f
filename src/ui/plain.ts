/** Answers and plans as plain text: what scripts, pipes and screen readers get. */
import type { Answer, Plan, SourceSummary } from '../answer/answer.js';
import type { Citation } from '../answer/citations.js';
import { shortClock } from '../clock.js';
import { sourceName } from '../ingest/name.js';
import { bytes, clean, count } from './format.js';

/** Where it stands: "report.pdf, page 9", "notes.md, lines 3-4", "talk.mp3, 12:34". */
export function place(citation: Citation): string {
  const source = sourceName(citation.source);
  if (citation.page !== undefined) return `${source}, page ${citation.page}`;
  if (citation.time !== undefined) return `${source}, ${shortClock(citation.time[0])}`;
  if (citation.lines === undefined) return source;
  const [from, to] = citation.lines;
  return `${source}, ${from === to ? `line ${from}` : `lines ${from}-${to}`}`;
}

/** Stands in the place of citations. */
export const NO_CITATION = '(no citation: nothing in the sources supports this answer)';

export function answerText({ found, answer, unknown_names: names = [] }: Pick<Answer, 'found' | 'answer' | 'unknown_names'>): string {
  if (found) return clean(answer);
  const hints = names.map(({ name, nearest, read_as_nearest: read }) => {
    const near = nearest === null ? '.' : read ? `, and no answer for "${clean(nearest)}".` : `; did you mean "${clean(nearest)}"?`;
    return ` There is no "${clean(name)}" in them${near}`;
  });
  return `Not found in the sources.${hints.join('')}`;
}

export function formatAnswer(answer: Pick<Answer, 'found' | 'answer' | 'citations' | 'unknown_names'>): string {
  const lines = [answerText(answer)];
  if (!answer.found) return `${lines[0]}\n`;
  answer.citations.forEach((citation, i) => {
    const mark = citation.verified ? '' : citation.picture ? '  (read in a picture: look for yourself)' : '  (not verified: the answer does not stand there to the letter)';
    lines.push(`  [${i + 1}] ${place(citation)}: "${clean(citation.quote)}"${mark}`);
  });
  if (answer.citations.length === 0) lines.push(`  ${NO_CITATION}`);
  return `${lines.join('\n')}\n`;
}

/** ", 12 pages, 3 of them as images and 6 crops"; of an image that is shown in parts too, ", whole and 2 crops". */
function partsOf({ pages, page_images, views = 1 }: SourceSummary): string {
  const crops = views - (page_images ?? 1);
  const parts = crops === 0 ? '' : ` and ${count(crops)} ${crops === 1 ? 'crop' : 'crops'}`;
  if (pages === undefined) return parts === '' ? '' : `, whole${parts}`;
  const seen = page_images === undefined ? '' : `, ${page_images === pages ? 'all' : count(page_images)} of them as images${parts}`;
  return `, ${count(pages)} ${pages === 1 ? 'page' : 'pages'}${seen}`;
}

/** Of a recording: ", 12:34", and of what is looked at in it. */
function lengthOf({ seconds, frames }: SourceSummary): string {
  const length = seconds === undefined ? '' : `, ${shortClock(seconds)}`;
  if (frames === undefined) return length;
  const skipped = frames.skipped === 0 ? '' : `, ${count(frames.skipped)} left out within scenes`;
  return `${length}, ${count(frames.shown)} pictures (${count(frames.repeated)} repeated ones left out${skipped}), ${count(frames.scenes)} ${frames.scenes === 1 ? 'scene' : 'scenes'}`;
}

/** Of a budget that not everything fits into. */
function budgetLine({ budget, tokens }: Plan): string[] {
  if (budget === undefined) return [];
  const most = 'seconds' in budget.asked ? `${budget.asked.seconds} s` : `${count(tokens.prompt)} tokens`;
  return [`budget   ${most} of about ${count(budget.corpus_tokens)} tokens in ${count(budget.leaves)} pieces; ${budget.trained ? 'a trained policy' : `a fixed rule (${budget.by})`} chooses`];
}

export function formatPlan(plan: Plan): string {
  const { tokens, kv } = plan;
  const layer = (name: string, part: Plan['kv']['local']): string =>
    `  ${name.padEnd(7)} ${count(part.layers)} layers x ${count(part.positions)} positions in ${part.format}  ${bytes(part.bytes)}`;
  return `${[
    `model    ${plan.model.id}  ${plan.model.quantization}  ${bytes(plan.model.weight_bytes)}, context ${count(plan.model.context)} tokens`,
    `device   ${plan.device.adapter}`,
    'sources',
    ...plan.sources.map(
      (source) =>
        `  ${sourceName(source.path)}  ${source.kind}${partsOf(source)}${lengthOf(source)}  ${count(source.tokens)} tokens`,
    ),
    `tokens   ${count(tokens.prompt - tokens.cached)} to read${tokens.cached === 0 ? '' : ` (a session has ${count(tokens.cached)} more)`}, up to ${count(tokens.answer)} to answer, of ${count(tokens.context)}`,
    ...budgetLine(plan),
    `KV       ${bytes(kv.bytes)} (${bytes(kv.bytes_if_all_global)} if every layer held every position)`,
    layer('local', kv.local),
    layer('global', kv.global),
    plan.fits ? "fits the model's context" : "does not fit the model's context: choose pages with --pages, or a model with a longer context",
  ].join('\n')}\n`;
}
