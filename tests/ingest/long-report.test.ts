import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ingest } from '../../src/ingest/ingest.js';
import { parsePageRanges } from '../../src/ingest/pages.js';
import type { IngestedSource, IngestProgress } from '../../src/ingest/segment.js';
import { packageRoot } from '../../src/paths.js';
import { fixture, refusal, scratch, squash } from './support.js';

interface Fact {
  readonly page: number;
  readonly fact: string;
  readonly answer: string;
}

const report = fixture('long-report.pdf');
const facts = JSON.parse(readFileSync(fixture('long-report.json'), 'utf8')) as Fact[];
const progress: IngestProgress[] = [];
let source: IngestedSource;
beforeAll(async () => {
  [source] = (await ingest([report], { onProgress: (p) => progress.push(p) })) as [IngestedSource];
});

describe('the long report', () => {
  it('has more than twenty pages, all with text', () => {
    expect(source.source.pages).toBeGreaterThan(20);
    expect(source.segments.map((s) => s.page)).toEqual(Array.from({ length: source.source.pages! }, (_, i) => i + 1));
    expect(source.warnings).toEqual([]);
  });
  it.each(facts)('page $page: $fact', ({ page, fact, answer }) => {
    expect(squash(source.segments[page - 1]!.text)).toContain(fact);
    expect(fact).toContain(answer);
  });
  it('has each fact once, in order', () => {
    const whole = squash(source.segments.map(({ text }) => text).join(''));
    const places = facts.map(({ fact }) => whole.indexOf(fact));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(facts.every(({ fact }) => whole.indexOf(fact) === whole.lastIndexOf(fact))).toBe(true);
  });
  it('reads as its source does', () => {
    // What the typesetter adds: running heads, page numbers and facts.
    const pages = source.segments.map(({ text }, i) => squash(i === 0 ? text : text.replace(/^The Struggle for Existence\n/, '')).replace(/ \d+$/, ''));
    let read = pages.join(' ');
    for (const { fact } of facts) {
      read = read.replace(`${fact} `, '');
    }
    const paragraphs = readFileSync(fixture('long-report-source.txt'), 'utf8').trim().split('\n\n').slice(1);
    expect(paragraphs.filter((paragraph) => !read.includes(squash(paragraph)))).toEqual([]);
  });
  it('is read page by page', () => {
    const pages = progress.filter(({ unit }) => unit === 'pages');
    expect(pages.map(({ done }) => done)).toEqual(source.segments.map(({ page }) => page));
  });
  it('is what its generator makes, to the byte', () => {
    const dir = scratch();
    for (const name of ['make-long-report.mjs', 'long-report-source.txt']) {
      copyFileSync(fixture(name), path.join(dir, name));
    }
    symlinkSync(path.join(packageRoot, 'node_modules'), path.join(dir, 'node_modules'), 'junction');
    execFileSync(process.execPath, [path.join(dir, 'make-long-report.mjs')]);
    for (const name of ['long-report.pdf', 'long-report.json']) {
      expect(readFileSync(path.join(dir, name)).equals(readFileSync(fixture(name)))).toBe(true);
    }
  });
});

describe('--pages', () => {
  it('reads only these, with their numbers', async () => {
    const [some] = await ingest([report], { pages: parsePageRanges('24-,2,4') });
    expect(some!.segments.map(({ page }) => page)).toEqual([2, 4, 24, 25, 26, 27]);
    expect(some!.segments[0]!.text).toBe(source.segments[1]!.text);
    expect(some!.source.pages).toBe(27);
  });
  it('beyond the last page is a mistake', async () => {
    expect(await refusal(ingest([report], { pages: parsePageRanges('20-28') }), 'long-report.pdf', 2)).toMatch(/27 pages.*page 28/);
  });
});
