import { defineConfig } from 'vitest/config';

/** Needs a Chromium: `CHROMIUM` names it, else it is looked for at the usual places. */
export default defineConfig({
  test: { include: ['test/browser/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
});
