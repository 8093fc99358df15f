/** Torn, damaged and foreign files are never believed; what is lost is read again. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { createRandom, randomBelow } from '../../src/random.js';
import { BlockReader } from '../../src/sessions/block-file.js';
import { removeUnfinished } from '../../src/sessions/private-file.js';
import { listBlocks, listSessions, ownBlocks } from '../../src/sessions/store.js';
import { openFixture, someIds, withTempDir, workingDevices, type TestModel } from '../runtime/fixture.js';
import { promptOf, readCold, readWith, sessionOf, someSource } from './support.js';

const { create } = (await workingDevices()).at(-1)!;
let device: Device;
let model: TestModel;
beforeAll(async () => {
  device = await create();
  const fixture = await openFixture(device, ['local', 'local', 'global', 'local']);
  model = { ...fixture, config: { ...fixture.config, maxPositions: 4096 } };
});
afterAll(() => device.close());

const prompt = promptOf([someSource(1, 14), someSource(2, 15)], someIds(7));

it('is right whatever is cut off, changed or missing, and mends it', () =>
  withTempDir(async (dir) => {
    const expected = await readCold(model, prompt);
    await readWith(dir, model, prompt);
    const folder = join(dir, 'sessions');
    const [first, second] = (await listBlocks(folder)).sort((x, y) => x.to - y.to);
    const random = createRandom(1);
    const ways: [string, (path: string, content: Buffer) => void][] = [
      ['gone', (path) => rmSync(path)],
      ['empty', (path) => writeFileSync(path, '')],
      ['the other block', (path) => writeFileSync(path, readFileSync(join(folder, path.endsWith(first!.name) ? second!.name : first!.name)))],
      ['zeroes', (path, content) => writeFileSync(path, Buffer.alloc(content.length))],
      ...Array.from({ length: 12 }, (_, i): [string, (path: string, content: Buffer) => void] => {
        const share = random();
        return i % 2 === 0
          ? [`cut at ${share}`, (path, content) => writeFileSync(path, content.subarray(0, Math.floor(share * content.length)))]
          : [`a bit at ${share}`, (path, content) => writeFileSync(path, content.map((byte, at) => (at === Math.floor(share * content.length) ? byte ^ 4 : byte)))];
      }),
      ['longer', (path, content) => writeFileSync(path, Buffer.concat([content, Buffer.from('more')]))],
    ];
    for (const block of [first!, second!]) {
      for (const [what, damage] of ways) {
        const path = join(folder, block.name);
        damage(path, readFileSync(path));
        const warm = await readWith(dir, model, prompt);
        expect([what, warm.warnings]).toEqual([what, []]);
        // A bit may be changed where nothing is read: in the rings in the middle.
        if (!what.startsWith('a bit')) expect(warm.cached, what).toBeLessThan(prompt.sourceEnds.at(-1)!);
        expect(warm.logits, what).toEqual(expected);
        expect((await readWith(dir, model, prompt)).cached, `${what}, mended`).toBe(prompt.sourceEnds.at(-1));
      }
    }
  }));

it('lists sessions and what is broken, and knows which blocks a session has alone', () =>
  withTempDir(async (dir) => {
    const folder = join(dir, 'sessions');
    const longer = promptOf([someSource(1, 14), someSource(2, 15), someSource(3, 14)], someIds(3));
    const fork = promptOf([someSource(1, 14), someSource(4, 15)], someIds(3));
    for (const each of [prompt, longer, fork]) await readWith(dir, model, each);
    const { sessions, broken } = await listSessions(folder);
    expect(broken).toEqual([]);
    const told = new Set(sessions.map(({ label, tokens, blocks }) => `${label.sources.map(({ path }) => path).join()} ${tokens} ${blocks.length}`));
    expect(told).toEqual(new Set([`source-0,source-1 ${fork.sourceEnds.at(-1)} 2`, `source-0,source-1,source-2 ${longer.sourceEnds.at(-1)} 3`]));
    const three = sessions.find(({ blocks }) => blocks.length === 3)!;
    expect(ownBlocks(three, sessions).map(({ to }) => to)).toEqual([longer.sourceEnds[1], longer.sourceEnds[2]]);
    rmSync(join(folder, three.blocks[0]!.name));
    const after = await listSessions(folder);
    expect([after.sessions, after.broken.length]).toEqual([[], 3]);
  }));

it('removes what killed processes have left, and nothing that may still be written', () =>
  withTempDir(async (dir) => {
    await readWith(dir, model, prompt);
    const folder = join(dir, 'sessions');
    const [old, young] = [join(folder, `x.kv.unfinished-${'0'.repeat(16)}`), join(folder, `x.kv.unfinished-${'1'.repeat(16)}`)];
    for (const path of [old, young]) writeFileSync(path, 'begun');
    utimesSync(old, 1, 1);
    await removeUnfinished(folder);
    expect(readdirSync(folder).filter((name) => name.includes('unfinished'))).toEqual([`x.kv.unfinished-${'1'.repeat(16)}`]);
  }));

it('says so where nothing can be kept, and answers', () =>
  withTempDir(async (dir) => {
    writeFileSync(join(dir, 'sessions'), 'a file where the folder should be');
    const { logits, cached, warnings } = await readWith(dir, model, prompt);
    expect(cached).toBe(0);
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings[0]).toContain('could not be kept');
    expect(logits).toEqual(await readCold(model, prompt));
  }));

it('is shared by two that read at once', () =>
  withTempDir(async (dir) => {
    const expected = await readCold(model, prompt);
    const both = await Promise.all([readWith(dir, model, prompt, { chunk: 9 }), readWith(dir, model, prompt, { chunk: 31 })]);
    for (const { logits, warnings } of both) expect([logits, warnings]).toEqual([expected, []]);
    expect(await listBlocks(join(dir, 'sessions'))).toHaveLength(2);
  }));

const kills = Number(process.env['LODESTONE_TEST_KILLS'] ?? 24);

it(`survives ${kills} kills at random moments while two processes write`, { timeout: 60_000 + kills * 3000 }, () =>
  withTempDir(async (dir) => {
    const random = createRandom(kills);
    const writer = fileURLToPath(new URL('writer.mjs', import.meta.url));
    const folder = join(dir, 'sessions');
    let unfinished = 0;
    for (let kill = 0; kill < kills; kill += 2) {
      const children = [0, 1].map((i) => spawn(process.execPath, [writer, dir, String(kill + i)], { stdio: ['ignore', 'pipe', 'inherit'] }));
      await Promise.all(
        children.map(async (child) => {
          await new Promise((resolve) => child.stdout.once('data', resolve));
          await new Promise((resolve) => setTimeout(resolve, randomBelow(120, random)));
          child.kill('SIGKILL');
          await new Promise((resolve) => child.once('exit', resolve));
        }),
      );
      unfinished += readdirSync(folder).filter((name) => name.includes('unfinished')).length;
      await removeUnfinished(folder, -1);
      for (const { name } of await listBlocks(folder)) {
        const reader = await BlockReader.open(join(folder, name));
        expect(reader, `${name}, ${statSync(join(folder, name)).size} bytes`).not.toBeNull();
        expect(await reader!.isSound(), name).toBe(true);
        await reader!.close();
      }
    }
    const session = await sessionOf(dir, prompt);
    await session.close();
    const { logits, warnings } = await readWith(dir, model, prompt);
    expect([logits, warnings]).toEqual([await readCold(model, prompt), []]);
    console.log(`${kills} kills, ${unfinished} of them with files half written`);
  }));
