/** Ping-pong: a message of 64 bytes there and one back, the next one after that. What counts is the round trip. */
import type { Scenario, Waiting } from './scenario.js';

const waitings: Waiting[] = ['spinning', 'sleeping', 'event-loop'];

export const pingPong: Scenario[] = waitings.flatMap((waiting) =>
  ([1, 2] as const).map(
    (cpus): Scenario => ({
      id: `ping-pong/64B/${waiting}/${cpus === 1 ? 'one-cpu' : 'two-cpus'}`,
      shape: { kind: 'ping-pong', waiting },
      cpus,
      reference: 'floor',
      // Each round trip is kept; two that spin on one CPU wait for the end of each other's time slice.
      most: waiting === 'spinning' && cpus === 1 ? 100 : 100_000,
    }),
  ),
);
