/** All scenarios, in the order in which they run. */
import { descriptor } from './descriptor.js';
import { lock } from './lock.js';
import { mapped } from './mapped.js';
import { memory } from './memory.js';
import { oneWay } from './one-way.js';
import { pingPong } from './ping-pong.js';
import { queue } from './queue.js';
import type { Scenario } from './scenario.js';
import { semaphore } from './semaphore.js';

export const scenarios: readonly Scenario[] = [
  ...oneWay,
  ...pingPong,
  ...memory,
  ...mapped,
  ...descriptor,
  ...queue,
  ...semaphore,
  ...lock,
];
