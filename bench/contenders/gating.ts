/** The sides of those who release and acquire semaphores of the system: pairs of one process, and round trips. */
import type { SemaphoreCalls } from '../scenarios/scenario.js';
import { Stopwatch } from '../support/round-trips.js';
import type { Side, Task } from './contender.js';

export interface Gates {
  release(): void;
  /** Of a pair: it can be had, always. */
  acquire(): Promise<unknown> | void;
}

export function gating({ role, most }: Task, { work }: SemaphoreCalls, gates: Gates): Side {
  if (work === 'pair') return pairing(gates);
  return role === 'lead' ? pinging(gates, most) : ponging(gates);
}

function pairing(gates: Gates): Side {
  return {
    run: (count) => {
      for (let number = 0; number < count; number++) {
        gates.release();
        gates.acquire();
      }
    },
  };
}

function pinging(gates: Gates, most: number): Side {
  const stopwatch = new Stopwatch(most);
  return {
    run: async (count) => {
      stopwatch.start();
      for (let number = 0; number < count; number++) {
        gates.release();
        const acquiring = gates.acquire();
        if (acquiring !== undefined) await acquiring;
        stopwatch.lap();
      }
    },
    latencies: () => stopwatch.laps(),
  };
}

function ponging(gates: Gates): Side {
  return {
    run: async (count) => {
      for (let number = 0; number < count; number++) {
        const acquiring = gates.acquire();
        if (acquiring !== undefined) await acquiring;
        gates.release();
      }
    },
  };
}
