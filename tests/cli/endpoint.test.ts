/** `ask` and `needle` with --endpoint, against a server that reads well, one that refuses, and none. */
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EndpointAnswer } from '../../src/answer/ask-endpoint.js';
import { packageRoot } from '../../src/paths.js';
import type { NeedleReport } from '../../src/recall/reports/report.js';
import { promptOf, startServer, stream, type TestServer } from '../endpoint/server.js';
import { lodestone } from './run.js';

const handbook = path.join(packageRoot, 'fixtures', 'handbook.txt');
let server: TestServer;
beforeAll(async () => {
  server = await startServer((asked, response) => {
    const prompt = promptOf(asked);
    const tokens = Math.ceil(prompt.length / 4);
    const city = /What is the special magic (.+) number\?/u.exec(prompt)?.[1];
    const number = city === undefined ? undefined : new RegExp(`special magic ${city} number is: (\\d+)`, 'u').exec(prompt)?.[1];
    if (city !== undefined) return stream(response, number === undefined ? 'The number is not mentioned.' : `It is ${number}.`, { prompt: tokens });
    if (/Question: .*weather/u.test(prompt)) return stream(response, 'Not in the documents.', { prompt: tokens });
    const line = /<document name="[^"]*handbook\.txt">\n(.+)\n/u.exec(prompt)?.[1] ?? '';
    stream(response, `first line\nQuote: "${line}"`, { prompt: tokens });
  });
});
afterAll(() => server.close());

describe('ask --endpoint', () => {
  it('answers with a citation that is looked up here', async () => {
    const { code, stdout, stderr } = await lodestone(['ask', 'How does it begin?', handbook, '--endpoint', server.url, '--json', '--require-citations'], { env: { LODESTONE_API_KEY: 'k' } });
    expect([code, stderr]).toEqual([0, '']);
    const answer = JSON.parse(stdout) as EndpointAnswer;
    expect(answer).toMatchObject({ schema: 'lodestone.answer/1', answer: 'first line', found: true, model: { id: 'gemma', context: 8192 }, device: { name: 'endpoint' }, truncated: false, citations: [{ source: handbook, lines: [1, 1], verified: true }] });
    expect(server.asked.at(-1)!.authorization).toBe('Bearer k');
    const prompt = promptOf(server.asked.at(-1)!);
    expect(prompt).toMatch(/^Read the documents below\.[\s\S]*Question: How does it begin\?\nAnswer in as few words as possible/u);
    const plain = await lodestone(['ask', 'How is the weather?', handbook, '--endpoint', server.url, '--strict']);
    expect(plain).toMatchObject({ code: 8, stdout: 'Not found in the sources.\n' });
  });
  it.each([
    [['--endpoint', 'nowhere'], 2, /an address such as/u],
    [['--endpoint', 'http://127.0.0.1:9/v1'], 6, /127\.0\.0\.1:9.*4 times; is the server running/u],
  ] as const)('%j', async (args, code, message) => {
    const outcome = await lodestone(['ask', 'What?', handbook, ...args]);
    expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) as string });
  });
});

describe('needle --endpoint', () => {
  it('asks with the published prompt, and gates', async () => {
    const { code, stdout } = await lodestone(['needle', '--endpoint', server.url, '--lengths', '1K,4K', '--depths', '3', '--json', '-q', '--min-recall', '1'], { timeoutMs: 60_000 });
    const report = JSON.parse(stdout) as NeedleReport;
    expect(code).toBe(0);
    expect(report.suites[0]!.overall).toMatchObject({ hits: 6, recall: 1 });
    expect(report.suites[0]!.controls.without).toMatchObject({ hits: 0, refusals: 3 });
    expect(report).toMatchObject({ model: { id: 'gemma', context: 8192 }, device: { name: 'endpoint' }, settings: { device: 'endpoint' } });
    // By the server's own count, which the lengths keep to.
    for (const { control, length, document_tokens: tokens } of report.trials) if (control === null) expect(tokens > 0.8 * length! && tokens <= length!).toBe(true);
    expect(promptOf(server.asked.at(-1)!)).toMatch(/^<context>\n[\s\S]*Here is the magic number from the context:$/u);
  });
  it.each([
    [['--lengths', '16K'], 4, /gemma holds 8192/u],
    [['--perplexity'], 2, /needs a model on this machine/u],
    [['--looks', '2'], 2, /a server is asked once/u],
  ] as const)('%j', async (args, code, message) => {
    const outcome = await lodestone(['needle', '--endpoint', server.url, ...args]);
    expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) as string });
  });
});
