/** What a driver may do at any time: refuse memory, or lose the device. */
import { expect, it } from 'vitest';
import { ExitCode } from '../../../src/errors.js';
import { openDevice, type Opened } from '../../../src/device/webgpu/dawn.js';
import { WebGpuDevice } from '../../../src/device/webgpu/device.js';
import { webgpuAvailable } from './adapter.js';

/** An opened device with some of its members replaced. */
async function openedWith(members: Partial<Record<keyof GPUDevice, unknown>>): Promise<Opened> {
  const opened = await openDevice({ software: true });
  if ('unavailable' in opened) throw new Error(opened.unavailable);
  const device = new Proxy(opened.device, {
    get: (target, name) => {
      if (name in members) return members[name as keyof GPUDevice];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { ...opened, device };
}

it.skipIf(!webgpuAvailable)('a lost device is an error with exit code 5, from then on, and can be closed', async () => {
  let lose!: (info: { reason: string; message: string }) => void;
  const lost = new Promise((resolve) => {
    lose = resolve;
  });
  const device = new WebGpuDevice(await openedWith({ lost }));
  const x = { buffer: device.createBuffer(64, 'x'), offset: 0 };
  device.write(x, new Float32Array(16).fill(2));
  await device.submit([{ op: 'add', x, y: x, count: 16 }]);
  expect(new Float32Array((await device.read(x, 64)).buffer)[15]).toBe(4);
  lose({ reason: 'unknown', message: 'the driver stopped\nmore' });
  await expect(device.read(x, 64)).rejects.toMatchObject({ exitCode: ExitCode.outOfMemory, message: 'the GPU was lost (the driver stopped); try again, or --device cpu' });
  expect(() => device.createBuffer(4, 'y')).toThrow('the GPU was lost');
  await expect(device.submit([])).rejects.toThrow('the GPU was lost');
  device.destroyBuffer(x.buffer);
  await device.close();
});

it.skipIf(!webgpuAvailable)('memory that the driver refuses is an error with exit code 5 that names what it was for', async () => {
  let refuse = false;
  const device = new WebGpuDevice(await openedWith({ popErrorScope: async () => (refuse ? { message: 'no' } : null), pushErrorScope: () => undefined }));
  refuse = true;
  const page = device.createBuffer(2 ** 21, 'keys of layer 5, page 0');
  await expect(device.read({ buffer: page, offset: 0 }, 4)).rejects.toMatchObject({ exitCode: ExitCode.outOfMemory, message: expect.stringMatching(/^not enough memory for keys of layer 5, page 0: 2 MiB could not be had on /u) as string });
  await device.close();
});
