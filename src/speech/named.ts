/** The speech model that the environment names; what it takes to find it is in choose.ts. */
import { surroundings, type Surroundings } from '../models/places.js';

/** What LODESTONE_SPEECH names, in any form that `resolveModel` takes. */
export function namedSpeech({ env }: Surroundings = surroundings()): string | undefined {
  return env['LODESTONE_SPEECH'] || undefined;
}
