// The pure transition rules of the lock word, apart from everything that moves: what a step makes of the word
// that it read. A word is an int32: 30 bits of owner, STARVING and WAITERS.
import { awaited, inherited, released, taken } from '../../../dist/sync/lock-rules.js';

export const STARVING = 1 << 30;
export const WAITERS = 1 << 31;
export const OWNER = ~(STARVING | WAITERS);
export const NOT_RECOVERABLE = 0x3fffffff;

/** What is known of the one who asks. */
export interface Asker {
  id: number;
  /** A futex sleep of this call was ended by a wake-up or by its time. */
  slept: boolean;
  isTry: boolean;
  /** It has waited for more than a millisecond. */
  waitedLong: boolean;
}

export interface Rules {
  /** The word of the taker, or null where this one may not take it. */
  take(word: number, asker: Asker): number | null;
  /** The word to sleep on. */
  sleepOn(word: number, asker: Asker): number;
  /** The word of who takes the lock of a dead owner. */
  seize(word: number, asker: Asker): number;
  /** The word that the owner leaves. */
  release(word: number): number;
}

export const owner = (word: number): number => word & OWNER;

const wanting = ({ slept, isTry, waitedLong }: Asker) => ({
  hasSlept: slept,
  tries: isTry,
  isLate: waitedLong,
});

/** Those of the package itself. */
export const rules: Rules = {
  take: (word, asker) => taken(word, asker.id, wanting(asker)) || null,
  sleepOn: (word, asker) => awaited(word, wanting(asker)),
  seize: (word, { id }) => inherited(word, id),
  release: released,
};
