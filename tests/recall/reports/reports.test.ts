/** Reports of a run whose every text wants to be something else. */
import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SaxesParser } from 'saxes';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { checkGate } from '../../../src/recall/gate.js';
import type { TrialRecord } from '../../../src/recall/record.js';
import { jsonLine, markdown, oneLine, printable, xml, yaml } from '../../../src/recall/reports/escape.js';
import { reportByExtension, writeReports } from '../../../src/recall/reports/files.js';
import { githubAnnotations, githubSummary } from '../../../src/recall/reports/github.js';
import { htmlReport } from '../../../src/recall/reports/html.js';
import { junitReport } from '../../../src/recall/reports/junit.js';
import type { NeedleReport } from '../../../src/recall/reports/report.js';
import { svgReport } from '../../../src/recall/reports/svg.js';
import { tapReport } from '../../../src/recall/reports/tap.js';
import { missLines, textReport } from '../../../src/recall/reports/text.js';
import { summarise } from '../../../src/recall/summary.js';
import { planned, recordOf } from '../stand-in.js';

const HOSTILE = [
  ']]>',
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '\n::error::pwned',
  '\r\n::stop-commands::x',
  '##[error]pwned',
  '\u0000\u0007\u001b[2J\u009b31m',
  '\ud800 lone \udfff',
  '\uffff\ufffe',
  '&amp; &#0; &lt;',
  '\nnot ok 99 - pwned\n1..99\nBail out! # SKIP',
  '  ---\n  got: "x"\n  ...',
  '| a | b |\n# Title\n[x](javascript:alert(1)) `code` @everyone',
  '\u202egnp.exe\u2028next\u2029\u0085',
  '%0A::error::pwned',
];

/** @param texts of answers, one for each trial; names hold all of them */
function reportWith(texts: readonly string[]): NeedleReport {
  const all = texts.join(' ');
  const suite = { name: 'gemini', about: all, lengths: [], questions: 1, depths: [0, 100], async *make() {} };
  const parts = { name: `absent${all}`, about: all, lengths: [], questions: 1, async *make() {} };
  const plan = [planned(suite, [1024, 4096], 2), planned(parts, [null], 2)];
  const trials: TrialRecord[] = texts.flatMap((text, i) => [
    recordOf({ index: i, length: i % 2 === 0 ? 1024 : 4096, depth: i % 3 === 0 ? 0 : 100, answer: text, question: text, expected: [text], outcome: i % 4 === 0 ? 'refusal' : 'miss', score: 0 }),
    recordOf({ suite: parts.name, index: i, length: null, depth: null, part: text, answer: '', outcome: i % 2 === 0 ? 'error' : 'hit', error: i % 2 === 0 ? text : null, error_code: 5 }),
  ]);
  const suites = summarise(plan, trials, 0.85);
  const gate = checkGate({ minRecall: 0.9, minCell: 0.9 }, { suites, threshold: 0.85, seconds: 1, comparison: null });
  return {
    schema: 'lodestone.needle/1',
    started_at: '2026-01-01T00:00:00.000Z',
    settings: { model: all, model_sha256: '', quantization: 'bf16', device: 'cpu', kv: 'f16', looks: 0, seed: 1, suites: [], haystack_sha256: [] },
    model: { id: all, quantization: all, weight_bytes: 1, context: 1 },
    device: { name: all, adapter: all },
    haystacks: [{ path: all, sha256: '' }],
    threshold: 0.85,
    seconds: 1,
    loss: { tokens: 4095, loss: 2 },
    reading: { document_tokens: 10, tokens_reused: 5 },
    suites,
    comparison: { file: all, pairs: 1, hits_before: 1, hits_now: 0, lost: 1, gained: 0, drop: 1, p: 1, losses: null },
    gate,
    trials,
  };
}

const report = reportWith(HOSTILE);

interface Element {
  readonly name: string;
  readonly attributes: Record<string, string>;
  readonly children: Element[];
  text: string;
}

/** Strict: throws at whatever is not well-formed XML 1.0. */
function parseXml(text: string): Element {
  const root: Element = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  const parser = new SaxesParser();
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('opentag', ({ name, attributes }) => {
    const element: Element = { name, attributes, children: [], text: '' };
    open.at(-1)!.children.push(element);
    open.push(element);
  });
  parser.on('closetag', () => void open.pop());
  parser.on('text', (piece) => void (open.at(-1)!.text += piece));
  parser.write(text).close();
  return root.children[0]!;
}

