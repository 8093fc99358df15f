import { existsSync } from 'node:fs';
import { ExitCode, LodestoneError } from '../errors.js';
import type { Device } from './device.js';

/** Fastest first. */
export const deviceNames = ['webgpu', 'cpu', 'reference'] as const;

export type DeviceName = (typeof deviceNames)[number];

export const deviceChoices = ['auto', ...deviceNames] as const;

export type DeviceChoice = (typeof deviceChoices)[number];

export interface SelectedDevice {
  readonly device: Device;
  /** One line for people: which device, and why not a faster one. */
  readonly why: string;
}

export interface DeviceOptions {
  /** Of the cpu device. Default: its own choice. */
  readonly threads?: number;
}

/**
 * The device to compute on. `auto` is the webgpu device where there is a GPU, else the cpu device if its addon loads, else
 * the reference; `webgpu` takes a software adapter too.
 * Errors: LodestoneError(usage) where a device was asked for by name that can't be had; LodestoneError(outOfMemory) where a
 * GPU was found and can't be opened.
 */
export async function selectDevice(choice: DeviceChoice, options: DeviceOptions = {}): Promise<SelectedDevice> {
  if (choice === 'reference') {
    const device = await reference();
    return { device, why: `${device.description}, as asked` };
  }
  if (choice === 'webgpu' || (choice === 'auto' && mayHaveGpu())) {
    const { createWebGpuDevice } = await import('./webgpu/device.js');
    const device = await createWebGpuDevice({ software: choice === 'webgpu' });
    if (!('unavailable' in device)) return { device, why: choice === 'webgpu' ? `${device.description}, as asked` : device.description };
    if (choice === 'webgpu') throw new LodestoneError(ExitCode.usage, `--device webgpu: ${device.unavailable}`);
  }
  const { createCpuDevice } = await import('./cpu/device.js');
  const device = createCpuDevice(options);
  if (!('unavailable' in device)) return { device, why: choice === 'cpu' ? `${device.description}, as asked` : device.description };
  if (choice === 'cpu') throw new LodestoneError(ExitCode.usage, `--device cpu: ${device.unavailable}`);
  const slow = await reference();
  return { device: slow, why: `${slow.description}, which is slow: ${device.unavailable}` };
}

/** Dawn takes a while to load, and warns of software drivers: not where Linux has no GPU. */
function mayHaveGpu(): boolean {
  return process.platform !== 'linux' || ['/dev/dri', '/dev/nvidia0', '/dev/dxg'].some((path) => existsSync(path));
}

/** Devices are loaded when they are asked for: names alone are wanted by --help. */
async function reference(): Promise<Device> {
  const { createReferenceDevice } = await import('./reference/device.js');
  return createReferenceDevice();
}
