/** A hub on this machine: a list of files on one port, the files themselves on another, and every fault that a test asks for. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  /** hub: the endpoint; files: where it redirects to. */
  readonly host: 'hub' | 'files';
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** Answers a request in its own way and returns true, or leaves it. `nth` counts requests of this address, from 0. */
export type Fault = (asked: Asked, response: ServerResponse, nth: number) => boolean | Promise<boolean>;

export interface FakeHub {
  readonly endpoint: string;
  readonly asked: Asked[];
  /** Bytes of bodies that were sent by the file host. */
  sent: number;
  fault: Fault | null;
  /** Replaces the answer to the list of files. */
  list: unknown;
  commit: string;
  /** As it stands in the address. */
  revision: string;
  files: Record<string, Uint8Array>;
  /** Files of fewer bytes are not in LFS. */
  lfsFrom: number;
  requests(of: string): Asked[];
  close(): Promise<void>;
}

export const commits = { first: 'a'.repeat(40), second: 'b'.repeat(40) };

const gitHash = (bytes: Uint8Array): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ server: Server; origin: string }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

export async function fakeHub(files: Record<string, Uint8Array>, name = 'google/gemma-3-tiny'): Promise<FakeHub> {
  const counts = new Map<string, number>();
  const handler = (host: Asked['host'], answer: (asked: Asked, response: ServerResponse) => void) => (request: IncomingMessage, response: ServerResponse): void => {
    const asked: Asked = { host, url: decodeURIComponent(request.url!), authorization: request.headers.authorization, range: request.headers.range };
    hub.asked.push(asked);
    const key = `${host} ${asked.url} ${asked.range ?? ''}`;
    const nth = counts.get(key) ?? 0;
    counts.set(key, nth + 1);
    void Promise.resolve(hub.fault?.(asked, response, nth) ?? false).then((handled) => {
      if (!handled) answer(asked, response);
    });
  };
  const content = await listen(handler('files', (asked, response) => sendFile(hub, asked, response)));
  const front = await listen(
    handler('hub', (asked, response) => {
      const [, file] = /^\/[^/]+\/[^/]+\/resolve\/[^/]+\/(.+)$/.exec(asked.url) ?? [];
      if (asked.url === `/api/models/${name}/revision/${hub.revision}?blobs=true`) response.setHeader('content-type', 'application/json').end(JSON.stringify(hub.list ?? listOf(hub)));
      else if (file !== undefined && file in hub.files) response.writeHead(302, { location: `${content.origin}/blobs/${encodeURIComponent(file)}` }).end();
      else response.writeHead(404).end('Not Found');
    }),
  );
  const hub: FakeHub = {
    endpoint: front.origin,
    asked: [],
    sent: 0,
    fault: null,
    list: null,
    commit: commits.first,
    revision: 'main',
    files,
    lfsFrom: 100_000,
    requests: (of) => hub.asked.filter(({ url }) => url.includes(of)),
    async close() {
      for (const { server } of [front, content]) {
        server.closeAllConnections();
        await new Promise<void>((resolve) => {
          server.close(() => resolve());
        });
      }
    },
  };
  return hub;
}

export function listOf({ files, commit, lfsFrom }: Pick<FakeHub, 'files' | 'commit' | 'lfsFrom'>): { sha: string; siblings: Record<string, unknown>[] } {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    blobId: gitHash(bytes),
    ...(bytes.length >= lfsFrom ? { lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 } } : {}),
  }));
  return { sha: commit, siblings };
}

export function fileOf(hub: FakeHub, { url }: Asked): Uint8Array {
  return hub.files[url.slice('/blobs/'.length)]!;
}

/** Which bytes a request asks for. */
export function rangeOf(bytes: Uint8Array, { range }: Asked): { from: number; to: number } {
  const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  return from === undefined ? { from: 0, to: bytes.length } : { from: Number(from), to: Math.min(bytes.length, Number(last) + 1) };
}

export function sendFile(hub: FakeHub, asked: Asked, response: ServerResponse, more: { cutAfter?: number; headers?: Record<string, string> } = {}): void {
  const bytes = fileOf(hub, asked);
  const { from, to } = rangeOf(bytes, asked);
  const partial = asked.range !== undefined;
  response.writeHead(partial ? 206 : 200, { 'content-length': String(to - from), ...(partial ? { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` } : {}), ...more.headers });
  const body = bytes.subarray(from, Math.min(to, from + (more.cutAfter ?? Infinity)));
  hub.sent += body.length;
  if (body.length === to - from) response.end(body);
  // What was written reaches the other side before the connection goes.
  else response.write(body, () => setTimeout(() => response.destroy(), 5));
}
