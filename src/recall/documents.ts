/** Checked questions about the fixture report and real PDFs, by `ask` itself, with the page each answer is cited on. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ask, type AskRequest } from '../answer/ask.js';
import type { Device } from '../device/device.js';
import { LodestoneError } from '../errors.js';
import { defaultChunk } from '../runtime/kv.js';
import { isRight } from './scoring.js';

interface Question {
  readonly question: string;
  readonly answer: string;
  readonly page: number | null;
}

/** What answers: parts of an `AskRequest`. */
export type DocumentModel = Pick<AskRequest, 'modelDir' | 'looks' | 'kv'>;

export interface DocumentRow {
  readonly file: string;
  readonly question: string;
  readonly expected: string;
  readonly answer: string;
  readonly right: boolean;
  /** By the first reading of everything alone. */
  readonly wholeRight: boolean;
  readonly page: number | null;
  readonly citedPage: number | null;
  readonly rightPage: boolean;
}

async function questionsOf(file: string, list: readonly Question[], model: DocumentModel, device: Device): Promise<DocumentRow[]> {
  const rows: DocumentRow[] = [];
  for (const { question, answer: expected, page } of list) {
    const request = { ...model, question, paths: [file], quantize: 'none', sampling: { temperature: 0 }, maxTokens: 64, chunk: defaultChunk } as const;
    let answer = '';
    let right = false;
    let wholeRight = false;
    let citedPage: number | null = null;
    try {
      const result = await ask(request, device, new AbortController().signal, () => undefined);
      answer = result.answer;
      right = isRight(answer, expected);
      wholeRight = isRight(result.readings[0]!.answer, expected);
      citedPage = result.citations[0]?.page ?? null;
    } catch (error) {
      if (!(error instanceof LodestoneError)) throw error;
      answer = `refused: ${error.message}`;
    }
    rows.push({ file: path.basename(file), question, expected, answer, right, wholeRight, page, citedPage, rightPage: page !== null && citedPage === page });
  }
  return rows;
}

/** Facts in the report of the fixtures. */
export async function askReport(fixtures: string, model: DocumentModel, device: Device): Promise<DocumentRow[]> {
  const pdf = path.join(fixtures, 'long-report.pdf');
  const list = path.join(fixtures, 'long-report.json');
  if (!existsSync(pdf) || !existsSync(list)) return [];
  return questionsOf(pdf, JSON.parse(readFileSync(list, 'utf8')) as Question[], model, device);
}

/** The real PDFs of the fixtures. */
export async function askMedia(fixtures: string, model: DocumentModel, device: Device): Promise<DocumentRow[]> {
  const manifest = path.join(fixtures, 'media', 'manifest.jsonl');
  if (!existsSync(manifest)) return [];
  const rows: DocumentRow[] = [];
  for (const line of readFileSync(manifest, 'utf8').split('\n')) {
    if (line.trim() === '') continue;
    const { file, kind, qa } = JSON.parse(line) as { file: string; kind: string; qa: Question[] };
    if (kind === 'pdf') rows.push(...(await questionsOf(path.join(fixtures, 'media', path.basename(file)), qa, model, device)));
  }
  return rows;
}
