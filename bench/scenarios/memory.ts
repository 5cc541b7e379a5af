/** Shared memory made and removed, opened and closed, resized: against the same system calls in C. */
import type { MemoryCalls, Scenario } from './scenario.js';

const calls: MemoryCalls['call'][] = ['create', 'attach', 'resize'];

export const memory: Scenario[] = calls.map((call) => ({
  id: `memory/64KiB/${call}`,
  shape: { kind: 'memory', call, bytes: 65_536 },
  cpus: 1,
  reference: 'floor',
  most: 1_000_000,
}));
