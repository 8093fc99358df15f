/** `lodestone devices`: where this machine can compute, and what its GPU offers. */
import { Command } from 'commander';
import { selectDevice, deviceNames, type DeviceName } from '../device/select.js';
import type { DescribedAdapter } from '../device/webgpu/dawn.js';
import { formatDevices } from '../ui/devices.js';

/** One device. */
export interface ListedDevice {
  readonly name: DeviceName;
  readonly available: boolean;
  /** What it computes on; where it is not available, why. */
  readonly description: string;
  /** Of webgpu, the one that is used first. */
  readonly adapters?: readonly DescribedAdapter[];
}

/** What `lodestone devices --json` prints, schema lodestone.devices/1. */
export interface DeviceList {
  readonly schema: 'lodestone.devices/1';
  /** What --device auto takes. */
  readonly auto: DeviceName;
  readonly devices: readonly ListedDevice[];
}

async function list(name: DeviceName): Promise<ListedDevice> {
  if (name !== 'webgpu') {
    try {
      const { device } = await selectDevice(name);
      await device.close();
      return { name, available: true, description: device.description };
    } catch (error) {
      return { name, available: false, description: (error as Error).message };
    }
  }
  const { describeAdapters } = await import('../device/webgpu/dawn.js');
  const adapters = await describeAdapters();
  if ('unavailable' in adapters) return { name, available: false, description: adapters.unavailable };
  return { name, available: true, description: `webgpu (${adapters[0]!.name})`, adapters };
}

async function run(options: { readonly json?: boolean }): Promise<void> {
  const { device } = await selectDevice('auto');
  await device.close();
  const devices: ListedDevice[] = [];
  for (const name of deviceNames) devices.push(await list(name));
  const all: DeviceList = { schema: 'lodestone.devices/1', auto: device.name, devices };
  process.stdout.write(options.json === true ? `${JSON.stringify(all)}\n` : formatDevices(all));
}

export function devicesCommand(): Command {
  return new Command('devices')
    .description('where this machine can compute: processor, GPU adapters with their limits and features')
    .option('--json', 'print one JSON object (schema lodestone.devices/1)')
    .action((options: { json?: boolean }) => run(options));
}
