/** Whether the first bytes of a file are those of a recording. */

/** How many bytes tell it: an MP3 may begin with a picture. */
export const mediaHeadBytes = 64 * 1024;

export interface MediaKind {
  /** "MP4", "FLAC". */
  readonly format: string;
}

/** Containers that `file-type` calls neither audio nor video. */
const others = new Set(['ogx', 'asf', 'mxf']);

/** Most documents; they need no library to be told. */
function isPdf(head: Uint8Array): boolean {
  return Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 5)).toString('latin1') === '%PDF-';
}

/** null: none. Whether there are pictures in it, only the decoder knows. */
export async function mediaKind(head: Uint8Array): Promise<MediaKind | null> {
  if (isPdf(head)) return null;
  // Loaded here: it knows very many formats. A malformed file may make it throw; then others say what it is.
  const { fileTypeFromBuffer } = await import('file-type');
  const type = await fileTypeFromBuffer(head).catch(() => undefined);
  if (type === undefined || type.ext === 'mid') return null;
  return /^(audio|video)\//.test(type.mime) || others.has(type.ext) ? { format: type.ext.toUpperCase() } : null;
}

/**
 * A text that names other files to be played (HLS, ffconcat, M3U, PLS, ASX): a player would open them. A list of names
 * alone is a text like any other.
 */
export function isPlaylist(head: Uint8Array): boolean {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 1024)).toString('latin1').replace(/^\u00ef\u00bb\u00bf/, '');
  return /^\s*(#EXTM3U|ffconcat version|\[playlist\]|<asx[\s>])/i.test(text);
}
