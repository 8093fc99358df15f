/**
 * npm `webgpu`, which is Dawn with bindings for Node: loading it, its adapters, and a device with the limits that the
 * kernels need. What is particular to Dawn and its drivers is here.
 */
import { ExitCode, LodestoneError } from '../../errors.js';
import { neighboursHold } from './subgroup-probe.js';
import { chooseTier, tiersOf, type Offer, type Tier, type TierName } from './tier.js';

/** An adapter, as people are told of it. */
export interface AdapterSummary extends Offer {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** A driver that computes on the processor: for tests, and slower than the cpu device. */
  readonly software: boolean;
  readonly limits: {
    /** Bytes. */
    readonly buffer: number;
    readonly binding: number;
    readonly workgroupMemory: number;
    readonly workgroupThreads: number;
  };
}

/** An adapter with the variants of the kernels that it can have, and the one that it gets. */
export interface DescribedAdapter extends AdapterSummary {
  readonly tier: TierName;
  readonly tiers: readonly TierName[];
}

export interface Unavailable {
  readonly unavailable: string;
}

/** Dawn's instances. They must outlive their devices: a collected instance with a live device ends the process. */
const instances: GPU[] = [];

/**
 * SwiftShader zeroes workgroup memory element by element at compile time with the first: seconds per pipeline. The second rounds
 * timestamps to 100 microseconds, longer than many kernels take.
 */
const disabledToggles = 'disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension,timestamp_quantization';

/** Else Dawn does not offer shader-f16 on NVIDIA's Vulkan driver. */
const enabledToggles = 'enable-dawn-features=vulkan_enable_f16_on_nvidia';

async function openGpu(): Promise<GPU | Unavailable> {
  if (instances[0]) return instances[0];
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    const gpu = create([disabledToggles, enabledToggles]);
    instances.push(gpu);
    return gpu;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_MODULE_NOT_FOUND') return { unavailable: 'the package webgpu is not installed; run npm install webgpu' };
    const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
    const glibc = header.glibcVersionRuntime ? `, glibc ${header.glibcVersionRuntime}` : '';
    return { unavailable: `the package webgpu does not load here (${String(message).split('\n', 1)[0]}${glibc})` };
  }
}

/** The adapter that Dawn prefers, or why there is none. */
async function requestAdapter(powerPreference: GPUPowerPreference = 'high-performance'): Promise<GPUAdapter | Unavailable> {
  const gpu = await openGpu();
  if ('unavailable' in gpu) return gpu;
  try {
    const adapter = await gpu.requestAdapter({ powerPreference });
    return adapter ?? { unavailable: 'no GPU with a Vulkan, Metal or Direct3D 12 driver was found' };
  } catch (error) {
    return { unavailable: `no GPU adapter: ${(error as Error).message.split('\n', 1)[0]}` };
  }
}

function summarise({ info, limits, features }: GPUAdapter): AdapterSummary {
  const name = info.description || info.device || info.vendor;
  return {
    name,
    vendor: info.vendor,
    architecture: info.architecture,
    software: info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|basic render/i.test(`${name} ${info.device}`),
    limits: {
      buffer: limits.maxBufferSize,
      binding: limits.maxStorageBufferBindingSize,
      workgroupMemory: limits.maxComputeWorkgroupStorageSize,
      workgroupThreads: limits.maxComputeInvocationsPerWorkgroup,
    },
    subgroups: features.has('subgroups') ? [info.subgroupMinSize ?? 0, info.subgroupMaxSize ?? 0] : null,
    features: [...features].sort(),
  };
}

/** The adapters that Dawn offers, the one that would be used first: the fastest, and the most economical if that is another. */
export async function describeAdapters(): Promise<readonly DescribedAdapter[] | Unavailable> {
  const fastest = await requestAdapter();
  if ('unavailable' in fastest) return fastest;
  const other = await requestAdapter('low-power');
  const all = [summarise(fastest), ...('unavailable' in other ? [] : [summarise(other)])];
  const different = all.filter(({ name }, i) => all.findIndex((one) => one.name === name) === i);
  return different.map((adapter) => ({ ...adapter, tier: chooseTier(adapter).name, tiers: tiersOf(adapter).map(({ name }) => name) }));
}

export interface Opened {
  readonly device: GPUDevice;
  readonly adapter: AdapterSummary;
  readonly tier: Tier;
  /** Bytes of the largest buffer that a kernel can be bound to. */
  readonly largestBinding: number;
}

export interface OpenOptions {
  /** false: a software adapter counts as none. */
  readonly software: boolean;
  /** Bytes: bind no more than so many, though the adapter could. For tests of matrices in shards. */
  readonly largestBinding?: number | undefined;
  /** Default: see chooseTier. */
  readonly tier?: TierName | undefined;
}

/** Storage buffers that a kernel binds, at most: three matrices, their results and biases, and x. */
const storageBuffers = 10;
const workgroupThreads = 256;
/** Bytes: of mat_mul.wgsl. */
const workgroupMemory = 18 * 1024;

export async function openDevice({ software, largestBinding = Infinity, tier: wish }: OpenOptions): Promise<Opened | Unavailable> {
  const adapter = await requestAdapter();
  if ('unavailable' in adapter) return adapter;
  const summary = summarise(adapter);
  if (summary.software && !software) return { unavailable: `the only adapter is ${summary.name}, which computes on the processor` };
  const { limits } = adapter;
  const needs = [
    [limits.maxStorageBuffersPerShaderStage, storageBuffers, 'buffers at a time'],
    [limits.maxComputeInvocationsPerWorkgroup, workgroupThreads, 'threads a workgroup'],
    [limits.maxComputeWorkgroupStorageSize, workgroupMemory, 'bytes of workgroup memory'],
  ] as const;
  const lacking = needs.find(([has, needed]) => has < needed);
  if (lacking) return { unavailable: `${summary.name} has ${lacking[0]} ${lacking[2]}; ${lacking[1]} are needed` };
  const tier = chooseTier(summary, wish);
  try {
    const device = await adapter.requestDevice({
      label: 'lodestone',
      requiredFeatures: [...tier.features, ...(adapter.features.has('timestamp-query') ? (['timestamp-query'] as const) : [])],
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxStorageBuffersPerShaderStage: storageBuffers,
        maxComputeWorkgroupStorageSize: Math.min(limits.maxComputeWorkgroupStorageSize, 32 * 1024),
        maxComputeInvocationsPerWorkgroup: workgroupThreads,
      },
    });
    return {
      device,
      adapter: summary,
      tier: (await neighboursHold(device, tier.subgroup)) ? tier : chooseTier({ ...summary, subgroups: null }, tier.name),
      largestBinding: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize, largestBinding),
    };
  } catch (error) {
    throw new LodestoneError(ExitCode.outOfMemory, `${summary.name} could not be opened: ${(error as Error).message.split('\n', 1)[0]}; --device cpu works without it`, { cause: error });
  }
}
