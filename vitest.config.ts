import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes, because tests kill, fault and leave handlers behind; two, because each starts more.
    pool: 'forks',
    maxWorkers: 2,
    // Tests collect garbage before they count what is left.
    execArgv: ['--expose-gc'],
    setupFiles: ['test/support/setup.ts'],
    // Watchdogs: no test measures how long something takes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // `interproc` is the package as built: Node runs it, nothing transforms it.
    server: { deps: { external: [/\/dist\//] } },
  },
});
