import { defineConfig } from 'vitest/config';

/** Real deployments against an AWS emulator; needs `moto_server` on the PATH. */
export default defineConfig({
  test: {
    include: ['test/deploy/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    fileParallelism: false,
  },
});
