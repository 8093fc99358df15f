/** What simulated corpora are made of: prose and phrasings, others for training than for testing. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { embeddedModelDir, packageRoot } from '../../paths.js';
import type { Family } from '../../recall/heldout.js';
import type { CorpusOptions } from './corpus.js';
import type { Split } from './names.js';
import { testPhrasings, trainingPhrasings } from './phrasings.js';

const PROSE: Readonly<Record<Split, string>> = { train: 'origin-of-species_darwin.txt', test: 'essays_emerson.txt' };

export function simulationText(split: Split): Pick<CorpusOptions, 'prose' | 'phrasings'> {
  const prose = readFileSync(path.join(packageRoot, 'fixtures', 'haystack', PROSE[split]), 'utf8');
  if (split === 'train') return { prose, phrasings: trainingPhrasings };
  const { families } = JSON.parse(readFileSync(path.join(embeddedModelDir, 'recipe', 'eval_templates.json'), 'utf8')) as { families: Family[] };
  return { prose, phrasings: testPhrasings(families) };
}

/** The readings that ship with the package. */
export const readingsFile = path.join(packageRoot, 'fixtures', 'reader', 'readings.json');
