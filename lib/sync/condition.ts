/**
 * A condition variable in shared memory, with a mutex beside it. Each env that waits has a slot, which says how many of it
 * wait and how many of those were notified; a notification goes to one env after the other.
 *
 *   wait     enters its slot (waiting + 1), unlocks the mutex, sleeps until notified > 0, locks the mutex again, and only then
 *            takes itself off (waiting - 1, notified - 1)
 *   notify   notified + 1 where that is below waiting, in the next slot that has such
 *
 * So a notification that a dead one had not used yet still stands in its slot: whoever waits besides passes it on. What it
 * used, it held the mutex for, which is abandoned then.
 */
import { IpcError } from '../errors.js';
import { construct } from '../internal/descriptor-object.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import type { SharedRegion } from '../internal/region.js';
import { again } from '../internal/turns.js';
import { checkTimeout, type SyncWaitOptions, type WaitOptions } from '../internal/waiting.js';
import { everybody } from '../internal/word-waits.js';
import { about, lockOf, notHeld } from './guard.js';
import { otherWord, ownerMask, stateWord } from './lock-layout.js';
import type { Sleep, Waiting } from './lock-line.js';
import { aboutSite, type LockKind, LockMemory, type LockOptions, type LockSite } from './lock-memory.js';
import { checkFree, checkMutexGuard, lockAgain, lockAgainSync, type MutexGuard } from './mutex.js';
import { fullFence, OwnerSlots } from './owner-slots.js';
import { SharedLock } from './shared-lock.js';

const slots = { first: 8, count: 124, stride: 2 };
const bytes = 4 * (slots.first + slots.stride * slots.count);
const kind: LockKind = { name: 'Condition', bytes, hasOwners: true };
const call = 'wait';
/** Of the second word of a slot: how many wait is in its upper half, how many of those were notified in the lower one. */
const oneWaits = 0x1_0000;
const mostWaiting = 0x7fff;

const waitingOf = (counts: number): number => counts >>> 16;
const notifiedOf = (counts: number): number => counts & 0xffff;

/**
 * A condition variable in shared memory: waits, with a mutex unlocked meanwhile, until the data that the mutex guards
 * is as wanted. docs/locks.md
 */
export class Condition extends SharedLock {
  /** Bytes that one takes: 1024. */
  static readonly byteLength: number = bytes;
  /** In so many processes and threads somebody can wait at once. */
  static readonly maxWaiters: number = slots.count;

  readonly #words: Int32Array;
  readonly #slots: OwnerSlots;
  readonly #next: number;
  readonly #sweeper: number;
  #slot = -1;
  /** Of those notified here, who has not taken himself off yet. */
  #used = 0;

  /** @internal Use `Condition.at`. */
  constructor(key: symbol, site: LockSite) {
    super(key, site);
    this.#words = site.words;
    this.#slots = new OwnerSlots(site, slots);
    this.#next = site.at + stateWord;
    this.#sweeper = site.at + otherWord;
  }

  /** The condition in the 1024 bytes at `offset` of shared memory; as zeros they are one for which nobody waits. As `Mutex.at`, and throws as that. */
  static at(memory: SharedRegion, offset: number, options?: LockOptions): Condition {
    return LockMemory.lockAt(memory, offset, kind, options, (site) => new Condition(construct, site));
  }

