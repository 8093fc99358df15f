/** The CPU device where its addon does not do what it should: an addon that fails stands in for it. */
import { expect, it, vi } from 'vitest';
import { createCpuDevice } from '../../src/device/cpu/device.js';
import { checkedAddon, type Native, type NativeDevice } from '../../src/device/cpu/native.js';
import { ExitCode } from '../../src/errors.js';

const outOfMemory = (): Error => Object.assign(new Error('out of memory'), { code: 'OUT_OF_MEMORY' });

const addon = vi.hoisted((): { stand: Partial<Native> } => ({ stand: {} }));
vi.mock(import('../../src/device/cpu/native.js'), async (original) => ({ ...(await original()), loadNative: () => addon.stand as Native }));

const working: Partial<Native> = {
  variants: () => [{ name: 'scalar', title: 'scalar', supported: true, bf16: false }],
  defaultThreads: () => 4,
  open: () => ({}) as NativeDevice,
  threads: (): number => 3,
  createBuffer: () => true,
  close: () => undefined,
};

it('is unavailable where it can\'t be opened', () => {
  addon.stand = {
    ...working,
    open: () => {
      throw new Error("its threads can't be started: Resource temporarily unavailable");
    },
  };
  expect(createCpuDevice({ isa: 'scalar' })).toEqual({ unavailable: "its threads can't be started: Resource temporarily unavailable" });
});

it('counts the threads that there are, not those asked for', () => {
  addon.stand = working;
  expect(createCpuDevice({ isa: 'scalar', threads: 4 })).toMatchObject({ threads: 3, description: 'cpu (3 threads, scalar)' });
});

it('runs out of memory with an error of its own: submitting, loading a weight, writing', async () => {
  addon.stand = {
    ...working,
    submit: () => Promise.reject(outOfMemory()),
    loadWeight: () => Promise.reject(outOfMemory()),
    write: () => {
      throw outOfMemory();
    },
  };
  const device = createCpuDevice({ isa: 'scalar' });
  if ('unavailable' in device) throw new Error(device.unavailable);
  await expect(device.submit([])).rejects.toMatchObject({ exitCode: ExitCode.outOfMemory, message: expect.stringMatching(/^not enough memory/) });
  const source = { label: 'the weight', format: 'f32', outputs: 1, inputs: 1, data: { memory: new Uint8Array(4) } } as const;
  await expect(device.loadWeight(source)).rejects.toMatchObject({ exitCode: ExitCode.outOfMemory, message: expect.stringContaining('the weight') });
  const buffer = device.createBuffer(4, 'the buffer');
  expect(() => device.write({ buffer, offset: 0 }, new Uint8Array(4))).toThrow(expect.objectContaining({ exitCode: ExitCode.outOfMemory }));
});

it('refuses an addon of another version', () => {
  for (const abi of [undefined, 0]) expect(checkedAddon({ ...working, abi })).toEqual({ unavailable: 'its addon is of another version: run npm run build:addon' });
});
