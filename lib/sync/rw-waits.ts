/**
 * What the calls of an RwLock do while they wait: how one gets in among the readers, or has the lock alone. The lock itself,
 * and what its words are: rw-lock.ts.
 */
import { failpoint } from '../internal/failpoint.js';
import { again } from '../internal/turns.js';
import { ownerMask, ruined } from './lock-layout.js';
import type { Sleep, Waiting } from './lock-line.js';
import { taken } from './lock-rules.js';
import { type LockWord, WordWanting } from './lock-word.js';
import type { OwnerSlots } from './owner-slots.js';
import type { ReadGuard, WriteGuard } from './rw-lock.js';

/** Of a slot: a writer sleeps on it. */
export const waitedFor = -0x8000_0000;

/** What a call does that may try just once. */
export interface Trying<T> extends Waiting<T> {
  /** As `look(true)`, for one who has not slept: it is not his turn. */
  lookAtOnce(): boolean;
}

/** A lock, as its waits know it. */
export interface RwLockParts {
  word: LockWord;
  slots: OwnerSlots;
  words: Int32Array;
  /** The index of that word. */
  writing: number;
  readAlong(): ReadGuard | typeof again | undefined;
  /** Where it is abandoned. */
  readAlone(): ReadGuard;
  writeAlone(abandoned: boolean): WriteGuard;
}

/** Takes the lock alone: the word, then each slot as it comes free. */
class Alone {
  readonly #lock: RwLockParts;
  readonly #how: WordWanting;
  #hasWord = false;
  #slot = 0;
  #attempts = 0;

  constructor(lock: RwLockParts, how: WordWanting) {
    this.#lock = lock;
    this.#how = how;
  }

  get hasWord(): boolean {
    return this.#hasWord;
  }

