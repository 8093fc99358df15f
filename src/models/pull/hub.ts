/**
 * The Hugging Face hub, or a mirror of it (HF_ENDPOINT): what a repository holds, and where its files are.
 *
 * GET {endpoint}/api/models/{org}/{repo}/revision/{revision}?blobs=true -> { sha, siblings: [{ rfilename, size, blobId,
 * lfs?: { sha256, size } }], gguf?: { architecture } }: sha is the commit, blobId git's hash of a file that is not in LFS.
 * GET {endpoint}/{org}/{repo}/resolve/{commit}/{file} -> the file, mostly by a redirect to another host.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExitCode, LodestoneError } from '../../errors.js';
import { showRepoName, type RepoName } from '../names.js';
import { huggingFaceHome, type Surroundings } from '../places.js';
import { get, HttpRefusal, Transient, withRetries, type HttpOptions } from './http.js';

const defaultEndpoint = 'https://huggingface.co';

/** What a file must be. git: sha1 over "blob <size>\0" and the content, as git names small files. */
export interface FileHash {
  readonly kind: 'sha256' | 'git';
  readonly hex: string;
}

export interface HubFile {
  /** From the repository's root. */
  readonly name: string;
  readonly size: number;
  readonly hash: FileHash;
}

export interface HubRepository {
  readonly commit: string;
  readonly files: readonly HubFile[];
  /** Of its GGUF files, where the hub knows it. */
  readonly ggufArchitecture: string | null;
}

/** Errors: LodestoneError(usage) for an endpoint that is none, and where the user is offline by choice. */
export function hubEndpoint({ env }: Surroundings): string {
  const offline = env['HF_HUB_OFFLINE'] ?? '';
  if (/^(?:1|true|yes|on)$/i.test(offline)) throw new LodestoneError(ExitCode.usage, 'HF_HUB_OFFLINE is set, so nothing is downloaded');
  const endpoint = env['HF_ENDPOINT']?.trim() || defaultEndpoint;
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) throw new LodestoneError(ExitCode.usage, `HF_ENDPOINT is ${JSON.stringify(endpoint)}, not an http(s) address`);
  return endpoint.replace(/\/+$/, '');
}

/** HF_TOKEN, else the file that the hub's own programs write when one logs in. */
export async function hubToken(where: Surroundings): Promise<string | null> {
  const { env } = where;
  const given = env['HF_TOKEN'] || env['HUGGING_FACE_HUB_TOKEN'];
  const text = given || (await readFile(env['HF_TOKEN_PATH'] || join(huggingFaceHome(where), 'token'), 'utf8').catch(() => ''));
  const token = text.trim();
  if (/[^\x21-\x7e]/.test(token)) throw new LodestoneError(ExitCode.usage, 'the Hugging Face token (HF_TOKEN, or its file) holds characters that no token has');
  return token === '' ? null : token;
}

const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

export function fileUrl(endpoint: string, { owner, repo }: RepoName, commit: string, file: string): string {
  return `${endpoint}/${owner}/${repo}/resolve/${commit}/${encodePath(file)}`;
}

/** Lists of files are kilobytes. */
const longestList = 64 * 2 ** 20;

/** Errors: LodestoneError(badModel), one line. */
export async function listRepository(name: RepoName, http: HttpOptions): Promise<HubRepository> {
  const shown = showRepoName('hf', name);
  const text = await withRetries(shown, http, async () => {
    const reply = await get(`${http.endpoint}/api/models/${name.owner}/${name.repo}/revision/${encodeURIComponent(name.revision ?? 'main')}?blobs=true`, {}, http).catch((error: unknown) => {
      throw refusal(error, shown, name, http, name.revision === null ? 'no such repository' : 'no such repository, or no such revision of it');
    });
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of reply.chunks()) {
      parts.push(chunk);
      bytes += chunk.length;
      if (bytes > longestList) throw new LodestoneError(ExitCode.badModel, `${shown}: ${http.endpoint} lists more files than any model has`);
    }
    const declared = Number(reply.response.headers.get('content-length') ?? bytes);
    if (bytes < declared) throw new Transient(`the list of files broke off after ${bytes} bytes`);
    return Buffer.concat(parts).toString('utf8');
  });
  return parseRepository(text, shown, http.endpoint);
}

function parseRepository(text: string, shown: string, endpoint: string): HubRepository {
  const fail = (what: string): never => {
    throw new LodestoneError(ExitCode.badModel, `${shown}: ${endpoint} ${what}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail('answered something that is not JSON; is HF_ENDPOINT a mirror of the hub?');
  }
  const { sha, siblings, gguf } = (json ?? {}) as { sha?: unknown; siblings?: unknown; gguf?: { architecture?: unknown } };
  // Both become parts of paths and addresses.
  if (typeof sha !== 'string' || !/^[0-9a-f]{7,64}$/.test(sha) || !Array.isArray(siblings)) return fail('did not answer as the hub does; is HF_ENDPOINT a mirror of it?');
  const files = siblings.flatMap((sibling: { rfilename?: unknown; size?: unknown; blobId?: unknown; lfs?: { sha256?: unknown; size?: unknown } } | null) => {
    const { rfilename: name, lfs } = sibling ?? {};
    const size = lfs?.size ?? sibling?.size;
    const hash = hashOf(lfs?.sha256, sibling?.blobId);
    const plain = typeof name === 'string' && /^[^\\\0]+$/.test(name) && !name.split('/').some((part) => part === '' || part === '.' || part === '..');
    return plain && Number.isSafeInteger(size) && (size as number) >= 0 && hash !== null ? [{ name, size: size as number, hash }] : [];
  });
  return { commit: sha, files, ggufArchitecture: typeof gguf?.architecture === 'string' ? gguf.architecture : null };
}

function hashOf(sha256: unknown, blobId: unknown): FileHash | null {
  if (typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)) return { kind: 'sha256', hex: sha256 };
  return typeof blobId === 'string' && /^[0-9a-f]{40}$/.test(blobId) ? { kind: 'git', hex: blobId } : null;
}

/** What a refusal means to the user. Other errors are left as they are. */
export function refusal(error: unknown, shown: string, { owner, repo }: RepoName, { token, endpoint }: HttpOptions, missing: string): unknown {
  if (!(error instanceof HttpRefusal)) return error;
  const { status, host } = error;
  const page = `${endpoint}/${owner}/${repo}`;
  const line = ((): string => {
    if (status === 401 && token === null) return `wants a token: accept the model's terms on ${page}, make a token there, and set HF_TOKEN; or it is misspelled`;
    if (status === 401) return 'does not take the token (HF_TOKEN, or the one you logged in with); or the name is misspelled';
    if (status === 403) return token === null ? `gives it only with a token: accept the model's terms on ${page}, and set HF_TOKEN` : `does not give it to the token's account: accept the model's terms on ${page}`;
    if (status === 404) return missing;
    if (status === 416) return 'has fewer bytes of it than the hub lists';
    return 'refuses it';
  })();
  return new LodestoneError(ExitCode.badModel, `${shown}: ${host}: ${line} (HTTP ${status})`, { cause: error });
}
