/** Loops over shared memory, against the same loops over an array as any other. */
import type { MappedLoops, Scenario } from './scenario.js';

const loops: MappedLoops['loop'][] = ['sum', 'fill', 'copy'];

export const mapped: Scenario[] = loops.map((loop) => ({
  id: `mapped/1MiB/${loop}`,
  shape: { kind: 'mapped', loop, bytes: 1_048_576 },
  cpus: 1,
  reference: 'plain',
  most: 1_000_000,
}));
