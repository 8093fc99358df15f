import { describe, expect, it } from 'vitest';
import { cpuVariants } from '../../../src/device/cpu/device.js';
import { selectDevice } from '../../../src/device/select.js';

describe('selectDevice', () => {
  it('gives the reference where it is asked for', async () => {
    const { device, why } = await selectDevice('reference');
    expect(device.name).toBe('reference');
    expect(why).toBe('reference (TypeScript, 1 thread), as asked');
    await device.close();
  });

  it('chooses the cpu device where its addon loads, else the reference, and says why', async () => {
    const { device, why } = await selectDevice('auto');
    expect(device.name).toBe(cpuVariants().length > 0 ? 'cpu' : 'reference');
    if (device.name === 'reference') expect(why).toMatch(/which is slow: its addon/);
    else expect(why).toBe(device.description);
    await device.close();
  });

  it.skipIf(cpuVariants().length === 0)('gives the cpu device as many threads as asked for', async () => {
    const { device, why } = await selectDevice('cpu', { threads: 2 });
    expect(why).toMatch(/^cpu \(2 threads, .+\), as asked$/);
    await device.close();
  });
});
