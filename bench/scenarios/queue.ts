/**
 * Message queues: a message sent and received by one process, and round trips of 64 bytes between two, that block in the
 * call or have an event loop.
 */
import type { Scenario } from './scenario.js';
import { pairs, pingPongs } from './works.js';

const sizes = { '64B': 64, '8KiB': 8192 };

export const queue: Scenario[] = [
  ...Object.entries(sizes).flatMap(([size, bytes]) =>
    pairs(`queue/pair/${size}`, (work) => ({ kind: 'queue', ...work, bytes })),
  ),
  ...pingPongs('queue/ping-pong/64B', (work) => ({ kind: 'queue', ...work, bytes: 64 })),
];
