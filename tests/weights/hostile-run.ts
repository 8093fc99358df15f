/**
 * Opens damaged files, one after the other, in a process of its own, so that a crash, a hang and the memory taken are seen
 * from outside: `hostile-run.ts FAMILY SEED COUNT FOLDER`. The file in hand lies in FOLDER, and its number is printed
 * before it is opened. The last line printed is a `HostileReport`.
 */
import { copyFileSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../src/device/device.js';
import { createRandom, pick, seedOf } from '../../src/random.js';
import { ggufMutators, jsonMutators, safetensorsMutators, type Mutator } from './mutate.js';

export interface HostileReport {
  readonly cases: number;
  readonly refused: number;
  readonly used: number;
  /** What is not as it should be, the first few. */
  readonly wrong: readonly string[];
  readonly slowestMs: number;
  /** Bytes beyond the size of its file that the most demanding case asked for in one piece. */
  readonly largestExcess: number;
  /** Most memory of the process, MiB. */
  readonly peakRss: number;
}

/** Bytes of the largest array or device buffer asked for in one piece since it was last set to 0. */
let largest = 0;

/** Typed arrays report the sizes they are made with. Must come before the modules under test are loaded. */
function watchAllocations(): void {
  const note = (bytes: unknown): void => {
    if (typeof bytes === 'number' && bytes > largest) largest = bytes;
  };
  for (const name of ['Uint8Array', 'Int8Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array'] as const) {
    const original = globalThis[name];
    Object.defineProperty(globalThis, name, {
      configurable: true,
      writable: true,
      value: new Proxy(original, {
        construct(target, parameters, newTarget) {
          if (typeof parameters[0] === 'number') note(parameters[0] * target.BYTES_PER_ELEMENT);
          return Reflect.construct(target, parameters, newTarget === target ? target : newTarget) as object;
        },
      }),
    });
  }
  for (const name of ['alloc', 'allocUnsafe'] as const) {
    const original = Buffer[name].bind(Buffer);
    Buffer[name] = (size: number, ...rest: []) => {
      note(size);
      return original(size, ...rest);
    };
  }
}

function watchDevice(device: Device): Device {
  const create = device.createBuffer.bind(device);
  device.createBuffer = (bytes, label) => {
    largest = Math.max(largest, bytes);
    return create(bytes, label);
  };
  return device;
}

interface Family {
  readonly base: Buffer;
  readonly mutators: readonly Mutator[];
  /** The damaged file's name. */
  readonly file: string;
  /** Opens it and uses what was opened. */
  readonly use: () => Promise<void>;
  /** Gives back what a device keeps. */
  readonly renew: () => Promise<void>;
}

const sample = 'Hello, Wörld: <eos> 12\u0000 \ud83d\ude00';

async function families(folder: string): Promise<Record<string, () => Promise<Family>>> {
  const [{ selectDevice }, { fixtureDir }, { openGguf }, { openSafetensors, openCheckpoint }, { parseGgufConfig }, gemma, { openTokenizer }, { openGgufTokenizer }, { Context }, model, files] = await Promise.all([
    import('../../src/device/select.js'),
    import('../runtime/fixture.js'),
    import('../../src/weights/gguf.js'),
    import('../../src/weights/safetensors.js'),
    import('../../src/gemma/gguf-config.js'),
    import('../../src/gemma/weights.js'),
    import('../../src/encode/tokenizer.js'),
    import('../../src/encode/gguf-tokenizer.js'),
    import('../../src/runtime/context.js'),
    import('../../src/runtime/model.js'),
    import('./files.js'),
  ]);
  let device = watchDevice((await selectDevice('auto')).device);
  const renew = async (): Promise<void> => {
    await device.close();
    device = watchDevice((await selectDevice('auto')).device);
  };
  type Config = ReturnType<typeof parseGgufConfig>;
  type Weights = Awaited<ReturnType<typeof gemma.loadGemmaWeights>>;

  /** Reads five tokens, as far as the vocabulary goes. */
  const read = async (config: Config, weights: Weights): Promise<void> => {
    const context = new Context({ device, config, weights }, { positions: 8 });
    const ids = [1, 5, 9, 300, 511].filter((id) => id < config.vocabSize).slice(0, config.maxPositions);
    if (ids.length > 0) {
      const logits = await context.prefill(ids);
      if (logits.length !== config.vocabSize) throw new Error(`${logits.length} logits`);
    }
    context.close();
    for (const buffer of weights.buffers) device.destroyBuffer(buffer);
  };
  const encode = async (tokenizer: Awaited<ReturnType<typeof openTokenizer>>): Promise<void> => {
    const ids = await tokenizer.encodeText(sample);
    if (ids.some((id) => !Number.isSafeInteger(id) || id < 0 || id > tokenizer.largestTextId)) {
      throw new Error(`${JSON.stringify(ids)} with ids up to ${tokenizer.largestTextId}`);
    }
    if (typeof (await tokenizer.decode(ids)) !== 'string') throw new Error('no text');
    const stream = tokenizer.decodeStream();
    for (const id of ids) await stream.push(id);
    await stream.flush();
  };

  const tokenizerFamily = (backend: 'native' | 'js') => async (): Promise<Family> => ({
    base: readFileSync(join(fixtureDir, 'tokenizer.json')),
    mutators: jsonMutators,
    file: 'tokenizer.json',
    use: async () => encode(await openTokenizer(folder, backend)),
    renew,
  });
  return {
    gguf: async () => {
      const name = join(fixtureDir, 'q4_0.gguf');
      const base = readFileSync(name);
      const { metadata, tensors } = await openGguf(name);
      const file = join(folder, 'model.gguf');
      return {
        base,
        mutators: ggufMutators(Math.min(...[...tensors.values()].map(({ offset }) => offset)), [...metadata.keys()].filter((key) => key.startsWith('gemma3.'))),
        file: 'model.gguf',
        use: async () => {
          const gguf = await openGguf(file);
          const config = parseGgufConfig(gguf);
          const places = gemma.locateGgufWeights(gguf, config);
          const tokenizer = openGgufTokenizer(gguf, config.vocabSize);
          await encode(tokenizer);
          await read(config, await gemma.loadGemmaWeights(device, gguf, config, 'none', undefined, places));
        },
        renew,
      };
    },
    safetensors: async () => {
      const path = join(fixtureDir, 'model.safetensors');
      const all = files.readSafetensors(path);
      const names = Object.keys(all).filter((name) => Number(/layers\.(\d+)/.exec(name)?.[1] ?? 0) < 2);
      const blocks = /q_proj|k_proj/;
      const tensors = Object.fromEntries(names.map((name) => [name, blocks.test(name) && all[name]!.dtype === 'BF16' ? files.quantizedTensor(all[name]!, name.includes('q_proj') ? 'q8_0' : 'q4_0') : all[name]!]));
      const base = Buffer.from(files.safetensorsFile(tensors));
      copyFileSync(join(fixtureDir, 'config.json'), join(folder, 'config.json'));
      const published = await model.openConfig(folder);
      const config = { ...published, layers: published.layers.slice(0, 2) };
      return {
        base,
        mutators: safetensorsMutators(Number(base.readBigUInt64LE(0))),
        file: 'model.safetensors',
        use: async () => {
          await openSafetensors(join(folder, 'model.safetensors'));
          const checkpoint = await openCheckpoint(folder);
          const places = gemma.locateGemmaWeights(checkpoint, config);
          await read(config, await gemma.loadGemmaWeights(device, checkpoint, config, 'none', undefined, places));
        },
        renew,
      };
    },
    config: async () => {
      copyFileSync(join(fixtureDir, 'model.safetensors'), join(folder, 'model.safetensors'));
      return {
        base: readFileSync(join(fixtureDir, 'config.json')),
        mutators: jsonMutators,
        file: 'config.json',
        use: async () => {
          const config = await model.openConfig(folder);
          const checkpoint = await openCheckpoint(folder);
          await read(config, await gemma.loadGemmaWeights(device, checkpoint, config));
        },
        renew,
      };
    },
    tokenizer: tokenizerFamily('native'),
    'tokenizer-js': tokenizerFamily('js'),
  };
}

/** One line for a person, that names no error of a library or the engine's own. */
const engineErrors = /TypeError|RangeError|allocation|Invalid (typed )?array|heap|stack size|undefined is|of undefined|data_offsets undefined|dtype undefined|\bat \w+ \(/iu;

async function main(): Promise<void> {
  const [name, seed, count, folder] = process.argv.slice(2) as [string, string, string, string];
  watchAllocations();
  const { LodestoneError, ExitCode } = await import('../../src/errors.js');
  const family = await (await families(folder))[name]!();
  const file = join(folder, family.file);
  let refused = 0;
  let used = 0;
  let slowestMs = 0;
  let largestExcess = 0;
  const wrong: string[] = [];

  // The sound file must pass, or refusing everything would do.
  writeFileSync(file, family.base);
  await family.use();

  for (let i = 0; i < Number(count); i++) {
    const random = createRandom(seedOf(name, seed, i));
    let bytes = family.base;
    // Some damage changes nothing, and is then drawn again.
    while (bytes.equals(family.base)) {
      for (let times = random() < 0.75 ? 1 : 2; times > 0; times--) bytes = pick(family.mutators, random)(bytes, random);
    }
    writeFileSync(file, bytes);
    process.stdout.write(`${i}\n`);
    largest = 0;
    const began = performance.now();
    try {
      await family.use();
      used++;
    } catch (error) {
      refused++;
      const fine = error instanceof LodestoneError && error.exitCode === ExitCode.badModel && !/[\r\n]/u.test(error.message) && !engineErrors.test(error.message);
      if (!fine && wrong.length < 20) wrong.push(`${name} ${seed} ${i}: ${error instanceof LodestoneError ? `exit code ${error.exitCode}: ${error.message.slice(0, 300)}` : (error as Error).stack}`);
    }
    slowestMs = Math.max(slowestMs, performance.now() - began);
    if (largest - bytes.length > largestExcess) largestExcess = largest - bytes.length;
    if (largest > bytes.length + 2 ** 22 && wrong.length < 20) wrong.push(`${name} ${seed} ${i}: ${largest} bytes in one piece for a file of ${bytes.length}`);
    // Matrices stay on a device until it is closed.
    if (used % 100 === 99) await family.renew();
  }
  const report: HostileReport = { cases: refused + used, refused, used, wrong, slowestMs, largestExcess, peakRss: process.resourceUsage().maxRSS / 1024 };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

await main();
process.exit();
