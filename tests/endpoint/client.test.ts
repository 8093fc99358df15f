import { afterEach, describe, expect, it } from 'vitest';
import { ExitCode } from '../../src/errors.js';
import { chat, endpointUrl, openEndpoint, type Endpoint, type EndpointOptions } from '../../src/endpoint/client.js';
import { startServer, stream, type TestServer } from './server.js';

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
const start = async (...args: Parameters<typeof startServer>): Promise<TestServer> => {
  const server = await startServer(...args);
  servers.push(server);
  return server;
};
const options = (url: string, more: Partial<EndpointOptions> = {}): EndpointOptions => ({ url, key: null, idleMs: 5000, signal: new AbortController().signal, backoffMs: 1, ...more });
const endpoint = (url: string, more: Partial<EndpointOptions> = {}): Endpoint => ({ ...options(`${url}/v1`, more), model: 'gemma', context: null });
const request = { user: 'Hello', maxTokens: 9, sampling: { temperature: 0 } };

it.each([
  ['http://a:8000', 'http://a:8000/v1'],
  ['http://a:8000/', 'http://a:8000/v1'],
  ['https://a/v1', 'https://a/v1'],
  ['https://a/openai/v1/', 'https://a/openai/v1'],
  ['https://a/v1/chat/completions', 'https://a/v1'],
])('%s is %s', (given, url) => {
  expect(endpointUrl(given)).toBe(url);
});
it.each(['localhost:8000', 'ftp://a', 'no', 'http://user:key@a/v1'])('%s is no address', (given) => {
  expect(() => endpointUrl(given)).toThrow(/--endpoint/u);
});

describe('chat', () => {
  it('streams the answer, whatever the pieces, with the key and greedy', async () => {
    const said = 'Größe 7 — “ja”\n😀 end';
    const server = await start((_, response) => stream(response, said));
    const parts: string[] = [];
    const reply = await chat(endpoint(server.url, { key: 'secret' }), request, (part) => parts.push(part));
    expect(reply).toEqual({ text: said, finish: 'stop', tokens: { prompt: 100, generated: 9 } });
    expect([parts.length > 2, parts.join('')]).toEqual([true, said]);
    expect(server.asked[0]).toMatchObject({ path: '/v1/chat/completions', authorization: 'Bearer secret', body: { model: 'gemma', max_tokens: 9, temperature: 0, stream: true, messages: [{ role: 'user', content: 'Hello' }] } });
  });

  it('takes an answer that is not streamed, and one that was cut', async () => {
    const server = await start((_, response, count) => {
      if (count === 1) return stream(response, 'cut', { finish: 'length' });
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ choices: [{ message: { content: 'whole' }, finish_reason: 'stop' }] }));
    });
    expect(await chat(endpoint(server.url), request)).toEqual({ text: 'whole', finish: 'stop', tokens: null });
    expect(await chat(endpoint(server.url), request)).toMatchObject({ text: 'cut', finish: 'length' });
  });

  it('tries again what may pass, and says so when it does not', async () => {
    const server = await start((_, response, count) => {
      if (count === 0) response.writeHead(503, { 'retry-after': '0' }).end('busy');
      else if (count === 1) response.destroy();
      else stream(response, 'at last');
    });
    expect(await chat(endpoint(server.url), request)).toMatchObject({ text: 'at last' });
    const dead = await start((_, response) => void response.writeHead(500).end(JSON.stringify({ error: { message: 'CUDA out of memory' } })));
    await expect(chat(endpoint(dead.url), request)).rejects.toMatchObject({ exitCode: ExitCode.badModel, message: expect.stringMatching(/HTTP 500 \(CUDA out of memory\), 4 times; is the server running/u) as string });
    expect(dead.asked).toHaveLength(4);
  });

  it.each([
    [401, '{"error":{"message":"no key"}}', ExitCode.badModel, /HTTP 401: no key; set its key in LODESTONE_API_KEY/u],
    [404, '{"error":"model gemma not found"}', ExitCode.badModel, /model gemma not found; is the address right/u],
    [400, '{"error":{"message":"This model\'s maximum context length is 8192 tokens"}}', ExitCode.contextExceeded, /too long for the server: This model's maximum/u],
    [400, '<html>\u001b[31mwhat?', ExitCode.badModel, /HTTP 400: <html>\[31mwhat\?$/u],
    [302, '', ExitCode.badModel, /redirects, which is not followed/u],
  ])('HTTP %i %s', async (status, text, exitCode, message) => {
    const server = await start((_, response) => void response.writeHead(status, status === 302 ? { location: 'http://elsewhere/' } : {}).end(text));
    await expect(chat(endpoint(server.url), request)).rejects.toMatchObject({ exitCode, message: expect.stringMatching(message) as string });
    expect(server.asked).toHaveLength(1);
  });

  it('an answer that breaks off is none, and is not begun again behind what was shown', async () => {
    const server = await start((_, response) => {
      response.setHeader('content-type', 'text/event-stream').write('data: {"choices":[{"delta":{"content":"half"}}]}\n\n');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(chat(endpoint(server.url), request)).rejects.toThrow(/the answer broke off/u);
    expect(server.asked).toHaveLength(1);
    const rude = await start((_, response) => void response.setHeader('content-type', 'text/event-stream').end('data: {"error":{"message":"killed"}}\n\n'));
    await expect(chat(endpoint(rude.url), request)).rejects.toThrow(/the server stopped: killed/u);
  });

  it('gives a silent server up, and stops when it is told to', async () => {
    const server = await start(() => undefined);
    await expect(chat(endpoint(server.url, { idleMs: 50 }), request)).rejects.toThrow(/nothing came for 0\.05 s, 4 times/u);
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('enough')), 50);
    await expect(chat(endpoint(server.url, { signal: abort.signal }), request)).rejects.toThrow('enough');
    await expect(chat(endpoint('http://127.0.0.1:9'), request)).rejects.toThrow(/4 times; is the server running/u);
  });
});

describe('openEndpoint', () => {
  it("takes the server's only model, and asks which where there are several", async () => {
    const one = await start(() => undefined);
    expect(await openEndpoint(options(one.url))).toMatchObject({ url: `${one.url}/v1`, model: 'gemma', context: 8192 });
    const two = await start(() => undefined, { data: [{ id: 'a' }, { id: 'b', meta: { n_ctx_train: 4096 } }] });
    await expect(openEndpoint(options(two.url))).rejects.toThrow(/has several models \(a, b\); choose with --endpoint-model/u);
    expect(await openEndpoint(options(two.url, { model: 'b' }))).toMatchObject({ model: 'b', context: 4096 });
    expect(await openEndpoint(options(two.url, { model: 'c' }))).toMatchObject({ model: 'c', context: null });
  });
});
