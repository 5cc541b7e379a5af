/** Scenarios of objects that the system has twice, as POSIX and as System V want them: pairs, and ping-pong. */
import type { Api, Scenario, Shape, Work } from './scenario.js';

const apis: Api[] = ['posix', 'sysv'];
const waitings: Work['waiting'][] = ['sleeping', 'event-loop'];

export function pairs(id: string, shapeOf: (work: Work) => Shape): Scenario[] {
  return apis.map((api) => ({
    id: `${id}/${api}`,
    shape: shapeOf({ work: 'pair', api, waiting: 'sleeping' }),
    cpus: 1,
    reference: 'floor',
    most: 100_000_000,
  }));
}

export function pingPongs(id: string, shapeOf: (work: Work) => Shape): Scenario[] {
  return waitings.flatMap((waiting) =>
    apis.flatMap((api) =>
      ([1, 2] as const).map((cpus) => ({
        id: `${id}/${waiting}/${api}/${cpus === 1 ? 'one-cpu' : 'two-cpus'}`,
        shape: shapeOf({ work: 'ping-pong', api, waiting }),
        cpus,
        reference: 'floor',
        // Each round trip is kept.
        most: 100_000,
      })),
    ),
  );
}
