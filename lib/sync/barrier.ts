/**
 * A barrier in shared memory: a number of parties wait for each other, over and over. Its round is one word:
 *
 *    31       30                    16 15                     0
 *   +--------+------------------------+------------------------+
 *   | broken | number of the round    | how many have arrived  |
 *   +--------+------------------------+------------------------+
 *
 * A second word has the last round that ended broken, with that bit: who wakes up late must not take a reset for all having
 * arrived.
 *
 * Whoever has it open takes part and stands in a slot, from the first moment to the last: so it is noticed when a party dies,
 * also where it would have arrived only later.
 */
import { IpcError } from '../errors.js';
import { checkInteger, checkOptions } from '../internal/arguments.js';
import { construct } from '../internal/descriptor-object.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import type { SharedRegion } from '../internal/region.js';
import { again } from '../internal/turns.js';
import { checkTimeout, type SyncWaitOptions, timedOut, type WaitOptions } from '../internal/waiting.js';
import { everybody } from '../internal/word-waits.js';
import { otherWord, pidWord, stateWord } from './lock-layout.js';
import type { Waiting } from './lock-line.js';
import { aboutSite, type LockKind, LockMemory, type LockOptions, type LockSite } from './lock-memory.js';
import { OwnerSlots } from './owner-slots.js';
import { SharedLock } from './shared-lock.js';

/** How many take part, and whether deaths are noticed. */
export interface BarrierOptions extends LockOptions {
  /** How many have to arrive: 1 to 65,535. All who open the barrier have to agree on it. */
  parties: number;
}

const slots = { first: 4, count: 124, stride: 1 };
const bytes = 4 * (slots.first + slots.count);
const kind: LockKind = { name: 'Barrier', bytes, hasOwners: true };
const call = 'wait';
const mostParties = 0xffff;
const broken = -0x8000_0000;
const arrivedMask = 0xffff;
const roundMask = 0x7fff_0000;
const oneRound = 0x1_0000;

const arrivedIn = (round: number): number => round & arrivedMask;
const isBroken = (round: number): boolean => (round & broken) !== 0;
/** The next one, in which nobody has arrived. */
const after = (round: number): number => (round + oneRound) & roundMask;
const sameRound = (a: number, b: number): boolean => (a & roundMask) === (b & roundMask);
/** What the second word says of a round that was reset. */
const resetOf = (round: number): number => (round & roundMask) | broken;

/** Of a barrier that nobody has left: its slot is freed when it is collected. */
const collected = new FinalizationRegistry<() => void>((leave) => leave());

/**
 * A barrier in shared memory: a number of parties wait for each other, over and over. When one dies it is broken, and
 * all are told. docs/locks.md
 */
export class Barrier extends SharedLock {
  /** Bytes that one takes: 512. */
  static readonly byteLength: number = bytes;
  /** So many processes and threads can take part, each with any number of parties. */
  static readonly maxParticipants: number = slots.count;

  readonly #parties: number;
  readonly #words: Int32Array;
  readonly #round: number;
  readonly #lastReset: number;
  readonly #slots: OwnerSlots;
  readonly #leaveSlot: () => void;
  #left = false;

