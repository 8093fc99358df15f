/** A small OpenAI-compatible server, whose answers are a function of the prompt. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: { model?: string; messages?: { role: string; content: string }[]; max_tokens?: number; temperature?: number; stream?: boolean };
}

export interface TestServer {
  readonly url: string;
  readonly asked: Asked[];
  close(): Promise<void>;
}

type Handler = (asked: Asked, response: ServerResponse, count: number) => void | Promise<void>;

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request) text += String(part);
  return text;
}

/** @param handle answers /chat/completions; `count` is how often it was called before */
export async function startServer(handle: Handler, models: unknown = { data: [{ id: 'gemma', max_model_len: 8192 }] }): Promise<TestServer> {
  const asked: Asked[] = [];
  let count = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const text = await bodyOf(request);
    const one: Asked = { path: request.url ?? '', authorization: request.headers.authorization, body: text === '' ? {} : (JSON.parse(text) as Asked['body']) };
    asked.push(one);
    if (one.path.endsWith('/models')) response.setHeader('content-type', 'application/json').end(JSON.stringify(models));
    else await handle(one, response, count++);
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function promptOf({ body }: Asked): string {
  return body.messages?.at(-1)?.content ?? '';
}

/** Streams a text in small pieces, cut anywhere: inside of lines, events and characters. */
export function stream(response: ServerResponse, text: string, { finish = 'stop', prompt = 100 }: { finish?: string; prompt?: number } = {}): void {
  response.setHeader('content-type', 'text/event-stream; charset=utf-8');
  const events = [
    ...(text.match(/[\s\S]{1,7}/gu) ?? []).map((content) => ({ choices: [{ delta: { content }, finish_reason: null }] })),
    { choices: [{ delta: {}, finish_reason: finish }] },
    { choices: [], usage: { prompt_tokens: prompt, completion_tokens: 9 } },
  ];
  const bytes = Buffer.from(`: a comment\n\n${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`);
  for (let at = 0; at < bytes.length; at += 11) response.write(bytes.subarray(at, at + 11));
  response.end();
}
