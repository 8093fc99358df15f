/**
 * How keys and values lie in the pages of a cache. The layout is the same on every device, so that what a cache holds can
 * be copied from one to another.
 */
import type { KvCache, KvFormat } from './device.js';

/** In the order of `KvFormat` in kernels/cpu/kernels.h. */
export const kvFormats: readonly KvFormat[] = ['f32', 'f16', 'q8_0'];

/** Elements that share a scale in q8_0. */
export const kvBlock = 32;

export type KvShape = Pick<KvCache, 'format' | 'pageSlots' | 'kvHeads' | 'headDim'>;

/** A part of a page: [kvHead][slot] rows of `rowBytes` bytes, from byte `offset` of the page on. */
export interface KvPlane {
  readonly offset: number;
  readonly rowBytes: number;
}

/** f32 and f16: the elements. q8_0: int8 elements, then f32 scales. */
export function kvPlanes({ format, pageSlots, kvHeads, headDim }: KvShape): KvPlane[] {
  switch (format) {
    case 'f32':
      return [{ offset: 0, rowBytes: headDim * 4 }];
    case 'f16':
      return [{ offset: 0, rowBytes: headDim * 2 }];
    case 'q8_0':
      return [
        { offset: 0, rowBytes: headDim },
        { offset: pageSlots * kvHeads * headDim, rowBytes: (headDim / kvBlock) * 4 },
      ];
  }
}

/** Bytes of one head's key, or value, at one position. */
export function kvRowBytes(format: KvFormat, headDim: number): number {
  return kvPlanes({ format, headDim, pageSlots: 1, kvHeads: 1 }).reduce((sum, { rowBytes }) => sum + rowBytes, 0);
}

/** Bytes of a page of keys, or of values. */
export function kvPageBytes({ format, pageSlots, kvHeads, headDim }: KvShape): number {
  return pageSlots * kvHeads * kvRowBytes(format, headDim);
}

/** Whether heads of this size can be stored so. */
export function kvFits(format: KvFormat, headDim: number): boolean {
  return format === 'f32' || headDim % (format === 'f16' ? 2 : kvBlock) === 0;
}
