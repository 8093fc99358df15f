/** What the PDF worker is given and what it answers; plain data, since it crosses a thread. */
import type { IngestLimits } from './limits.js';
import type { PageRange } from './pages.js';
import type { Raster } from './segment.js';

/** Pages that are drawn, for a model that sees: all, or those without a text layer. `edge`: pixels of a page's longer side. */
export interface PageImages {
  readonly which: 'all' | 'textless';
  readonly edge: number;
}

export interface PdfJob {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly password?: string;
  readonly ranges?: readonly PageRange[];
  /** None where absent. */
  readonly images?: PageImages;
  readonly limits: Pick<IngestLimits, 'pages' | 'pageChars' | 'documentChars' | 'imagePixels' | 'pagePixels'>;
}

export type PdfMessage =
  | { readonly type: 'opened'; readonly total: number; readonly chosen: number }
  /** `damage`: the parser had to skip something on this page. */
  | { readonly type: 'page'; readonly page: number; readonly text: string; readonly image?: Raster; readonly damage: boolean }
  /** `repaired`: the file's table of objects was missing or wrong, and was rebuilt. */
  | { readonly type: 'done'; readonly repaired: boolean }
  | { readonly type: 'failed'; readonly failure: PdfFailure };

export type PdfFailure =
  | { readonly reason: 'password-needed' | 'password-wrong' | 'no-pages' | 'no-canvas' }
  | { readonly reason: 'damaged'; readonly detail: string; readonly page?: number }
  | { readonly reason: 'too-many-pages'; readonly total: number }
  | { readonly reason: 'page-too-long'; readonly page: number }
  | { readonly reason: 'document-too-long'; readonly page: number }
  /** A picture on the page has more pixels than are read. */
  | { readonly reason: 'picture-too-large'; readonly page: number }
  | { readonly reason: 'too-many-images'; readonly page: number; readonly drawn: number }
  | { readonly reason: 'beyond-last-page'; readonly asked: number; readonly total: number };
