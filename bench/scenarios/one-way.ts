/**
 * One way: messages of one size, in one way of making and reading them, as fast as they go.
 *
 * Who has a CPU of its own spins; on one CPU the sides sleep when there is nothing to do, because a side that spins
 * would keep the other from its work. That is for those who block: transports of the event loop have it wait.
 */
import type { Method, Scenario } from './scenario.js';

const sizes = { '64B': 64, '1KiB': 1024, '64KiB': 65_536, '1MiB': 1_048_576 };
const methods: Method[] = ['in-place', 'in-place-sparse', 'copy', 'receive', 'receive-many', 'for-await'];

/** Of an owned Buffer all methods but these take theirs from the event loop. */
const blocking: Method[] = ['in-place', 'in-place-sparse', 'copy'];

export const oneWay: Scenario[] = Object.entries(sizes).flatMap(([size, bytes]) =>
  methods.flatMap((method) =>
    ([1, 2] as const).map(
      (cpus): Scenario => ({
        id: `one-way/${size}/${method}/${cpus === 1 ? 'one-cpu' : 'two-cpus'}`,
        shape: {
          kind: 'one-way',
          bytes,
          method,
          waiting: blocking.includes(method) && cpus === 2 ? 'spinning' : 'sleeping',
        },
        cpus,
        reference: 'floor',
        most: 100_000_000,
      }),
    ),
  ),
);
