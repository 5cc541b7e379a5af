/**
 * Semaphores: one released and acquired by one process, which never waits, and round trips over two of them between two
 * processes, that block in the call or have an event loop.
 */
import type { Scenario } from './scenario.js';
import { pairs, pingPongs } from './works.js';

export const semaphore: Scenario[] = [
  ...pairs('semaphore/pair', (work) => ({ kind: 'semaphore', ...work })),
  ...pingPongs('semaphore/ping-pong', (work) => ({ kind: 'semaphore', ...work })),
];