  /** Whether it has the lock. The second attempt looks for deaths, for who may not come to sleep. */
  attempt(): boolean {
    if (this.#goOn()) return true;
    if (++this.#attempts === 2) while (this.look()) if (this.#goOn()) return true;
    return false;
  }

  #goOn(): boolean {
    const { word, slots: readers } = this.#lock;
    if (!this.#hasWord) {
      if (!(this.#how.isNew ? word.tryTake() : word.take(this.#how))) return false;
      this.#begin();
    }
    while (this.#slot < readers.count && readers.get(this.#slot) === 0) this.#slot++;
    return this.#slot === readers.count;
  }

  beforeSleep(): Sleep | undefined {
    if (!this.#hasWord) return this.#lock.word.await(this.#how);
    return awaitSlot(this.#lock, this.#slot);
  }

  /** Whether somebody has died who was in the way, or it may go on. */
  look(): boolean {
    const { word, slots: readers } = this.#lock;
    if (!this.#hasWord) {
      const { state } = word;
      if (taken(state, word.site.id, this.#how) !== 0 || (state & ownerMask) === ruined) return true;
      if (!word.inherit()) return false;
      this.#begin();
      return true;
    }
    if (this.#slot === readers.count) return true;
    const there = readers.get(this.#slot);
    if (there === 0) return true;
    if (!readers.isDead(this.#slot)) return false;
    const cleared = readers.clear(this.#slot, there);
    failpoint('rwlock.cleared');
    return cleared;
  }

  giveUp(): void {
    if (this.#hasWord) this.#lock.word.release();
    else if (!this.#how.isNew) this.#lock.word.giveUp();
    this.#hasWord = false;
    this.#slot = 0;
  }

  #begin(): void {
    this.#hasWord = true;
    this.#slot = 0;
    failpoint('rwlock.draining');
  }
}

export class Writing implements Trying<WriteGuard> {
  readonly call = 'write';
  readonly #lock: RwLockParts;
  readonly #how = new WordWanting();
  readonly #alone: Alone;

  constructor(lock: RwLockParts) {
    this.#lock = lock;
    this.#alone = new Alone(lock, this.#how);
  }

  attempt(): WriteGuard | typeof again {
    if (!this.#alone.attempt()) return again;
    const { words, writing } = this.#lock;
    return this.#lock.writeAlone(Atomics.load(words, writing) !== 0);
  }

  beforeSleep(): Sleep | undefined {
    this.#how.begin();
    return this.#alone.beforeSleep();
  }

  look(byTime: boolean): boolean {
    this.#how.hasSlept = true;
    return !byTime || this.lookAtOnce();
  }

  lookAtOnce(): boolean {
    return this.#alone.look();
  }

  giveUp(): boolean {
    this.#alone.giveUp();
    return true;
  }
}

export class Reading implements Trying<ReadGuard> {
  readonly call = 'read';
  readonly #lock: RwLockParts;
  readonly #how = new WordWanting();
  /** Where the last writer has died. */
  readonly #alone: Alone;
  #mends = false;
  #isFull = false;
  #attempts = 0;

  constructor(lock: RwLockParts) {
    this.#lock = lock;
    this.#alone = new Alone(lock, this.#how);
  }

  attempt(): ReadGuard | typeof again {
    const { word, words, writing } = this.#lock;
    this.#isFull = false; // who found it so before may find a writer now, and sleeps on something else then
    if (!this.#mends && word.owner === 0) {
      this.#mends = Atomics.load(words, writing) !== 0;
      if (!this.#mends) {
        const guard = this.#lock.readAlong();
        this.#isFull = guard === undefined;
        if (guard !== undefined) return guard;
      }
    }
    // As in Alone: early, for who may not come to sleep.
    if (!this.#mends && ++this.#attempts === 2 && word.owner !== 0 && this.#lookAtWriter())
      return this.attempt();
    if (!this.#mends || !this.#alone.attempt()) return again;
    if (Atomics.load(words, writing) !== 0) return this.#lock.readAlone();
    // Somebody has mended it meanwhile.
    this.#alone.giveUp();
    this.#mends = false;
    return this.attempt();
  }

  beforeSleep(): Sleep | undefined {
    this.#how.begin();
    if (this.#mends) return this.#alone.beforeSleep();
    if (this.#isFull) return awaitSlot(this.#lock, 0);
    const { word } = this.#lock;
    // Nobody has it: readers are welcome, whatever the word says.
    return (word.state & ownerMask) === 0 ? undefined : word.await(this.#how);
  }

  look(byTime: boolean): boolean {
    this.#how.hasSlept = true;
    return !byTime || this.lookAtOnce();
  }

  lookAtOnce(): boolean {
    const { word } = this.#lock;
    if (this.#mends) return this.#alone.look();
    if ((word.state & ownerMask) === 0) return this.#mayFit();
    return this.#lookAtWriter();
  }

  /** Whether he has died, or let go. */
  #lookAtWriter(): boolean {
    if (!this.#alone.look()) return false;
    // One who died before he had the lock, or after he was done, has left nothing to mend.
    if (Atomics.load(this.#lock.words, this.#lock.writing) === 0) this.#alone.giveUp();
    this.#mends = this.#alone.hasWord;
    return true;
  }

  giveUp(): boolean {
    this.#alone.giveUp();
    return true;
  }

  /** Only who leaves the first slot wakes those for whom there was none. */
  #mayFit(): boolean {
    if (!this.#isFull) return true;
    const { slots: readers } = this.#lock;
    const anyDied = readers.clearDead();
    failpoint('rwlock.swept');
    return anyDied || readers.anyFree();
  }
}

/** For who sleeps until a slot comes free: undefined where it is. */
function awaitSlot({ slots, words }: RwLockParts, slot: number): Sleep | undefined {
  const index = slots.wordOf(slot);
  const there = Atomics.load(words, index);
  if (there === 0) return undefined;
  const value = there | waitedFor;
  if (value !== there && Atomics.compareExchange(words, index, there, value) !== there) return undefined;
  failpoint('rwlock.flagged');
  return { word: index, value };
}
