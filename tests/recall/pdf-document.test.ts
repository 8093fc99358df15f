import { expect, it } from 'vitest';
import { throughPdf, writePdf } from '../../src/recall/pdf-document.js';

const bare = (text: string): string => text.replaceAll(/\s+/gu, ' ').trim();

it('what is set in a PDF is what its reader finds, over pages, quotes and accents included', async () => {
  const text = `${'“Hitch your wagon to a star,” he said — or was it ‘café’? '.repeat(150)}\n\n(A \\ path) ${'x'.repeat(70)} <end>`;
  expect(writePdf(text).toString('latin1')).toMatch(/\/Count [3-9] /u);
  expect(bare(await throughPdf(text))).toBe(bare(text));
});
