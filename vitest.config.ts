import { defineConfig } from 'vitest/config';

// One worker: the machine that runs this has two cores, and the CPU device's own threads want them.
export default defineConfig({
  test: { include: ['tests/**/*.test.{ts,tsx}'], globalSetup: 'tests/global-setup.ts', testTimeout: 60_000, hookTimeout: 60_000, teardownTimeout: 60_000, maxWorkers: 1 },
});
