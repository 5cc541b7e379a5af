/**
 * The word that says who has a lock: the state machine of a mutex (native/include/interproc.h, "locks"), which the writers
 * of an RwLock and who runs a Once use too. The changes are one compareExchange each, by the rules of lock-rules.ts.
 *
 * Whoever looks at a word owned by this env's own id sees another task of it, another object on the same lock, or a guard
 * that was dropped: it lives, as far as anybody can tell.
 */
import { IpcError } from '../errors.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import { again } from '../internal/turns.js';
import { everybody } from '../internal/word-waits.js';
import {
  kindWord,
  ourPid,
  ownerMask,
  patienceMs,
  pidOf,
  pidWord,
  ruined,
  starving,
  stateWord,
  waiters,
} from './lock-layout.js';
import type { Sleep, Waiting } from './lock-line.js';
import { aboutSite, LockMemory, type LockSite } from './lock-memory.js';
import { awaited, inherited, released, taken, type Wanting } from './lock-rules.js';

/** Who holds a lock. */
export interface LockHolder {
  /**
   * Of its process; null where that is in another pid namespace, such as another container's. Just after it was taken it
   * may still be that of the one before.
   */
  pid: number | null;
  /** False: it died, and the next one who locks is told so. */
  alive: boolean;
}

/** After so long who sleeps looks again; with a margin. */
const longestSleepMs = 100;
/** Of one whose turn it is not, but nobody else's. */
const outOfTurn: Wanting = { tries: true, hasSlept: false, isLate: false };
/** Not before those for whom it is kept. */
export const comesAnew: Wanting = { tries: false, hasSlept: false, isLate: false };

export class LockWord {
  readonly site: LockSite;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #wakes: number;
  /** When an attempt first found it free, but kept for others; 0: the last one did not. */
  #keptSince = 0;

  /** `wakes`: how many who sleep are woken when it comes free. */
  constructor(site: LockSite, wakes: number) {
    this.site = site;
    this.#words = site.words;
    this.#at = site.at + stateWord;
    this.#wakes = wakes;
  }

