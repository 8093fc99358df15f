/** The WebGPU device for tests: on a software adapter too. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createWebGpuDevice, type WebGpuDevice } from '../../../src/device/webgpu/device.js';
import { tierNames, tiersOf, type TierName } from '../../../src/device/webgpu/tier.js';
import { packageRoot } from '../../../src/paths.js';

// Mesa warns where the first is unset; lavapipe compiles half as long for vectors of 4, and keeps what it has compiled, which
// is minutes of work, for the next run.
process.env['XDG_RUNTIME_DIR'] ??= tmpdir();
process.env['LP_NATIVE_VECTOR_WIDTH'] ??= '128';
process.env['MESA_SHADER_CACHE_DIR'] ??= join(packageRoot, 'build', 'mesa-shader-cache');

export async function openWebGpu(options: { readonly largestBinding?: number; readonly tier?: TierName } = {}): Promise<WebGpuDevice> {
  const device = await createWebGpuDevice({ software: true, ...options });
  if ('unavailable' in device) throw new Error(device.unavailable);
  return device;
}

async function tiersHere(): Promise<readonly TierName[]> {
  const device = await createWebGpuDevice({ software: true });
  if ('unavailable' in device) {
    console.warn(`SKIPPED: the tests of the webgpu device (${device.unavailable})`);
    return [];
  }
  const offered = tiersOf(device.adapter).map(({ name }) => name);
  await device.close();
  const missing = tierNames.filter((name) => !offered.includes(name));
  if (missing.length > 0) console.warn(`SKIPPED: the tests of ${missing.join(' and ')} on the webgpu device (${device.adapter.name} does not offer it)`);
  return offered;
}

/** Of the adapter that tests run on; none without an adapter. */
export const offeredTiers = await tiersHere();

export const webgpuAvailable = offeredTiers.length > 0;