const all = (element: Element, name: string): Element[] => element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...all(child, name)]);

describe('JUnit', () => {
  it('is what an independent parser reads back', () => {
    const root = parseXml(junitReport(report));
    expect(root.name).toBe('testsuites');
    const cases = all(root, 'testcase');
    const [failures, errors] = [all(root, 'failure'), all(root, 'error')];
    expect([root.attributes['tests'], root.attributes['failures'], root.attributes['errors']].map(Number)).toEqual([cases.length, failures.length, errors.length]);
    for (const suite of all(root, 'testsuite')) {
      expect(Number(suite.attributes['tests'])).toBe(all(suite, 'testcase').length);
      expect(Number(suite.attributes['failures'])).toBe(all(suite, 'failure').length);
    }
    const names = all(root, 'testsuite').map(({ attributes }) => attributes['name']);
    expect([names[0], names.at(-1)]).toEqual(['needle.gemini', 'needle.gate']);
    expect(cases.slice(0, 4).map(({ attributes }) => attributes['name'])).toEqual(['len=1K depth=0%', 'len=1K depth=100%', 'len=4K depth=0%', 'len=4K depth=100%']);
    expect(errors.length).toBe(HOSTILE.filter((_, i) => i % 2 === 0).length);
    expect(errors[0]!.attributes['type']).toBe('TrialError');
    // The texts come back as they were, but for what XML can't hold.
    expect(failures.map(({ text }) => text).join('\n')).toContain('<script>alert(1)</script>');
    expect(failures.map(({ text }) => text).join('\n')).toContain(']]>');
    expect(failures.filter(({ attributes }) => attributes['type'] === 'GateFailed').map(({ attributes }) => attributes['message']).join()).toMatch(/below 90 %/u);
  });
});

