/** The reader that ships: its pieces are the embedded model's, it reads needles that it was not trained on, and `ask` answers from them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { selectDevice } from '../../src/device/select.js';
import { openTokenizer } from '../../src/encode/tokenizer.js';
import { embeddedModelDir, embeddedSeeDir } from '../../src/paths.js';
import { Film, secretWords } from '../../src/recall/film.js';
import { PictureReader } from '../../src/see/picture-reader.js';
import { readTensorF32 } from '../../src/weights/read.js';
import { openCheckpoint } from '../../src/weights/safetensors.js';

describe.skipIf(!existsSync(join(embeddedSeeDir, 'model.safetensors')))('lodestone-see', () => {
  let device: Device;
  let reader: PictureReader;
  beforeAll(async () => {
    ({ device } = await selectDevice('auto'));
    reader = await PictureReader.open(embeddedSeeDir, device);
  });
  afterAll(async () => {
    await reader.close();
    await device.close();
  });

  it('has the rows of the embedded model for its pieces (after a change of those: recipe/export.py --refold)', async () => {
    const tokenizer = await openTokenizer(embeddedModelDir);
    const tensor = async (dir: string, name: string): Promise<Float32Array> => readTensorF32((await openCheckpoint(dir)).tensors.get(name)!);
    const embedding = await tensor(embeddedModelDir, 'model.embed_tokens.weight');
    const rows = await tensor(embeddedSeeDir, 'language_model.model.embed_tokens.weight');
    const { characters, width } = reader.config;
    const row = (id: number): Float32Array => embedding.subarray(id * width, (id + 1) * width);
    const ids = [tokenizer.controlId('<pad>')];
    for (const character of characters) {
      const [id, ...more] = await tokenizer.encodeText(character);
      expect(more).toEqual([]);
      ids.push(id!);
    }
    ids.forEach((id, i) => expect(rows.subarray(i * width, (i + 1) * width)).toEqual(row(id)));
  });

  it('reads words and letters that it was not trained on, and finds nothing where nothing is', async () => {
    const film = await Film.open(11);
    const words = secretWords().slice(0, 8);
    let right = 0;
    for (const [second, word] of words.entries()) {
      const lines = await reader.read(await film.picture({ second, text: `The secret word is "${word}"` }));
      if (lines.join(' ') === `The secret word is "${word}"`) right++;
    }
    expect(right).toBeGreaterThanOrEqual(6);
    expect(await reader.read(await film.picture({ second: 3 }))).toEqual([]);
  });
});
