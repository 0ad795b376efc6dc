import base from '../../vitest.config.ts';

/**
 * How much of the rooms that keep messages their own tests run: `npm run coverage`. It stands apart from `npm test`,
 * which counting would slow.
 */
export default {
  ...base,
  test: {
    ...base.test,
    include: ['test/{queue,consumer,store,contract}/**/*.test.ts', 'test/lambda/filter*.test.ts'],
    coverage: {
      enabled: true,
      provider: 'v8' as const,
      include: ['runtime/{queue,consumer,store}/**/*.ts'],
      reporter: ['text', 'json-summary'],
      reportOnFailure: true,
    },
    // Counting takes its time from the tests.
    testTimeout: 120_000,
  },
};
