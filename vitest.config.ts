import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Suites with a config of their own need more than a fresh machine has (old SDKs, an AWS emulator, a browser). */
const OWN_CONFIG = ['test/clients/**', 'test/deploy/**', 'test/browser/**'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    exclude: ['**/node_modules/**', '**/dist/**', ...OWN_CONFIG],
    // The SDK tells at each start that its releases of 2027 will not run on Node 20.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    // Vitest leaves one core free, on a machine with two that is every other one. Many tests wait for processes and
    // timers.
    maxWorkers: Math.max(2, availableParallelism()),
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/forgotten-listeners.ts'],
    // Guards against a test that hangs, no more: property tests take 8 s on a quiet machine, and a busy one is six
    // times slower.
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
});
