import { defineConfig } from 'vitest/config';

/** Needs a Chromium: `CHROMIUM` names it, else it is looked for at the usual places. */
export default defineConfig({
  test: {
    include: ['test/browser/**/*.test.ts'],
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    // A file waits for its browser more than it works. Vitest leaves one core free, on a machine with two that is every
    // other one.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