  /**
   * Unlocks the mutex, waits until it is notified, and locks it again: `held` has it whenever the promise is settled, however
   * long that takes, unless the mutex itself is lost. It may end for nothing, so look at what is waited for, and wait again.
   * `held.abandoned` may be true afterwards. man 3 pthread_cond_wait.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `ERR_INTERPROC_NOT_HELD`; `ERR_INTERPROC_BUSY` where 124 processes and
   *   threads wait; `ERR_INTERPROC_CLOSED`; `ERR_INTERPROC_NOT_RECOVERABLE`; `ERR_INTERPROC_TRUNCATED`,
   *   `ERR_INTERPROC_NO_SPACE`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  async wait(held: MutexGuard, options?: WaitOptions): Promise<void> {
    const guard = checkHeld(held);
    checkTimeout(options);
    this.#register();
    try {
      guard.unlock();
      failpoint('condition.parted');
    } catch (error) {
      this.#takeOff(false);
      throw error;
    }
    let notified = false;
    try {
      await this.line.run(this.#waiting(), options);
      notified = true;
    } finally {
      try {
        await guard[lockOf][lockAgain](guard);
        failpoint('condition.relocked');
      } finally {
        this.#takeOff(notified);
      }
    }
  }

  /** As `wait`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait for the condition or the mutex. */
  waitSync(held: MutexGuard, options?: SyncWaitOptions): void {
    const guard = checkHeld(held);
    checkTimeout(options);
    this.line.checkFree();
    guard[lockOf][checkFree]();
    this.#register();
    let notified = false;
    try {
      guard.unlock();
      failpoint('condition.parted');
      try {
        this.line.runSync(this.#waiting(), options);
        notified = true;
      } finally {
        guard[lockOf][lockAgainSync](guard);
        failpoint('condition.relocked');
      }
    } finally {
      this.#takeOff(notified);
    }
  }

  /**
   * Ends the wait of one who waits, if there is one; with the mutex locked or without it. Returns how many it has notified: 0
   * or 1. man 3 pthread_cond_signal. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`.
   */
  notifyOne(): number {
    this.#checkOpen();
    return this.#notify(1);
  }

  /** Ends the waits of all who wait. As `notifyOne`. man 3 pthread_cond_broadcast. */
  notifyAll(): number {
    this.#checkOpen();
    return this.#notify(Number.POSITIVE_INFINITY);
  }

  /** How many wait now, of all processes. Throws `ERR_INTERPROC_CLOSED`. */
  get waiting(): number {
    this.#checkOpen();
    let count = 0;
    for (let slot = 0; slot < this.#slots.count; slot++) count += waitingOf(this.#countsOf(slot));
    return count;
  }

  /** @internal */
  override end(): void {
    super.end();
    // This env may live on in the same file, through another region: nobody else would free what it had.
    if (this.#slot >= 0) this.#closeSlot(this.#slot);
    this.#slot = -1;
  }

  #checkOpen(): void {
    this.line.checkOpen();
    LockMemory.checkThere(this.site);
  }

  /** One more waits. REQUIRES the mutex: whoever notifies with it finds him. */
  #register(): void {
    this.#checkOpen();
    if (this.#slot < 0) this.#slot = this.#claim();
    for (let counts = this.#countsOf(this.#slot); ; counts = this.#countsOf(this.#slot)) {
      if (waitingOf(counts) >= mostWaiting) throw this.#full(`${mostWaiting} tasks of this thread`);
      if (this.#change(this.#slot, counts, counts + oneWaits)) break;
    }
    failpoint('condition.registered');
  }

  #claim(): number {
    let slot = this.#slots.claim();
    if (slot < 0 && this.#sweep()) slot = this.#slots.claim();
    if (slot < 0) throw this.#full(`tasks of ${slots.count} processes or threads`);
    failpoint('condition.joined');
    return slot;
  }

  /** One less waits: with his notification, or, where there are as many as wait, with one that he was given late. */
  #takeOff(notified: boolean): void {
    if (notified) this.#used--;
    for (
      let counts = this.#countsOf(this.#slot);
      waitingOf(counts) > 0;
      counts = this.#countsOf(this.#slot)
    ) {
      const less = notified ? oneWaits + Math.min(1, notifiedOf(counts)) : oneWaits;
      if (this.#change(this.#slot, counts, counts - less)) {
        failpoint('condition.used');
        this.#passOn(counts - less);
        break;
      }
    }
    if (this.#slot >= 0 && this.#countsOf(this.#slot) === 0 && this.line.idle) this.#leaveSlot();
  }

  /** What was given to one who had given up is for another one. Passed on before it is struck off: rather twice than never. */
  #passOn(counts: number): void {
    if (notifiedOf(counts) <= waitingOf(counts)) return;
    this.#notify(1);
    failpoint('condition.handed-on');
    this.#change(this.#slot, counts, counts - 1);
  }

  /** Nobody here waits any more: others may have the place. */
  #leaveSlot(): void {
    this.#slots.leave(this.#slot);
    this.#slot = -1;
  }

  #waiting(): Waiting<void> {
    return {
      call,
      attempt: () => {
        if (notifiedOf(this.#countsOf(this.#slot)) <= this.#used) return again;
        this.#used++;
        failpoint('condition.notified');
        return undefined;
      },
      beforeSleep: () => this.#await(),
      look: (byTime) => {
        if (byTime && this.#sweep()) failpoint('condition.swept');
        return !byTime || notifiedOf(this.#countsOf(this.#slot)) > this.#used;
      },
      giveUp: () => notifiedOf(this.#countsOf(this.#slot)) <= this.#used,
    };
  }

  #await(): Sleep | undefined {
    const value = this.#countsOf(this.#slot);
    LockMemory.checkThere(this.site);
    return notifiedOf(value) > this.#used ? undefined : { word: this.#countsWord(this.#slot), value };
  }

  /** Notifies so many, as far as there are such, from the one on that comes after the last one; how many it has. */
  #notify(most: number): number {
    const { count } = this.#slots;
    const from = (Atomics.load(this.#words, this.#next) >>> 0) % count;
    let notified = 0;
    fullFence();
    for (let tried = 0; tried < count && notified < most; tried++) {
      const slot = (from + tried) % count;
      if (this.#words[this.#countsWord(slot)] === 0) continue; // a plain load: most are empty
      for (let counts = this.#countsOf(slot); ; counts = this.#countsOf(slot)) {
        const more = Math.min(waitingOf(counts) - notifiedOf(counts), most - notified);
        if (more <= 0) break;
        if (!this.#change(slot, counts, counts + more)) continue;
        failpoint('condition.counted');
        Atomics.store(this.#words, this.#next, slot + 1);
        this.#wake(slot);
        notified += more;
        break;
      }
    }
    return notified;
  }

  /** Passes on what the dead were notified of, and frees their slots; whether there were any. */
  #sweep(): boolean {
    const dead = [...Array(this.#slots.count).keys()].filter((slot) => this.#slots.isDead(slot));
    if (dead.length === 0 || !this.#startSweeping()) return false;
    try {
      for (const slot of dead) this.#bury(slot);
    } finally {
      Atomics.compareExchange(this.#words, this.#sweeper, this.site.id, 0);
    }
    return true;
  }

  /** One at a time: what is said of a slot must not be of the one before. */
  #startSweeping(): boolean {
    const { site } = this;
    const there = Atomics.load(this.#words, this.#sweeper);
    if (there !== 0 && (there === site.id || LockMemory.isAlive(site, there & ownerMask))) return false;
    const swept = Atomics.compareExchange(this.#words, this.#sweeper, there, site.id) === there;
    if (swept) failpoint('condition.sweeping');
    return swept;
  }

  /** REQUIRES to be the one who sweeps. */
  #bury(slot: number): void {
    if (this.#slots.isDead(slot)) this.#closeSlot(slot); // else another one has been here before
  }

  /**
   * Frees a slot that is used no more, and passes on what it was notified of, before that is struck off: rather twice than
   * never. REQUIRES that nobody else does.
   */
  #closeSlot(slot: number): void {
    const owner = this.#slots.get(slot);
    let counts = this.#countsOf(slot);
    // Nobody notifies it from now on.
    while (!this.#change(slot, counts, waitingOf(counts) * oneWaits + waitingOf(counts))) {
      counts = this.#countsOf(slot);
    }
    failpoint('condition.closed');
    this.#notify(notifiedOf(counts));
    failpoint('condition.passed');
    Atomics.store(this.#words, this.#countsWord(slot), 0);
    this.#slots.clear(slot, owner);
  }

  #countsWord(slot: number): number {
    return this.#slots.wordOf(slot) + 1;
  }

  #countsOf(slot: number): number {
    return slot < 0 ? 0 : Atomics.load(this.#words, this.#countsWord(slot));
  }

  #change(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, this.#countsWord(slot), from, to) === from;
  }

  #wake(slot: number): void {
    native.futexWake(this.site.mapping, this.#countsWord(slot) * 4, everybody);
  }

  #full(who: string): IpcError {
    return new IpcError(
      'ERR_INTERPROC_BUSY',
      `${aboutSite(this.site)} is waited for by ${who}, and no more can`,
    );
  }
}

function checkHeld(held: unknown): MutexGuard {
  checkMutexGuard(held);
  if (held.released) throw notHeld(held[lockOf][about]);
  return held;
}
