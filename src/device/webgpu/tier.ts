/**
 * Tiers: variants of the kernels, by what an adapter offers beside WebGPU itself. Which one a device gets is decided here
 * and nowhere else.
 *
 *   plain      nothing more.
 *   subgroups  threads of a subgroup tell each other numbers without workgroup memory, so sums and maxima need fewer barriers. They
 *              are taken in the same order as in `plain`.
 *   f16        also half-precision numbers in workgroup memory: queries where keys are in f16, and tiles of f16 matrices. All
 *              sums stay in float32. Rounded queries move attention by up to 1e-3 of its largest result, so this tier is only had
 *              by name.
 *
 * Subgroup matrices are no tier: no driver that these kernels have been run on offers them.
 */
import { ExitCode, LodestoneError } from '../../errors.js';

/** Each is the way back of the next. */
export const tierNames = ['plain', 'subgroups', 'f16'] as const;

export type TierName = (typeof tierNames)[number];

export interface Tier {
  readonly name: TierName;
  /** So many threads with neighbouring numbers are surely in one subgroup: a power of two, 4 to 32; 0: subgroups are not used. */
  readonly subgroup: number;
  /** Half-precision numbers are used. */
  readonly half: boolean;
  /** What the device is asked for. */
  readonly features: readonly GPUFeatureName[];
}

/** What an adapter offers. */
export interface Offer {
  /** Sizes of subgroups; null where there are none. */
  readonly subgroups: readonly [min: number, max: number] | null;
  readonly features: readonly string[];
}

/** Sums go over no more neighbours than this. */
const mostNeighbours = 32;

const plain: Tier = { name: 'plain', subgroup: 0, half: false, features: [] };

/** The tiers that an adapter offers. */
export function tiersOf({ subgroups, features }: Offer): readonly Tier[] {
  // Subgroups may be larger than the least, and of different sizes in different kernels; all are powers of two.
  const least = Math.min(mostNeighbours, subgroups?.[0] ?? 0);
  const tiers = [plain];
  if (least >= 4) tiers.push({ name: 'subgroups', subgroup: least, half: false, features: ['subgroups'] });
  const best = tiers.at(-1)!;
  if (features.includes('shader-f16')) tiers.push({ ...best, name: 'f16', half: true, features: [...best.features, 'shader-f16'] });
  return tiers;
}

/**
 * The tier that is asked for or, where the adapter does not offer it, the next one before it that it offers. Without a wish:
 * LODESTONE_GPU_TIER, else subgroups.
 * Errors: LodestoneError(usage) where LODESTONE_GPU_TIER names none.
 */
export function chooseTier(offer: Offer, wish?: TierName): Tier {
  const most = tierNames.indexOf(wish ?? fromEnvironment() ?? 'subgroups');
  return tiersOf(offer).findLast(({ name }) => tierNames.indexOf(name) <= most)!;
}

function fromEnvironment(): TierName | undefined {
  const set = process.env['LODESTONE_GPU_TIER'] || undefined;
  const known = tierNames.find((name) => name === set);
  if (set !== undefined && !known) throw new LodestoneError(ExitCode.usage, `LODESTONE_GPU_TIER is "${set}", but the tiers are: ${tierNames.join(', ')}`);
  return known;
}