  get state(): number {
    return Atomics.load(this.#words, this.#at);
  }

  /** Who has it: an owner id, 0 for nobody. Throws `ERR_INTERPROC_NOT_RECOVERABLE`. */
  get owner(): number {
    const owner = this.state & ownerMask;
    if (owner === ruined) throw this.#notRecoverable();
    return owner;
  }

  /** Null for nobody, also where it is not recoverable. */
  get holder(): LockHolder | null {
    const owner = this.state & ownerMask;
    if (owner === 0 || owner === ruined) return null;
    const { words, at } = this.site;
    return { pid: pidOf(words[at + pidWord] as number), alive: LockMemory.isAlive(this.site, owner) };
  }

  /** Whether somebody of this env has it. */
  get isOurs(): boolean {
    return (this.state & ownerMask) === this.site.id;
  }

  /** Takes it if it is free. Throws `ERR_INTERPROC_NOT_RECOVERABLE`, and what is wrong with its memory. */
  take(how: Wanting): boolean {
    const words = this.#words;
    const at = this.#at;
    for (;;) {
      const there = Atomics.load(words, at);
      const mine = taken(there, this.site.id, how);
      if (mine === 0) {
        if ((there & ownerMask) === ruined) throw this.#notRecoverable();
        return false;
      }
      if (Atomics.compareExchange(words, at, there, mine) !== there) continue;
      failpoint('lock.taken');
      this.#describe();
      return true;
    }
  }

  /**
   * Takes it if it is free, and kept for nobody who has slept for it. Those may have died: what is kept for longer than
   * anybody sleeps is kept for nobody.
   */
  tryTake(): boolean {
    if (this.take(comesAnew)) return true;
    const there = this.state;
    const isKept = (there & ownerMask) === 0 && (there & starving) !== 0;
    const since = this.#keptSince;
    this.#keptSince = !isKept ? 0 : since === 0 ? performance.now() : since;
    return isKept && since !== 0 && performance.now() - since > longestSleepMs && this.take(outOfTurn);
  }

  /** Takes it from a dead owner: one system call. */
  inherit(): boolean {
    const there = this.state;
    const owner = there & ownerMask;
    if (owner === 0 || owner === ruined || LockMemory.isAlive(this.site, owner)) return false;
    const mine = inherited(there, this.site.id);
    if (Atomics.compareExchange(this.#words, this.#at, there, mine) !== there) return false;
    failpoint('lock.inherited');
    this.#describe();
    return true;
  }

  /** Lets go of it, and wakes who waits. REQUIRES that it is ours. */
  release(): void {
    const words = this.#words;
    const at = this.#at;
    let there: number;
    let free: number;
    do {
      there = Atomics.load(words, at);
      if ((there & ownerMask) !== this.site.id) return this.#lost();
      free = released(there);
    } while (Atomics.compareExchange(words, at, there, free) !== there);
    failpoint('lock.released');
    if ((there & waiters) === 0) return;
    const woken = this.#wake(this.#wakes);
    failpoint('lock.roused');
    // Reserved for nobody; but a newcomer may have gone to sleep meanwhile.
    if (free !== 0 && woken === 0 && Atomics.compareExchange(words, at, free, 0) === free) {
      this.#wake(this.#wakes);
    }
  }

  /**
   * For one who waits no more. It may have been its turn: a wake-up that it got, or a lock that is free for those who have
   * slept, is for another one.
   */
  giveUp(): void {
    const there = this.state;
    const wasReserved = (there & ownerMask) === 0 && (there & starving) !== 0;
    const freed = wasReserved && Atomics.compareExchange(this.#words, this.#at, there, 0) === there;
    failpoint('lock.given-up');
    if (freed || this.#wakes !== everybody) this.#wake(this.#wakes);
  }

  /** Nobody gets it any more. REQUIRES that it is ours. */
  ruin(): void {
    Atomics.store(this.#words, this.#at, ruined);
    failpoint('lock.ruined');
    this.#wake(everybody);
  }

  /** Takes it where nobody gets it any more. */
  takeRuined(): boolean {
    if (Atomics.compareExchange(this.#words, this.#at, ruined, this.site.id) !== ruined) return false;
    failpoint('lock.inherited');
    this.#describe();
    return true;
  }

  /** Ends that it is free for those who have slept only, and wakes all. */
  endTurn(): void {
    const there = this.state;
    if ((there & ownerMask) !== 0 || (there & starving) === 0) return;
    if (Atomics.compareExchange(this.#words, this.#at, there, 0) !== there) return;
    failpoint('lock.released');
    if ((there & waiters) !== 0) this.#wake(everybody);
  }

  /** For who tells that he sleeps: undefined where another attempt may have more luck. */
  await(how: Wanting): Sleep | undefined {
    const there = this.state;
    if ((there & ownerMask) === ruined || taken(there, this.site.id, how) !== 0) return undefined;
    const value = awaited(there, how);
    if (value !== there && Atomics.compareExchange(this.#words, this.#at, there, value) !== there)
      return undefined;
    failpoint('lock.flagged');
    return { word: this.#at, value };
  }

  /** After the words were changed. The zeros of a hole would look like a free lock. */
  #describe(): void {
    const { at, kindValue } = this.site;
    const words = this.#words;
    if (words[at + kindWord] !== kindValue) {
      Atomics.store(words, this.#at, 0);
      LockMemory.checkThere(this.site);
    }
    words[at + pidWord] = ourPid;
  }

  #wake(count: number): number {
    return native.futexWake(this.site.mapping, this.#at * 4, count);
  }

  /** Somebody else has written into it. */
  #lost(): void {
    LockMemory.checkThere(this.site);
    throw new IpcError(
      'ERR_INTERPROC_CORRUPT',
      `${aboutSite(this.site)} is corrupt: it was held here, and says that it was not`,
    );
  }

  #notRecoverable(): IpcError {
    return new IpcError(
      'ERR_INTERPROC_NOT_RECOVERABLE',
      `${aboutSite(this.site)} is not recoverable: a holder died, and the next one has unlocked it without recovered(); ` +
        'tryRepair() takes it, for who can make its data whole',
    );
  }
}

/** One who waits for a word. */
export class WordWanting implements Wanting {
  readonly tries = false;
  hasSlept = false;
  hasAsked = false;
  isLate = false;
  #since = 0;

  /** Whether it has not waited yet: it is not his turn. */
  get isNew(): boolean {
    return !this.hasAsked && !this.hasSlept;
  }

  /** Before it sleeps on it. The clock is not asked before it has slept in vain: it costs as much as half a hand-over. */
  begin(): void {
    this.hasAsked = true;
    if (!this.hasSlept || this.isLate) return;
    if (this.#since === 0) this.#since = performance.now();
    else this.isLate = performance.now() - this.#since > patienceMs;
  }
}

/** Waits for a word; what `made` gives of it is the result. */
export class WordWaiting<T> implements Waiting<T> {
  readonly call: string;
  readonly #word: LockWord;
  readonly #looksEarly: boolean;
  readonly #made: (abandoned: boolean) => T;
  readonly #how = new WordWanting();
  #attempts = 0;
  #inherited = false;

  /** `looksEarly`: whether its second attempt looks for a death, for who may not come to sleep. */
  constructor(call: string, word: LockWord, looksEarly: boolean, made: (abandoned: boolean) => T) {
    this.call = call;
    this.#word = word;
    this.#looksEarly = looksEarly;
    this.#made = made;
  }

  attempt(): T | typeof again {
    if (!this.#inherited && this.#word.take(this.#how)) return this.#made(false);
    if (++this.#attempts === 2 && this.#looksEarly) this.#inherited ||= this.#word.inherit();
    return this.#inherited ? this.#made(true) : again;
  }

  beforeSleep(): Sleep | undefined {
    this.#how.begin();
    return this.#word.await(this.#how);
  }

  look(byTime: boolean): boolean {
    this.#how.hasSlept = true;
    if (!byTime) return true;
    const { state } = this.#word;
    if (taken(state, this.#word.site.id, this.#how) !== 0 || (state & ownerMask) === ruined) return true;
    this.#inherited ||= this.#word.inherit();
    return this.#inherited;
  }

  giveUp(): boolean {
    if (this.#inherited) return false;
    if (!this.#how.isNew) this.#word.giveUp();
    return true;
  }
}
