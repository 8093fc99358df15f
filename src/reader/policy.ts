/**
 * A trained policy: the network that values actions, and its file. A file is safetensors with the network's parameters (f16)
 * and, in `__metadata__`, what they are parameters of.
 */
import { writePrivately } from '../sessions/private-file.js';
import { badFile } from '../weights/errors.js';
import { readTensorF32 } from '../weights/read.js';
import { encodeSafetensors } from '../weights/safetensors-write.js';
import { openSafetensors, readSafetensorsMetadata } from '../weights/safetensors.js';
import type { Decision } from './decision.js';
import { createNetwork, type NetworkShape, type Parameter, type Parameters, parameterShapes } from './network.js';
import { createHead, type HeadOptions, lossNames } from './value-head.js';

export interface PolicyDescription {
  readonly network: NetworkShape;
  readonly head: HeadOptions;
  /** What it was trained on, for people. */
  readonly trainedOn: string;
}

export interface Policy {
  readonly description: PolicyDescription;
  /** Expected return of each action, in units of one right answer. */
  values(decision: Decision): Float64Array;
}

export function createPolicy(description: PolicyDescription, parameters: Parameters): Policy {
  const network = createNetwork(description.network, parameters);
  const head = createHead(description.head);
  return {
    description,
    values(decision) {
      const outputs = network(decision);
      return Float64Array.from(decision.kinds, (_, i) => head.value(outputs.subarray(i * head.outputs, (i + 1) * head.outputs)));
    },
  };
}

const metadataKey = 'lodestone.reader_policy';

export function encodePolicy(description: PolicyDescription, parameters: Parameters): Buffer {
  const tensors = [...parameters].map(([name, { shape, data }]) => ({ name, shape, data, dtype: 'F16' as const }));
  return encodeSafetensors(tensors, { [metadataKey]: JSON.stringify(description) });
}

/** Whole, or not at all. Errors: those of the file system. */
export async function savePolicy(path: string, description: PolicyDescription, parameters: Parameters): Promise<void> {
  await writePrivately(path, async (file) => {
    await file.writeFile(encodePolicy(description, parameters));
  });
}

/** Errors: LodestoneError(badModel), one line with the file. */
export async function openPolicy(path: string): Promise<Policy> {
  const tensors = await openSafetensors(path);
  const description = parseDescription(path, (await readSafetensorsMetadata(path))[metadataKey]);
  const parameters = new Map<string, Parameter>();
  for (const [name, shape] of parameterShapes(description.network)) {
    const entry = tensors.get(name);
    if (entry === undefined) throw badFile(path, `tensor ${name} is missing`);
    if (entry.shape.join() !== shape.join()) throw badFile(path, `tensor ${name} is [${entry.shape.join(', ')}], where this network needs [${shape.join(', ')}]`);
    parameters.set(name, { shape, data: await readTensorF32(entry) });
  }
  return createPolicy(description, parameters);
}

/** Sizes beyond this belong to no policy of ours; a hostile file shall not make us count to them. */
const largest = 65536;

function parseDescription(path: string, text: unknown): PolicyDescription {
  if (typeof text !== 'string') throw badFile(path, 'is no policy of the reader');
  try {
    const { network, head, trainedOn } = JSON.parse(text) as PolicyDescription;
    const sizes = [network.stateFeatures, network.actionFeatures, network.width, network.blocks, network.outputs, head.support.bins];
    const ranges = [head.support.low, head.support.high, head.sigmaRatio, head.endings.least, head.endings.most];
    if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0 && size <= largest)) throw new RangeError(`sizes ${sizes.join(', ')}`);
    if (!ranges.every(Number.isFinite)) throw new RangeError(`ranges ${ranges.join(', ')}`);
    if (!lossNames.includes(head.loss)) throw new RangeError(`loss ${String(head.loss)}`);
    const { outputs } = createHead(head);
    if (outputs !== network.outputs) throw new RangeError(`${network.outputs} outputs, where its head reads ${outputs}`);
    return { network, head, trainedOn: String(trainedOn) };
  } catch (cause) {
    throw badFile(path, `describes no policy that this version knows (${cause instanceof Error ? cause.message : String(cause)})`, cause);
  }
}
