/**
 * What may become of the word that says who has a lock, as functions of what it says: by them the lock itself goes
 * (lock-word.ts), and the model that is searched for what could go wrong (test/sync/model).
 */
import { ownerMask, starving, waiters } from './lock-layout.js';

/** How somebody wants a lock. */
export interface Wanting {
  /** Takes it out of turn: nobody is there whose turn it could be. */
  readonly tries: boolean;
  /** On its word: it may be his turn. */
  readonly hasSlept: boolean;
  /** Has asked to be woken: a wake-up may be on its way to him, though he has not slept to his end. */
  readonly hasAsked?: boolean;
  /** Has waited for long. */
  readonly isLate: boolean;
}

/** The state in which `id` has the lock whose state is `there`; 0 where it can't have it. */
export function taken(there: number, id: number, { tries, hasSlept, hasAsked, isLate }: Wanting): number {
  const starves = there & starving;
  if ((there & ownerMask) !== 0) return 0;
  if (starves !== 0 && !hasSlept && !tries) return 0;
  // Whoever was or is to be woken can't know whether others sleep: the flag was taken away for all of them.
  return id | (hasSlept || hasAsked ? waiters : there & waiters) | (tries || isLate ? starves : 0);
}

/** The state to sleep on. */
export function awaited(there: number, { hasSlept, isLate }: Wanting): number {
  return there | waiters | (hasSlept && isLate ? starving : 0);
}

/** The state in which `id` has what the dead owner of `there` had. */
export function inherited(there: number, id: number): number {
  return id | waiters | (there & starving);
}

/** The state in which nobody has it any more. With `starving` it is free for those who have slept. */
export function released(there: number): number {
  return (there & starving) === 0 ? 0 : starving | waiters;
}