  /** @internal Use `Barrier.at`. */
  constructor(key: symbol, site: LockSite, parties: number) {
    super(key, site);
    this.#parties = parties;
    this.#words = site.words;
    this.#round = site.at + stateWord;
    this.#lastReset = site.at + pidWord;
    this.#slots = new OwnerSlots(site, slots);
    this.#agree();
    this.#startAfresh();
    this.#leaveSlot = join(site, this.#slots);
    collected.register(this, this.#leaveSlot, this);
    failpoint('barrier.joined');
  }

  /**
   * The barrier in the 512 bytes at `offset` of shared memory; as zeros they are a new one. This process or thread takes part
   * from now on, until `leave()` or its end: one that ends otherwise breaks the barrier. Where all others are dead it starts
   * afresh.
   *
   * @throws `ERR_INTERPROC_MISMATCH` also for another number of parties; `ERR_INTERPROC_BUSY` where 124 processes and threads
   *   take part; and as `Mutex.at`.
   */
  static at(memory: SharedRegion, offset: number, options: BarrierOptions): Barrier {
    const parties = checkInteger(checkOptions(options, true).parties, 'options.parties', 1, mostParties);
    const barrier = LockMemory.lockAt(
      memory,
      offset,
      kind,
      options,
      (site) => new Barrier(construct, site, parties),
    );
    barrier.#checkParties(parties);
    return barrier;
  }

  /**
   * Arrives, and waits until all have. Who gives up by a timeout or a signal has not arrived.
   *
   * @returns True for one of them, the last to arrive.
   * @throws (rejects with) `ERR_INTERPROC_BROKEN` where a party has died, until `reset()`; `ETIMEDOUT`; `AbortError`;
   *   `ERR_INTERPROC_CLOSED`, also after `leave()`; `ERR_INTERPROC_TRUNCATED`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  wait(options?: WaitOptions): Promise<boolean> {
    return this.line.run(this.#waiting(), options);
  }

  /** Arrives if it is the last one, and gives true; else null, and it has not arrived. Throws as `wait` rejects. */
  tryWait(): true | null {
    this.line.checkOpen();
    for (;;) {
      const round = this.#load();
      if (arrivedIn(round) + 1 < this.#parties) return this.#lookForDeaths() ? this.tryWait() : null;
      if (this.#arrive(round)) return true;
    }
  }

  /** As `wait`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  waitSync(options?: SyncWaitOptions): boolean {
    this.line.checkFree();
    if (checkTimeout(options) > 0) return this.line.runSync(this.#waiting(), options);
    if (this.tryWait() === null) throw timedOut(call);
    return true;
  }

  /**
   * Makes a barrier whole of which a party has died: with those who are left, in a new round; whoever waits hears that it was
   * broken. Where all live it does nothing.
   */
  reset(): void {
    this.line.checkOpen();
    for (;;) {
      const lastReset = Atomics.load(this.#words, this.#lastReset);
      const round = Atomics.load(this.#words, this.#round);
      LockMemory.checkThere(this.site);
      if (!isBroken(round)) {
        // Those who wait in this round have to hear of a death, too.
        if (this.#lookForDeaths()) continue;
        return;
      }
      // Another one may have reset it meanwhile: who has died since then breaks the new round.
      this.#slots.clearDead(() => Atomics.load(this.#words, this.#round) === round);
      failpoint('barrier.cleared');
      const told = Atomics.compareExchange(this.#words, this.#lastReset, lastReset, resetOf(round));
      if (told !== lastReset) continue;
      failpoint('barrier.told');
      if (Atomics.compareExchange(this.#words, this.#round, round, after(round)) === round) break;
    }
    failpoint('barrier.renewed');
    this.#wake();
  }

  /** Takes part no more; waits of this process or thread end in `ERR_INTERPROC_CLOSED`. Again does nothing. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.site.memory.forget(this);
    this.end();
  }

  /** How many have to arrive. */
  get parties(): number {
    return this.#parties;
  }

  /** How many have arrived in this round. Throws `ERR_INTERPROC_CLOSED`. */
  get arrived(): number {
    this.line.checkOpen();
    return arrivedIn(Atomics.load(this.#words, this.#round));
  }

  /** Whether a party has died, as far as somebody has looked. Throws `ERR_INTERPROC_CLOSED`. */
  get broken(): boolean {
    this.line.checkOpen();
    return isBroken(Atomics.load(this.#words, this.#round));
  }

  /** @internal */
  override end(): void {
    super.end();
    collected.unregister(this);
    failpoint('barrier.leaving');
    this.#leaveSlot();
    failpoint('barrier.left');
  }

  #waiting(): Waiting<boolean> {
    /** The round in which it has arrived. */
    let mine: number | undefined;
    let isLast = false;
    const arrive = () => {
      while (mine === undefined) {
        const round = this.#load();
        if (!this.#arrive(round)) continue;
        mine = round;
        isLast = arrivedIn(round) + 1 >= this.#parties;
      }
      return mine;
    };
    return {
      call,
      // Also one who stands behind others in the line of this env has arrived.
      begin: arrive,
      attempt: () => {
        const since = arrive();
        if (isLast) return true;
        const round = Atomics.load(this.#words, this.#round);
        // The zeros of a hole look like another round.
        if (!LockMemory.isThere(this.site)) LockMemory.checkThere(this.site);
        const isNow = sameRound(round, since);
        if (isNow ? isBroken(round) : this.#wasReset(since)) throw this.#brokenError();
        return isNow ? again : false;
      },
      beforeSleep: () => {
        const value = Atomics.load(this.#words, this.#round);
        LockMemory.checkThere(this.site);
        return this.#isOver(mine) ? undefined : { word: this.#round, value };
      },
      look: (byTime) => !byTime || this.#lookForDeaths() || this.#isOver(mine),
      giveUp: () => mine === undefined || (!isLast && this.#withdraw(mine)),
    };
  }

  /** Instead of opened. Of a round that is over: the word was written before. */
  #wasReset(round: number): boolean {
    return Atomics.load(this.#words, this.#lastReset) === resetOf(round);
  }

  #isOver(mine: number | undefined): boolean {
    const round = Atomics.load(this.#words, this.#round);
    return mine === undefined || !sameRound(round, mine) || isBroken(round);
  }

  /** False where others have changed it meanwhile. */
  #arrive(round: number): boolean {
    if (isBroken(round)) throw this.#brokenError();
    const isLast = arrivedIn(round) + 1 >= this.#parties;
    // Who has arrived may have died since, when nobody was there who would have looked.
    if (isLast && this.#lookForDeaths()) throw this.#brokenError();
    const next = isLast ? after(round) : round + 1;
    if (Atomics.compareExchange(this.#words, this.#round, round, next) !== round) return false;
    failpoint(isLast ? 'barrier.opened' : 'barrier.arrived');
    if (!isLast) return true;
    this.#wake();
    this.line.serve();
    return true;
  }

  /** False where it is over: all have arrived. */
  #withdraw(mine: number): boolean {
    for (;;) {
      const round = Atomics.load(this.#words, this.#round);
      if (!sameRound(round, mine)) return false;
      if (isBroken(round) || arrivedIn(round) === 0) return true;
      if (Atomics.compareExchange(this.#words, this.#round, round, round - 1) !== round) continue;
      failpoint('barrier.withdrawn');
      return true;
    }
  }

  /** Breaks the barrier if a party has died; whether it has. */
  #lookForDeaths(): boolean {
    for (let slot = 0; slot < this.#slots.count; slot++) {
      // Before the look: a death that reset() has dealt with since breaks nothing again.
      let round = Atomics.load(this.#words, this.#round);
      while (this.#slots.isDead(slot)) {
        if (isBroken(round)) return true;
        const there = Atomics.compareExchange(this.#words, this.#round, round, round | broken);
        if (there !== round) {
          round = there;
          continue;
        }
        failpoint('barrier.broken');
        this.#wake();
        return true;
      }
    }
    return false;
  }

  /** Where all who took part are dead, what they left is over. */
  #startAfresh(): void {
    for (;;) {
      const round = Atomics.load(this.#words, this.#round);
      if (this.#slots.anyAlive()) return;
      if (!this.#slots.clearDead() && !isBroken(round) && arrivedIn(round) === 0) return;
      failpoint('barrier.emptied');
      // Who has arrived since, or has done this before, has changed it.
      if (Atomics.compareExchange(this.#words, this.#round, round, after(round)) === round) return;
    }
  }

  #agree(): void {
    Atomics.compareExchange(this.#words, this.site.at + otherWord, 0, this.#parties);
    this.#checkParties(this.#parties);
  }

  #checkParties(parties: number): void {
    const there = Atomics.load(this.#words, this.site.at + otherWord);
    if (there === parties) return;
    throw new IpcError(
      'ERR_INTERPROC_MISMATCH',
      `${aboutSite(this.site)} was made for ${there} parties, not ${parties}`,
    );
  }

  #load(): number {
    const round = Atomics.load(this.#words, this.#round);
    LockMemory.checkThere(this.site);
    if (isBroken(round)) throw this.#brokenError();
    return round;
  }

  #wake(): void {
    native.futexWake(this.site.mapping, this.#round * 4, everybody);
  }

  #brokenError(): IpcError {
    return new IpcError(
      'ERR_INTERPROC_BROKEN',
      `${aboutSite(this.site)} is broken: a party has died; reset() makes it whole`,
    );
  }
}

/** Enters this env; what it returns frees its slot, once. */
function join(site: LockSite, places: OwnerSlots): () => void {
  const slot = places.claim();
  if (slot < 0) {
    throw new IpcError(
      'ERR_INTERPROC_BUSY',
      `${aboutSite(site)} has ${places.count} processes and threads that take part, and no more fit`,
    );
  }
  return () => void places.clear(slot, site.id);
}
