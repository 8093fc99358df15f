// Writes sessions into a folder until it is killed: node writer.mjs FOLDER SEED. Prints a line when it begins.
import { join } from 'node:path';
import { Session } from '../../dist/sessions/session.js';

const [folder, seed] = process.argv.slice(2);

/** Stands in for a context that has read everything: only its rows are asked for. */
function contextOf(length, number) {
  const config = { layers: [{ kind: 'local' }, { kind: 'local' }, { kind: 'global' }, { kind: 'local' }], window: 8 };
  return {
    config,
    length,
    rowBytes: () => 512,
    standing: () => ({ length, storedFrom: [0, 0, 0, 0] }),
    async *save(from) {
      for (const [layer, { kind }] of config.layers.entries()) {
        const first = kind === 'local' ? length - 7 : from;
        const rows = { from: first, to: length, k: new Uint8Array((length - first) * 4096).fill(number), v: new Uint8Array((length - first) * 4096).fill(layer) };
        yield { layer, rows };
      }
    },
  };
}

for (let number = 0; ; number++) {
  const ids = Uint32Array.from({ length: 1200 }, (_, i) => (i * 31 + number + 1000 * Number(seed)) % 500);
  const prompt = { ids, sourceTokens: [600, 600], segmentEnds: [600, 1200], sourceEnds: [600, 1200] };
  const options = { folder: join(folder, 'sessions'), environment: 'a'.repeat(64), bytes: 40e6, model: 'tiny', sources: ['a', 'b'], imageTokens: null };
  const session = await Session.open(options, prompt);
  await session.save(contextOf(600, number), 0, []);
  if (number === 0) process.stdout.write('writing\n');
  await session.save(contextOf(1200, number), 600, []);
  await session.close();
}
