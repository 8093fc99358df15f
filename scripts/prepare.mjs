// Compiles src/ to dist/ when a checkout is installed. A packed release has dist/ already and no compiler.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

function compiler() {
  try {
    return path.join(path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  } catch {
    return null;
  }
}

const tsc = compiler();
if (tsc === null) {
  if (!existsSync(path.join(root, 'dist'))) {
    console.error('lodestone: dist/ is missing and TypeScript is not installed: run "npm install" with its dev dependencies once.');
  }
} else {
  // What has no source any more must not stay.
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  const run = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  process.exitCode = run.status ?? 1;
}
