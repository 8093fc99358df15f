/** What the embedded model must be able to do, by the product's own code; `npm run recall` measures it at length. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../../src/answer/ask.js';
import { defaultLooks } from '../../src/answer/defaults.js';
import type { Device } from '../../src/device/device.js';
import { selectDevice } from '../../src/device/select.js';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { modelAnswerer } from '../../src/recall/respond.js';
import { runSuite } from '../../src/recall/runner.js';
import { isHit } from '../../src/recall/scoring.js';
import { fixtureSources, openSuites } from '../../src/recall/suites.js';
import { defaultChunk } from '../../src/runtime/kv.js';
import { openModel } from '../../src/runtime/model.js';

const fixtures = path.join(packageRoot, 'fixtures');
let device: Device;
beforeAll(async () => {
  ({ device } = await selectDevice('auto'));
});
afterAll(() => device.close());

// On the reference device these would take many minutes, and prove nothing about the model that the cpu device does not.
describe('lodestone-tiny', () => {
  it('finds the magic number at eleven depths of 4,096 tokens, in one reading', async ({ skip }) => {
    if (device.name !== 'cpu') skip('no cpu device');
    const model = await openModel(embeddedModelDir, device);
    const answerer = modelAnswerer(model);
    const [suite] = await openSuites(['gemini'], fixtureSources(fixtures, embeddedModelDir), answerer.count);
    const { parts } = await runSuite(answerer, suite!, 4096, { questions: 11, seed: 11, looks: 0 });
    const { hits } = parts[0]!.once;
    answerer.close();
    await model.close();
    expect(hits).toBeGreaterThanOrEqual(10);
  });

  it('answers most questions about a report of 27 pages, with the right page', async ({ skip }) => {
    if (device.name !== 'cpu') skip('no cpu device');
    const questions = JSON.parse(readFileSync(path.join(fixtures, 'long-report.json'), 'utf8')) as { question: string; answer: string; page: number }[];
    let right = 0;
    for (const { question, answer, page } of questions) {
      const request = {
        question,
        paths: [path.join(fixtures, 'long-report.pdf')],
        modelDir: embeddedModelDir,
        quantize: 'none',
        sampling: { temperature: 0 },
        maxTokens: 64,
        chunk: defaultChunk,
        looks: defaultLooks,
      } as const;
      const result = await ask(request, device, new AbortController().signal, () => undefined);
      if (isHit(result.answer, answer) && result.citations[0]?.page === page && result.citations[0].verified) right++;
    }
    expect(right / questions.length).toBeGreaterThanOrEqual(2 / 3);
    // It reads the report, and 12 passages, for each of 12 questions: a busy machine takes more than the usual minute.
  }, 240_000);
});
