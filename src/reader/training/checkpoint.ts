/**
 * What training needs to go on exactly where it was killed: parameters, the slower network, the optimiser's moments, and the
 * tasks that were played online as seeds and actions. Offline episodes come again from their seeds.
 */
import { stat } from 'node:fs/promises';
import { writePrivately } from '../../sessions/private-file.js';
import { badFile } from '../../weights/errors.js';
import { readTensorF32 } from '../../weights/read.js';
import { encodeSafetensors } from '../../weights/safetensors-write.js';
import { openSafetensors, readSafetensorsMetadata } from '../../weights/safetensors.js';
import type { Parameter, Parameters } from '../network.js';
import type { PlayedTask } from '../rollout.js';
import type { Moments } from './adamw.js';

export interface TrainingState {
  /** Done so far. */
  update: number;
  readonly parameters: Parameters;
  /** Follows the parameters slowly: what is bootstrapped from, and the policy in the end. */
  readonly target: Parameters;
  readonly moments: Moments;
  /** The newest last. */
  readonly online: PlayedTask[];
}

const metadataKey = 'lodestone.reader_checkpoint';

/** @param fingerprint of all that the run depends on: another run's checkpoint is refused */
export async function saveCheckpoint(path: string, state: TrainingState, fingerprint: string): Promise<void> {
  const tensors = groupsOf(state).flatMap(([group, data]) => [...data].map(([name, values]) => ({ name: `${group}.${name}`, shape: state.parameters.get(name)!.shape, data: values, dtype: 'F32' as const })));
  const bytes = encodeSafetensors(tensors, { [metadataKey]: JSON.stringify({ fingerprint, update: state.update, online: state.online }) });
  await writePrivately(path, async (file) => {
    await file.writeFile(bytes);
  });
}

function groupsOf({ parameters, target, moments }: TrainingState): [string, ReadonlyMap<string, Float32Array>][] {
  const dataOf = (of: Parameters): Map<string, Float32Array> => new Map([...of].map(([name, { data }]) => [name, data]));
  return [['parameters', dataOf(parameters)], ['target', dataOf(target)], ['first', moments.first], ['second', moments.second]];
}

/**
 * null: there is none yet. Errors: LodestoneError(badModel) for a damaged file, or one of another run.
 * @param like parameters of the same shapes
 */
export async function openCheckpoint(path: string, like: Parameters, fingerprint: string): Promise<TrainingState | null> {
  if (!(await stat(path).then(() => true, () => false))) return null;
  const tensors = await openSafetensors(path);
  const text = (await readSafetensorsMetadata(path))[metadataKey];
  if (typeof text !== 'string') throw badFile(path, 'is no checkpoint of the reader');
  const saved = JSON.parse(text) as { fingerprint: string; update: number; online: PlayedTask[] };
  if (saved.fingerprint !== fingerprint) throw badFile(path, 'belongs to training with other options; name another --out, or remove it');
  const read = async (group: string): Promise<Map<string, Parameter>> => {
    const parameters = new Map<string, Parameter>();
    for (const [name, { shape }] of like) {
      const entry = tensors.get(`${group}.${name}`);
      if (entry === undefined || entry.shape.join() !== shape.join()) throw badFile(path, `tensor ${group}.${name} is missing or has another shape`);
      parameters.set(name, { shape, data: await readTensorF32(entry) });
    }
    return parameters;
  };
  const moments = async (group: string): Promise<Map<string, Float32Array>> => new Map([...(await read(group))].map(([name, { data }]) => [name, data]));
  return { update: saved.update, parameters: await read('parameters'), target: await read('target'), moments: { first: await moments('first'), second: await moments('second') }, online: saved.online };
}
