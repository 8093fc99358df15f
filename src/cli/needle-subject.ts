/** Who is measured by `lodestone needle`: a model on this machine, or one behind a server. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { selectDevice } from '../device/select.js';
import { openEndpoint, type EndpointOptions } from '../endpoint/client.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { haystackLoss, type HaystackLoss } from '../recall/perplexity.js';
import type { NeedleReport } from '../recall/reports/report.js';
import { endpointAnswerer } from '../recall/respond-endpoint.js';
import { modelAnswerer, type Answerer } from '../recall/respond.js';
import type { RunSettings } from '../recall/settings.js';
import { packageHaystacks } from '../recall/suites.js';
import { checkKv, defaultKv } from '../runtime/kv.js';
import { openModel, type Model } from '../runtime/model.js';
import { PictureReader } from '../see/picture-reader.js';
import { sha256OfFiles } from '../weights/hash.js';
import type { NeedleOptions } from './needle.js';

export interface Subject {
  readonly answerer: Answerer;
  readonly model: NeedleReport['model'];
  readonly device: NeedleReport['device'];
  readonly settings: Pick<RunSettings, 'model' | 'model_sha256' | 'quantization' | 'device' | 'kv'>;
  /** null: a server gives no probabilities of what it reads. */
  readonly loss: ((text: string) => Promise<HaystackLoss>) | null;
  close(): Promise<void>;
}

/** The model as files: what is in them decides, not what they are called. */
async function modelHash(model: Model, modelPath: string, signal: AbortSignal): Promise<string> {
  const beside = ['config.json', 'tokenizer.json'].map((name) => path.join(modelPath, name)).filter((file) => existsSync(file));
  return sha256OfFiles([...beside, ...model.weightFiles], signal);
}

/** @param say warnings for people */
export async function openLocal(options: NeedleOptions, signal: AbortSignal, say: (message: string) => void, open = openModel): Promise<Subject> {
  const { device, why } = await selectDevice(options.device, options.threads === undefined ? {} : { threads: options.threads });
  try {
    if (device.name === 'reference' && options.device === 'auto') say(why);
    const model = await open(options.model, device, { quantize: options.quantize, signal });
    const { id, quantization, weightBytes, config } = model;
    const kv = { ...defaultKv, global: options.kv };
    checkKv(config, kv);
    const reader = options.see === undefined ? undefined : await PictureReader.open(options.see, device);
    const answerer = modelAnswerer(model, kv, reader);
    return {
      answerer,
      model: { id, quantization, weight_bytes: weightBytes, context: config.maxPositions },
      device: { name: device.name, adapter: device.description },
      settings: { model: id, model_sha256: await modelHash(model, options.model, signal), quantization, device: device.name, kv: options.kv },
      loss: (text) => haystackLoss(model, text, { kv, signal }),
      async close() {
        answerer.close();
        await reader?.close();
        await device.close();
      },
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** Of the haystack, enough to see how the server counts tokens. */
const SAMPLE = 4000;

/** Errors: LodestoneError(usage) for options that a server can't follow; those of `openEndpoint` and `chat`. */
export async function openServer(options: NeedleOptions, endpointOptions: EndpointOptions): Promise<Subject> {
  if (options.looks > 0) throw new LodestoneError(ExitCode.usage, '--looks is of extractive models on this machine; a server is asked once');
  if (options.perplexity === true || options.maxPerplexityChange !== undefined) {
    throw new LodestoneError(ExitCode.usage, '--perplexity needs a model on this machine: servers do not give the probabilities of what they read');
  }
  const endpoint = await openEndpoint(endpointOptions);
  const answerer = await endpointAnswerer(endpoint, readFileSync(packageHaystacks(0)[0]!, 'utf8').slice(0, SAMPLE));
  return {
    answerer,
    model: { id: endpoint.model, quantization: 'as served', weight_bytes: null, context: endpoint.context },
    device: { name: 'endpoint', adapter: endpoint.url },
    settings: { model: endpoint.model, model_sha256: '', quantization: 'as served', device: 'endpoint', kv: 'as served' },
    loss: null,
    close: async () => undefined,
  };
}
