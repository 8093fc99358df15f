/** What the PDF worker is given and what it answers; plain data, since it crosses a thread. */
import type { IngestLimits } from './limits.js';
import type { PageRange } from './pages.js';

export interface PdfJob {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly password?: string;
  readonly ranges?: readonly PageRange[];
  readonly limits: Pick<IngestLimits, 'pages' | 'pageChars' | 'documentChars'>;
}

export type PdfMessage =
  | { readonly type: 'opened'; readonly total: number; readonly chosen: number }
  /** `damage`: what the parser had to skip on this page. */
  | { readonly type: 'page'; readonly page: number; readonly text: string; readonly damage: boolean }
  /** `repaired`: the file's table of objects was missing or wrong, and was rebuilt. */
  | { readonly type: 'done'; readonly repaired: boolean }
  | { readonly type: 'failed'; readonly failure: PdfFailure };

export type PdfFailure =
  | { readonly reason: 'password-needed' | 'password-wrong' | 'no-pages' }
  | { readonly reason: 'damaged'; readonly detail: string; readonly page?: number }
  | { readonly reason: 'too-many-pages'; readonly total: number }
  | { readonly reason: 'page-too-long'; readonly page: number }
  | { readonly reason: 'document-too-long'; readonly page: number }
  | { readonly reason: 'beyond-last-page'; readonly asked: number; readonly total: number };
