import { ExitCode, LodestoneError } from '../errors.js';
import type { Device } from './device.js';
import { createReferenceDevice } from './reference/device.js';

export type DeviceChoice = 'auto' | 'cpu' | 'reference';

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
 * The device to compute on. `auto` is the cpu device if its addon loads, else the reference.
 * Errors: LodestoneError(usage) where the cpu device was asked for by name and does not load.
 */
export async function selectDevice(choice: DeviceChoice, options: DeviceOptions = {}): Promise<SelectedDevice> {
  if (choice === 'reference') {
    const device = createReferenceDevice();
    return { device, why: `${device.description}, as asked` };
  }
  const { createCpuDevice } = await import('./cpu/device.js');
  const device = createCpuDevice(options);
  if (!('unavailable' in device)) return { device, why: choice === 'cpu' ? `${device.description}, as asked` : device.description };
  if (choice === 'cpu') throw new LodestoneError(ExitCode.usage, `--device cpu: ${device.unavailable}`);
  const reference = createReferenceDevice();
  return { device: reference, why: `${reference.description}, which is slow: ${device.unavailable}` };
}
