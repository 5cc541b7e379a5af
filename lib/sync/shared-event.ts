/**
 * An event in shared memory: set or not, and those who wait until it is. With `autoReset` each `set()` lets one of them go
 * on. It has no owners: its word is all there is to it, so nobody's death leaves it in between.
 */
import { checkBoolean, checkOptions } from '../internal/arguments.js';
import { construct } from '../internal/descriptor-object.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import type { SharedRegion } from '../internal/region.js';
import { again } from '../internal/turns.js';
import { checkTimeout, type SyncWaitOptions, timedOut, type WaitOptions } from '../internal/waiting.js';
import { everybody } from '../internal/word-waits.js';
import { autoResetFlag, kindWord, mutexBytes, stateWord } from './lock-layout.js';
import type { Waiting } from './lock-line.js';
import { type LockKind, LockMemory, type LockSite } from './lock-memory.js';
import { SharedLock } from './shared-lock.js';

/** What becomes of an event that somebody has seen. */
export interface SharedEventOptions {
  /** Each `set()` lets one wait go on, which clears it; false: it stays set, and all go on, until `clear()`. */
  autoReset?: boolean;
}

const manual: LockKind = { name: 'SharedEvent', bytes: mutexBytes, hasOwners: false };
const auto: LockKind = { ...manual, flags: autoResetFlag };
const call = 'wait';
const isSet = 1;
/** Whoever sets it wakes. */
const hasWaiters = 2;
/** The rest of the word counts how often it was set: who slept while it was set and cleared again knows by that. */
const oneSet = 4;
const setsOf = (state: number): number => state >>> 2;

/** An event in shared memory: set or not, and those who wait until it is. docs/locks.md */
export class SharedEvent extends SharedLock {
  /** Bytes that one takes: 16. */
  static readonly byteLength: number = mutexBytes;

  readonly #words: Int32Array;
  readonly #state: number;
  readonly #autoReset: boolean;

  /** @internal Use `SharedEvent.at`. */
  constructor(key: symbol, site: LockSite) {
    super(key, site);
    this.#words = site.words;
    this.#state = site.at + stateWord;
    this.#autoReset = site.kind === auto;
  }

  /**
   * The event in the 16 bytes at `offset` of any shared memory, also of System V; as zeros they are one that is not set. As
   * `Mutex.at`, and throws as that.
   */
  static at(memory: SharedRegion, offset: number, options?: SharedEventOptions): SharedEvent {
    const autoReset = checkBoolean(checkOptions(options).autoReset, 'options.autoReset', false);
    const kind = autoReset ? auto : manual;
    return LockMemory.lockAt(memory, offset, kind, undefined, (site) => new SharedEvent(construct, site));
  }

  /** Whether it is set now. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`. */
  get isSet(): boolean {
    this.#check();
    return (Atomics.load(this.#words, this.#state) & isSet) !== 0;
  }

  /** Whether each `set()` lets one wait go on, which clears it. */
  get autoReset(): boolean {
    return this.#autoReset;
  }

  /** Sets it: all who wait go on, or with `autoReset` one, now or when somebody comes. Throws as `isSet`. */
  set(): void {
    this.#check();
    const words = this.#words;
    let there: number;
    let next: number;
    do {
      there = Atomics.load(words, this.#state);
      if (this.#autoReset && (there & isSet) !== 0) return;
      // With auto-reset just one of them goes on: the others sleep still.
      next = ((there + oneSet) & -oneSet) | isSet | (this.#autoReset ? there & hasWaiters : 0);
    } while (Atomics.compareExchange(words, this.#state, there, next) !== there);
    failpoint('event.set');
    if ((there & hasWaiters) === 0) return;
    const woken = native.futexWake(this.site.mapping, this.#state * 4, this.#autoReset ? 1 : everybody);
    if (woken === 0) Atomics.compareExchange(words, this.#state, next, next & ~hasWaiters);
  }

  /** Whoever waits from now on waits for the next `set()`. Throws as `isSet`. */
  clear(): void {
    this.#check();
    Atomics.and(this.#words, this.#state, ~isSet);
  }

  /**
   * Waits until it is set.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `ERR_INTERPROC_CLOSED`; `ERR_INTERPROC_TRUNCATED`;
   *   `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  wait(options?: WaitOptions): Promise<void> {
    return this.line.run(this.#waiting(), options);
  }

  /** True if it is set, null if not, and while asynchronous calls wait. With `autoReset` it clears it. Throws as `wait` rejects. */
  tryWait(): true | null {
    this.#check();
    return this.line.idle && this.#take() ? true : null;
  }

  /** As `wait`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  waitSync(options?: SyncWaitOptions): void {
    this.line.checkFree();
    if (checkTimeout(options) > 0) this.line.runSync(this.#waiting(), options);
    else if (this.tryWait() === null) throw timedOut(call);
  }

  #waiting(): Waiting<void> {
    const since = setsOf(Atomics.load(this.#words, this.#state));
    return {
      call,
      attempt: () => (this.#take() || this.#wasSet(since) ? undefined : again),
      beforeSleep: () => {
        this.#check();
        const there = Atomics.or(this.#words, this.#state, hasWaiters);
        failpoint('event.flagged');
        const sleeps = (there & isSet) === 0 && !this.#wasSet(since);
        return sleeps ? { word: this.#state, value: there | hasWaiters } : undefined;
      },
      look: (byTime) =>
        !byTime || (Atomics.load(this.#words, this.#state) & isSet) !== 0 || this.#wasSet(since),
    };
  }

  /** Whether it was set since then: all who waited go on, also where it is cleared by now. */
  #wasSet(since: number): boolean {
    return !this.#autoReset && setsOf(Atomics.load(this.#words, this.#state)) !== since;
  }

  #take(): boolean {
    for (;;) {
      const there = Atomics.load(this.#words, this.#state);
      if ((there & isSet) === 0) {
        this.#checkWhole();
        return false;
      }
      if (!this.#autoReset) return true;
      if (Atomics.compareExchange(this.#words, this.#state, there, there & ~isSet) !== there) continue;
      failpoint('event.taken');
      return true;
    }
  }

  #check(): void {
    this.line.checkOpen();
    this.#checkWhole();
  }

  /** The zeros of a hole look like an event that is not set. */
  #checkWhole(): void {
    if (this.#words[this.site.at + kindWord] !== this.site.kindValue) LockMemory.checkThere(this.site);
  }
}
