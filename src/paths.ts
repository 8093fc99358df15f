import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's own folder, the same from src/ (tests) and from dist/ (the program). */
export const packageRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** The model that ships with the package. */
export const embeddedModelDir = path.join(packageRoot, 'models', 'lodestone-tiny');

/** The model that reads pictures, which ships with it. */
export const embeddedSeeDir = path.join(packageRoot, 'models', 'lodestone-see');

/** The reader's policy that ships with the package. */
export const embeddedPolicy = path.join(packageRoot, 'models', 'reader', 'policy.safetensors');

/** The speech model that ships with the package. */
export const embeddedSpeechDir = path.join(packageRoot, 'models', 'lodestone-hear');
