/** What a question is asked about: files to segments, with whatever hears and sees them. */
import type { Device } from '../device/device.js';
import type { Tiles } from '../encode/image.js';
import { ingest } from '../ingest/ingest.js';
import type { TimeRange } from '../ingest/media/media.js';
import type { FrameChoice } from '../ingest/media/pictures.js';
import type { VideoVision } from '../ingest/media/recording.js';
import type { PageRange } from '../ingest/pages.js';
import type { IngestedSource } from '../ingest/segment.js';
import type { ModelFiles } from '../runtime/model.js';
import type { CacheOptions } from '../sessions/open.js';
import { rememberIn, textsFolder } from '../sessions/texts.js';
import { Transcriber } from '../speech/transcriber.js';
import type { AskEvent } from './answer.js';

export interface SourcesRequest {
  /** "-" is standard input. */
  readonly paths: readonly string[];
  readonly pages?: readonly PageRange[];
  /** For encrypted PDFs. */
  readonly password?: string;
  /** Milliseconds after which a PDF is given up. */
  readonly pdfTimeoutMs?: number;
  /** Crops of images beside the whole. Default: `defaultTiles`. */
  readonly tiles?: Tiles;
  /** Folder of the speech model that hears recordings. */
  readonly speech?: string;
  /** That is spoken in them; by default as it sounds. */
  readonly language?: string;
  /** Part of the recordings. */
  readonly range?: TimeRange;
  /** Pictures of a video: so many a second, and which of them. Default: `defaultFrames`. */
  readonly frames?: { readonly fps: number; readonly choice: FrameChoice };
  /** Keep what was read, and use what is kept. Default: neither. */
  readonly cache?: CacheOptions;
}

/** As Gemma's authors run it: wide and tall images are shown in parts too. */
export const defaultTiles: Tiles = 'auto';

/** One a second, as Gemini 1.5 was measured; none again that shows the same. */
export const defaultFrames = { fps: 1, choice: 'changed' } as const;

/**
 * A speech model is loaded for as long as this takes, and only if something is heard. Emits ingest events.
 * Errors: as `ingest`; those of the speech model.
 */
export async function readSources(request: SourcesRequest, files: ModelFiles, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<IngestedSource[]> {
  const { pdfTimeoutMs, speech, language, range, cache } = request;
  const transcriber = speech === undefined ? null : await Transcriber.open(speech, device, { language, cache: cache?.folder ?? null });
  try {
    return await ingest(request.paths, {
      signal,
      onProgress: (progress) => emit({ type: 'ingest', ...progress }),
      pages: request.pages,
      password: request.password,
      ...(cache ? { remember: rememberIn(textsFolder(cache.folder)) } : {}),
      images: files.visionPlaces ? true : noImages(files),
      media: {
        speech: transcriber ?? 'no speech model hears it; name the folder of a Whisper checkpoint with --speech',
        vision: videoVision(request, files) ?? `${files.id} reads text only`,
        range: range ?? { from: 0, to: Infinity },
        ranged: range !== undefined,
      },
      limits: pdfTimeoutMs === undefined ? {} : { documentMs: pdfTimeoutMs, pageMs: pdfTimeoutMs },
    });
  } finally {
    await transcriber?.close();
  }
}

function videoVision({ frames = defaultFrames, tiles = defaultTiles }: SourcesRequest, { config, visionPlaces }: ModelFiles): VideoVision | null {
  if (!visionPlaces || !config.vision) return null;
  const { imageSize, tokensPerImage } = config.vision;
  // In parts only where that is asked for: pictures are many.
  const whole = tiles !== 'auto' && tiles > 0;
  return { fps: frames.fps, frames: frames.choice, imageSize, whole, most: Math.ceil(config.maxPositions / tokensPerImage) };
}

/** Why a model refuses images, and what to do. */
function noImages({ id }: ModelFiles): string {
  return `and ${id} reads text only; name the folder of a Gemma 3 that sees (4B, 12B or 27B) with -m, or its GGUF file with -m and its vision part with --mmproj`;
}
