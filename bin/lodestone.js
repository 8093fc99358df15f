#!/usr/bin/env node
import { mkdirSync } from 'node:fs';
import module from 'node:module';

// From Node 22.1 on: what was compiled is kept with our other caches, and the next start is sooner.
if (module.enableCompileCache) {
  const { cacheFolder } = await import('../dist/models/places.js');
  try {
    const folder = `${cacheFolder()}/code`;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    module.enableCompileCache(folder);
  } catch {
    // Where nothing can be kept, it is compiled again.
  }
}
await import('../dist/cli/main.js');
