/** Ids of long documents are kept, and are what encoding gives. */
import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { keepDocumentsIn } from '../../src/answer/kept-prompt.js';
import { buildPrompt, encodeDocuments, type Prompt } from '../../src/encode/prompt.js';
import { segmentText } from '../../src/ingest/text.js';
import type { IngestedSource } from '../../src/ingest/segment.js';
import { embeddedModelDir } from '../../src/paths.js';
import { openModelFiles } from '../../src/runtime/model.js';
import { scratch } from '../ingest/support.js';

const files = await openModelFiles(embeddedModelDir);
const never = new AbortController().signal;

function source(text: string): IngestedSource {
  return { source: { path: 'a.txt', kind: 'text', bytes: text.length, sha256: '' }, segments: segmentText('a.txt', 0, text), warnings: [] };
}

function folder(): string {
  return mkdtempSync(join(scratch(), 'cache-'));
}

const long = Array.from({ length: 400 }, (_, i) => `Line ${i}: the harbour fee is ${i} crowns, <bos> says the clerk.\n\n`).join('');

it('gives the second question the documents of the first, without encoding them', async () => {
  const cache = folder();
  const keep = keepDocumentsIn(cache, embeddedModelDir, files, never);
  const sources = [source(long)];
  const fresh = await buildPrompt('qa', 'How much?', sources, files.tokenizer);
  expect(await buildPrompt('qa', 'How much?', sources, files.tokenizer, never, undefined, keep)).toEqual(fresh);
  const encode = (): Promise<Prompt> => Promise.reject(new Error('encoded again'));
  expect(await keep(sources, encode)).toEqual(await encodeDocuments('qa', sources, files.tokenizer));
  // One character, or another vocabulary, makes other documents.
  await expect(keep([source(`${long}.`)], encode)).rejects.toThrow('encoded again');
  const other = { ...files, tokenizer: { ...files.tokenizer, backend: 'pieces' as const } };
  await expect(keepDocumentsIn(cache, embeddedModelDir, other, never)(sources, encode)).rejects.toThrow('encoded again');
});

it('keeps neither short documents nor pictures', async () => {
  const cache = folder();
  const keep = keepDocumentsIn(cache, embeddedModelDir, files, never);
  const picture = { source: 0, text: '', image: { width: 1, height: 1, data: new Uint8Array(3) } };
  const made: Prompt = { ids: Uint32Array.of(1), sourceTokens: [1], segmentEnds: [1], sourceEnds: [1] };
  for (const each of [source('short\n'), { ...source(long), segments: [...source(long).segments, picture] }]) {
    expect(await keep([each], async () => made)).toBe(made);
  }
  expect(readdirSync(cache)).toEqual([]);
});
