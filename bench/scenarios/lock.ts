/**
 * Locks: taken and let go by one party alone; one lock that two or four parties take as often as they can; and hand-overs
 * between as many.
 *
 * Hand-overs go round a ring that has one lock more than there are parties. Each party holds one lock, and waits for the
 * next one on the ring; who gets it lets go of the one it had, for which the party behind has been waiting:
 *
 *     lock   0    1    2    3    4          D steps on to 4 and lets go of 3, where C steps on to; then B, then A,
 *     held   A -> B -> C -> D -> free       and D has 0 to wait for, which A holds
 *
 * So whoever takes a lock is handed it by somebody else; nobody takes back what it has just let go of, as it does with one
 * lock, where that would be most of what is measured. A hand-over lasts from right before `unlock` until `lock` has
 * returned on the other side, and counts where that one was in `lock` before.
 */
import type { LockCalls, Scenario } from './scenario.js';

const parties: LockCalls['parties'][] = [2, 4];
/** Microseconds: at once; and so late that who blocks its thread mostly sleeps by then. */
const holds = [0, 30];

const among = (id: string, shape: Omit<LockCalls, 'kind' | 'parties'>, most: number): Scenario[] =>
  parties.flatMap((count) =>
    ([1, 2] as const).map((cpus) => ({
      id: `lock/${id}/${count}-parties/${cpus === 1 ? 'one-cpu' : 'two-cpus'}`,
      shape: { kind: 'lock', parties: count, ...shape },
      cpus,
      reference: 'floor',
      most,
    })),
  );

export const lock: Scenario[] = [
  {
    id: 'lock/pair',
    shape: { kind: 'lock', work: 'pair', parties: 1, heldUs: 0 },
    cpus: 1,
    reference: 'floor',
    most: 100_000_000,
  },
  ...among('contended', { work: 'contended', heldUs: 0 }, 100_000_000),
  // Each hand-over is kept.
  ...holds.flatMap((heldUs) => among(`hand-over/${heldUs}us`, { work: 'hand-over', heldUs }, 100_000)),
];
