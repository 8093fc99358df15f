/** Pictures to text through the tower on a device, and what is wrong with a model's folder. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { selectDevice } from '../../src/device/select.js';
import { PictureReader } from '../../src/see/picture-reader.js';
import { scratch } from '../ingest/support.js';
import { colourPicture, writeColourTower } from './colour-tower.js';

const dir = scratch();
beforeAll(() => writeColourTower(dir));

describe.each(['reference', 'cpu'] as const)('on the %s device', (name) => {
  let device: Device;
  let reader: PictureReader;
  beforeAll(async () => {
    ({ device } = await selectDevice(name, { threads: 1 }));
    reader = await PictureReader.open(dir, device);
  });
  afterAll(async () => {
    await reader.close();
    await device.close();
  });

  it('reads lines from top to bottom', async () => {
    expect(await reader.read(colourPicture(['ab!.', '....', '.ba.']))).toEqual(['ab!', 'ba']);
  });

  it('reads pictures of any size, one after another', async () => {
    const small = colourPicture(['....', '.bb.']);
    expect(await reader.read(small)).toEqual(['bb']);
    const large = { width: 64, height: 32, data: new Uint8Array(64 * 32 * 3).map((_, i) => small.data[(Math.floor(i / (64 * 3)) * 32 + Math.floor((i % (64 * 3)) / 6)) * 3 + (i % 3)]!) };
    expect(await reader.read(large)).toEqual(['bb']);
    expect(await reader.read(colourPicture([]))).toEqual([]);
  });
});

it('stops when it is told to', async () => {
  const device = createReferenceDevice();
  const reader = await PictureReader.open(dir, device);
  await expect(reader.read(colourPicture([]), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  await reader.close();
  await device.close();
});

describe('a folder', () => {
  const device = createReferenceDevice();
  const refused = (change: (json: Record<string, unknown>) => void): Promise<unknown> => {
    const broken = scratch();
    writeColourTower(broken);
    const json = JSON.parse(readFileSync(join(broken, 'config.json'), 'utf8')) as Record<string, unknown>;
    change(json);
    writeFileSync(join(broken, 'config.json'), JSON.stringify(json));
    return PictureReader.open(broken, device);
  };

  it.each([
    ['of another kind of model', (json: Record<string, unknown>) => delete json['lodestone'], /no lodestone.characters/u],
    ['without a vision config', (json: Record<string, unknown>) => delete json['vision_config'], /no vision_config/u],
    ['whose characters are not those of its weights', (json: Record<string, unknown>) => (json['lodestone'] = { characters: 'abc!' }), /embed_tokens.weight is not 5 x 4/u],
    ['whose text model has no width', (json: Record<string, unknown>) => (json['text_config'] = { rms_norm_eps: 1e-6 }), /hidden_size is undefined/u],
  ] as const)('%s is refused in one line', async (_, change, message) => {
    await expect(refused(change)).rejects.toMatchObject({ exitCode: 6, message: expect.stringMatching(message) as string });
  });

  it('that is empty, or holds no JSON, is refused', async () => {
    const empty = scratch();
    await expect(PictureReader.open(empty, device)).rejects.toMatchObject({ exitCode: 6, message: expect.stringContaining("config.json: can't be read") as string });
    writeFileSync(join(empty, 'config.json'), '{');
    await expect(PictureReader.open(empty, device)).rejects.toThrow('is not JSON');
  });
});
