/** Devices as text. */
import type { DeviceList } from '../cli/devices.js';
import type { DescribedAdapter } from '../device/webgpu/dawn.js';

function mib(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20).toLocaleString('en-US')} MiB`;
}

function adapterLines({ name, vendor, architecture, software, limits, subgroups, features, tier, tiers }: DescribedAdapter): string[] {
  return [
    `             ${name}${software ? ' (software: --device auto does not take it)' : ''}`,
    `               vendor ${vendor || 'unknown'}, architecture ${architecture || 'unknown'}`,
    `               buffers of ${mib(limits.buffer)}, bindings of ${mib(limits.binding)}; workgroups of ${limits.workgroupThreads} threads with ${limits.workgroupMemory / 1024} KiB`,
    `               ${subgroups ? `subgroups of ${subgroups[0]} to ${subgroups[1]}` : 'no subgroups'}; features: ${features.join(', ')}`,
    `               kernels: ${tier} (of ${tiers.join(', ')}; LODESTONE_GPU_TIER chooses)`,
  ];
}

export function formatDevices({ auto, devices }: DeviceList): string {
  const lines = devices.flatMap(({ name, available, description, adapters = [] }) => [
    `${name === auto ? '*' : ' '} ${name.padEnd(10)} ${available ? description : `not here: ${description}`}`,
    ...adapters.flatMap(adapterLines),
  ]);
  return `${lines.join('\n')}\n* what --device auto takes\n`;
}