describe('SVG and HTML', () => {
  it('SVG is well-formed, with a box for each cell and nothing that runs', () => {
    const root = parseXml(svgReport(report));
    expect(root.name).toBe('svg');
    const names = new Set([...all(root, 'g'), ...all(root, 'text'), ...all(root, 'rect')].map(({ name }) => name));
    expect(names).toEqual(new Set(['g', 'text', 'rect']));
    expect(all(root, 'script').concat(all(root, 'img'))).toEqual([]);
    expect(all(root, 'g')).toHaveLength(report.suites.reduce((sum, { cells, rows, depths }) => sum + (depths.length > 0 ? cells : rows).length, 0));
  });

  it('HTML holds every text as text, and has a place for each link', () => {
    const html = htmlReport(report);
    const tags = new Set([...html.matchAll(/<([a-z][a-z0-9]*)/giu)].map((match) => match[1]!));
    for (const tag of tags) expect(['html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'h2', 'h3', 'p', 'table', 'tr', 'th', 'td', 'a', 'section']).toContain(tag);
    expect(html).toContain('&#60;script&#62;alert(1)&#60;/script&#62;');
    // oxlint-disable-next-line no-control-regex -- what must not be there
    expect(html).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/u);
    expect(html).toContain("default-src 'none'");
    const links = [...html.matchAll(/href="#([^"]+)"/gu)].map((match) => match[1]!);
    const ids = [...html.matchAll(/ id="([^"]+)"/gu)].map((match) => match[1]!);
    expect(links.length).toBeGreaterThan(4);
    expect(ids).toEqual(links);
    expect(new Set(ids).size).toBe(ids.length);
    // Every trial stands in one of the drawers.
    expect(html.split('<tr><td>').length - 1).toBe(report.trials.length);
  });
});

describe('TAP', () => {
  it('has the plan, one line for each test, and diagnostics that are YAML', () => {
    const lines = tapReport(report).trimEnd().split('\n');
    expect(lines[0]).toBe('TAP version 14');
    const tests = lines.filter((line) => /^(?:not )?ok \d+ - /u.test(line));
    expect(lines[1]).toBe(`1..${tests.length}`);
    expect(tests.map((line) => Number(/\d+/u.exec(line)![0]))).toEqual(tests.map((_, i) => i + 1));
    for (const line of lines.slice(2)) {
      expect(line).toMatch(/^(?:(?:not )?ok \d+ - .*| {2}(?:---|\.\.\.|[a-z]+: (?:\d+|".*")))$/u);
      const scalar = /^ {2}[a-z]+: (".*")$/u.exec(line);
      if (scalar !== null) expect(typeof JSON.parse(scalar[1]!)).toBe('string');
    }
    // A bare # would begin a directive such as SKIP.
    for (const line of tests) expect(line).not.toMatch(/(?<!\\)(?:\\\\)*#/u);
  });
});

describe('GitHub', () => {
  it('annotations are one command a line, ours, and few', () => {
    const lines = githubAnnotations(report);
    expect(lines.filter((line) => line.startsWith('::error ')).length).toBeLessThanOrEqual(10);
    expect(lines.filter((line) => line.startsWith('::warning ')).length).toBeLessThanOrEqual(10);
    for (const line of lines) {
      expect(line).toMatch(/^::(?:error|warning|notice) title=[^:,\r\n]*::[^\r\n]*$/u);
      expect(line).not.toMatch(/##\[|%(?!25|3A|2C)/u);
    }
  });

  it('the summary is our tables and nothing of theirs', () => {
    const text = githubSummary(report);
    expect(text).not.toMatch(/<|`|\]\(|@/u);
    for (const line of text.split('\n')) expect(line).toMatch(/^(?:|## lodestone needle: .*|### .*|\*\*.*\*\*|\|.*\||Effective length: .*|[\p{L}\p{N}&#; ]+)$/u);
    // No text adds a column.
    const bars = text.split('\n').filter((line) => line.startsWith('|')).map((line) => line.split('|').length);
    expect(bars.slice(0, 4)).toEqual([5, 5, 5, 5]);
    expect(new Set(bars.slice(4))).toEqual(new Set([4]));
  });
});

describe('text and JSON', () => {
  it('no line of text begins with a command or steers the terminal', () => {
    for (const line of [...textReport(report).split('\n'), ...missLines(report)]) {
      expect(line).not.toMatch(/^\s*::|##\[/u);
      // oxlint-disable-next-line no-control-regex -- what must not be there
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/u);
    }
  });

  it('JSON is one line that parses to the same, without a command of a runner in it', () => {
    const line = jsonLine(report);
    expect(line).not.toMatch(/\n|##\[/u);
    expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(report)));
  });
});

it('escapes keep what is harmless', () => {
  expect(xml('a < b & "c"\n')).toBe('a &#60; b &#38; &#34;c&#34;&#10;');
  expect(printable('\ud83d\ude00 \ud83d!')).toBe('\ud83d\ude00 !');
  expect(printable('x'.repeat(9) + '\ud83d\ude00', 10)).toBe(`${'x'.repeat(9)}...`);
  expect(oneLine(' ::error::a\n b')).toBe(': :error::a b');
  expect(markdown('a|b')).toBe('a&#124;b');
  expect(JSON.parse(yaml('a"b\n'))).toBe('a"b\n');
});

it('reports are chosen by extension', () => {
  expect(reportByExtension('a/b.XML')).toEqual({ form: 'junit', file: 'a/b.XML' });
  expect(() => reportByExtension('a.doc')).toThrow(/\.json \.xml \.tap/u);
});

it('the PNG is the SVG, drawn', async () => {
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'lodestone-png-')), 'map.png');
  await writeReports([{ form: 'png', file }], report);
  const [, width, height] = /width="(\d+)" height="(\d+)"/u.exec(svgReport(report))!;
  const { format, ...size } = await sharp(file).metadata();
  expect([format, size.width, size.height]).toEqual(['png', 2 * Number(width), 2 * Number(height)]);
  // A box is where the SVG has one, in its colour.
  const [, x, y, fill] = /<rect x="(\d+)" y="(\d+)" width="\d+" height="\d+" fill="(#\w+)"/u.exec(svgReport(report))!;
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const at = info.channels * ((2 * Number(y) + 4) * info.width + 2 * Number(x) + 4);
  expect(`#${data.subarray(at, at + 3).toString('hex')}`).toBe(fill);
});
