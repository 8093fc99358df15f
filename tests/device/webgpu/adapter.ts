/** The WebGPU device for tests: on a software adapter too. */
import { tmpdir } from 'node:os';
import { createWebGpuDevice, type WebGpuDevice } from '../../../src/device/webgpu/device.js';

// Mesa warns where the first is unset; lavapipe compiles half as long for vectors of 4.
process.env['XDG_RUNTIME_DIR'] ??= tmpdir();
process.env['LP_NATIVE_VECTOR_WIDTH'] ??= '128';

export async function openWebGpu(options: { readonly largestBinding?: number } = {}): Promise<WebGpuDevice> {
  const device = await createWebGpuDevice({ software: true, ...options });
  if ('unavailable' in device) throw new Error(device.unavailable);
  return device;
}

async function whyNot(): Promise<string | null> {
  const device = await createWebGpuDevice({ software: true });
  if ('unavailable' in device) return device.unavailable;
  await device.close();
  return null;
}

const missing = await whyNot();
if (missing !== null) console.warn(`SKIPPED: the tests of the webgpu device (${missing})`);

export const webgpuAvailable = missing === null;
