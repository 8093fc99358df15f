/** What keys and values in fewer bits cost, on the tiny random model. */
import { expect, it } from 'vitest';
import { costedKv, measureKvCost } from '../../src/bench/kv-cost.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { openModel } from '../../src/runtime/model.js';
import { fixtureDir, someIds } from '../runtime/fixture.js';

it('q8_0 costs more than f16, and neither nothing', async () => {
  const device = createReferenceDevice();
  const costs = await measureKvCost(await openModel(fixtureDir, device), someIds(24));
  expect(costs.map(({ kv }) => kv)).toEqual(costedKv);
  const [globalF16, globalQ8, f16, q8] = costs.map(({ agreement }) => agreement);
  for (const { positions, klMean, top1 } of [globalF16!, globalQ8!, f16!, q8!]) {
    expect(positions).toBe(24);
    expect(klMean).toBeGreaterThan(0);
    expect(top1).toBeGreaterThan(0.8);
  }
  expect(globalQ8!.klMean).toBeGreaterThan(globalF16!.klMean);
  expect(q8!.klMean).toBeGreaterThan(f16!.klMean);
  await device.close();
});
