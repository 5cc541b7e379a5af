import { defineConfig } from 'vitest/config';
import { patience } from './test/support/watchdog.js';

// Whoever counts lines (npm run coverage).
const counted = process.env.NODE_V8_COVERAGE !== undefined;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes, because tests kill, fault and leave handlers behind; two, because each starts more.
    pool: 'forks',
    maxWorkers: 2,
    // Tests collect garbage before they count what is left.
    execArgv: ['--expose-gc'],
    setupFiles: ['test/support/setup.ts', ...(counted ? ['test/support/counted.ts'] : [])],
    // Watchdogs: no test measures how long something takes.
    testTimeout: 60_000 * patience,
    hookTimeout: 60_000 * patience,
    // A machine that is busy takes seconds to start a process.
    expect: { poll: { timeout: 40_000 * patience, interval: 10 } },
    // `interproc` is the package as built: Node runs it, nothing transforms it.
    server: { deps: { external: [/\/dist\//] } },
  },
});
