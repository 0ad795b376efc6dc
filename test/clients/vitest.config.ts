import { defineConfig } from 'vitest/config';

/**
 * SQS clients of several generations and languages against a real server; needs npm, Python 3 with venv, Go, Java 17
 * and Maven.
 */
export default defineConfig({
  test: {
    include: ['test/clients/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.cache/**'],
    globalSetup: ['test/support/global-setup.ts', 'test/clients/global-setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
