/** PPM pictures (P6, 8 bits a channel) one after the other, as ffmpeg writes them into a pipe. Source: Netpbm, ppm(5). */
import type { Raster } from '../segment.js';

/** "P6\n", width, height, 255, each ended by one space or line end. */
const header = /^P6\s(\d+)\s(\d+)\s255\s/;
const mostHeaderBytes = 40;

/** A picture that the stream cuts short is not yielded. */
export async function* readPpm(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Raster> {
  let width = 0;
  let height = 0;
  /** Of the picture under way; null between two. */
  let data: Uint8Array | null = null;
  let filled = 0;
  let head = Buffer.alloc(0);
  for await (const chunk of chunks) {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    while (rest.length > 0) {
      if (data === null) {
        const before = head.length;
        head = Buffer.concat([head, rest.subarray(0, mostHeaderBytes - before)]);
        const match = header.exec(head.toString('latin1'));
        if (!match) {
          if (head.length >= mostHeaderBytes) throw new Error('ffmpeg wrote no PPM picture');
          break;
        }
        [width, height] = [Number(match[1]), Number(match[2])];
        data = new Uint8Array(width * height * 3);
        filled = 0;
        rest = rest.subarray(match[0].length - before);
        head = Buffer.alloc(0);
      }
      const taken = rest.subarray(0, data.length - filled);
      data.set(taken, filled);
      filled += taken.length;
      rest = rest.subarray(taken.length);
      if (filled === data.length) {
        yield { width, height, data };
        data = null;
      }
    }
  }
}
