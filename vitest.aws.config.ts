import { defineConfig } from 'vitest/config';

/** The packaged functions as processes of their own against the emulators: minutes, one file at a time. */
export default defineConfig({
  test: {
    include: ['test/packaged/**/*.test.ts'],
    globalSetup: ['test/support/vitest-package.ts'],
    testTimeout: 1_200_000,
    hookTimeout: 300_000,
    pool: 'forks',
    fileParallelism: false,
    disableConsoleIntercept: true,
  },
});
