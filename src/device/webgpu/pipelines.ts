/** Compute pipelines: compiled when they are first needed, those of one list side by side, and kept. */
import { shaderOf, type Binding, type Constants, type Kernel, type Shader } from './shaders.js';
import type { Dispatch } from './dispatch.js';
import type { Tier } from './tier.js';

export interface Pipeline {
  /** Of no other pipeline of the device. */
  readonly id: number;
  readonly kernel: Kernel;
  readonly shader: Shader;
  readonly layout: GPUBindGroupLayout;
  readonly handle: GPUComputePipeline;
}

export class Pipelines {
  readonly #device: GPUDevice;
  /** Of all kernels. */
  readonly #constants: Constants;
  readonly #ready = new Map<string, Pipeline>();
  readonly #pending = new Map<string, Promise<Pipeline>>();
  /** Bindings of a kernel before any are read as another's. */
  readonly #bindings = new Map<Kernel, readonly Binding[]>();

  constructor(device: GPUDevice, { subgroup }: Tier) {
    this.#device = device;
    this.#constants = { SUBGROUP: subgroup };
  }

  /**
   * The pipelines of a list, or a promise of them where some are to be compiled first.
   * @param known those that are known already, in their places
   */
  of(dispatches: readonly Dispatch[], known: readonly (Pipeline | null)[]): readonly Pipeline[] | Promise<readonly Pipeline[]> {
    const found = dispatches.map((dispatch, i) => known[i] ?? this.#get(dispatch));
    return found.some((each) => each instanceof Promise) ? Promise.all(found.map(async (each) => each)) : (found as Pipeline[]);
  }

  #get({ kernel, constants, bind }: Dispatch): Pipeline | Promise<Pipeline> {
    const aliases = this.#aliases(kernel, constants, bind);
    let key: string = kernel;
    for (const name in constants) key += `,${name}=${constants[name]}`;
    for (const [name, target] of aliases) key += `,${name}=${target}`;
    const ready = this.#ready.get(key);
    if (ready) return ready;
    let pending = this.#pending.get(key);
    if (!pending) {
      pending = this.#compile(key, kernel, shaderOf(kernel, { ...this.#constants, ...constants }, aliases));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  /** Names that are bound to a buffer of an earlier name, where one of the two is written. Each unbound one that is written has a buffer of its own. */
  #aliases(kernel: Kernel, constants: Constants, bind: Dispatch['bind']): ReadonlyMap<string, string> {
    let bindings = this.#bindings.get(kernel);
    if (!bindings) this.#bindings.set(kernel, (bindings = shaderOf(kernel, constants, new Map()).bindings));
    const bufferOf = ({ name, access }: Binding): number | string => bind[name]?.memory.id ?? (access === 'read' ? access : name);
    const aliases = new Map<string, string>();
    for (const [i, binding] of bindings.entries()) {
      const same = bindings.filter((other) => bufferOf(other) === bufferOf(binding));
      if (same[0] !== binding && same.some(({ access }) => access === 'read_write')) aliases.set(bindings[i]!.name, same[0]!.name);
    }
    return aliases;
  }

  async #compile(key: string, kernel: Kernel, shader: Shader): Promise<Pipeline> {
    const device = this.#device;
    const layout = device.createBindGroupLayout({
      label: kernel,
      entries: [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } },
        ...shader.bindings.map(({ number, access }): GPUBindGroupLayoutEntry => ({
          binding: number,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
        })),
      ],
    });
    // Its errors are told below, with the pipeline's.
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: kernel, code: shader.code });
    void device.popErrorScope().catch(() => null);
    let handle: GPUComputePipeline;
    try {
      handle = await device.createComputePipelineAsync({
        label: key,
        layout: device.createPipelineLayout({ label: kernel, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
    } catch (error) {
      const { messages } = await module.getCompilationInfo();
      const lines = shader.code.split('\n');
      const said = messages.map(({ lineNum, linePos, message }) => `${kernel}.wgsl: ${message} (column ${linePos} of "${lines[lineNum - 1] ?? ''}")`);
      throw new Error(`the kernel ${key} does not compile: ${said.length > 0 ? said.join('\n') : (error as Error).message}`, { cause: error });
    }
    const pipeline = { id: this.#ready.size + 1, kernel, shader, layout, handle };
    this.#ready.set(key, pipeline);
    this.#pending.delete(key);
    return pipeline;
  }
}
