/**
 * A mutex in shared memory: one at a time, of all tasks of all processes. When its holder dies, the next one gets it, and
 * is told. What its words are: lock-word.ts, and native/include/interproc.h, which has the same mutex for C.
 */
import { IpcError } from '../errors.js';
import { invalidType } from '../internal/arguments.js';
import { construct } from '../internal/descriptor-object.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import { Patience } from '../internal/patience.js';
import type { SharedRegion } from '../internal/region.js';
import { checkTimeout, type SyncWaitOptions, timedOut, type WaitOptions } from '../internal/waiting.js';
import { about, type Guarded, LockGuard, letGo, lockOf, notHeld, takenAgain } from './guard.js';
import { kindWord, mutexBytes, ourPid, pidWord, stateWord } from './lock-layout.js';
import { aboutSite, type LockKind, LockMemory, type LockOptions, type LockSite } from './lock-memory.js';
import { type LockHolder, LockWord, WordWaiting } from './lock-word.js';
import { SharedLock } from './shared-lock.js';

/** What conditions need of a mutex. */
export const lockAgain: unique symbol = Symbol('lockAgain');
export const checkFree: unique symbol = Symbol('checkFree');
export const lockAgainSync: unique symbol = Symbol('lockAgainSync');

const kind: LockKind = { name: 'Mutex', bytes: mutexBytes, hasOwners: true };
const call = 'lock';
const pidAfterKind = pidWord - kindWord;

/** The right to what a mutex guards, until it is unlocked. */
export type MutexGuard = LockGuard<Mutex>;

/**
 * A mutex in shared memory: one at a time, of all tasks of all processes. When its holder dies the next one gets it,
 * and is told. docs/locks.md
 */
export class Mutex extends SharedLock implements Guarded {
  /** Bytes that one takes: 16. */
  static readonly byteLength: number = mutexBytes;

  readonly #words: Int32Array;
  readonly #state: number;
  readonly #id: number;
  readonly #kindValue: number;
  readonly #kindWord: number;
  readonly #word: LockWord;
  readonly #yielding = new Patience(1);
  #holder: MutexGuard | undefined;

  /** @internal Use `Mutex.at`. */
  constructor(key: symbol, site: LockSite) {
    super(key, site);
    this.#words = site.words;
    this.#state = site.at + stateWord;
    this.#id = site.id;
    this.#kindValue = site.kindValue;
    this.#kindWord = site.at + kindWord;
    this.#word = new LockWord(site, 1);
  }

  /**
   * The mutex in the 16 bytes at `offset` of shared memory; as zeros they are a free one. Closing `memory` closes it.
   *
   * @param memory What has a descriptor (`SharedMemory`, `MappedFile`, a window of one), and was not opened read-only; with
   *   `{ recovery: false }` also `SysvSharedMemory`.
   * @param offset Bytes from the start of `memory`, a multiple of 8.
   * @throws `ERR_INTERPROC_NO_LIVENESS`; `ERR_INTERPROC_OVERLAP` with another lock of this process;
   *   `ERR_INTERPROC_MISMATCH` where something else lies; `ERR_INTERPROC_READ_ONLY`; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INTERPROC_TRUNCATED`; `EACCES` for another user's memfd; `EMFILE`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  static at(memory: SharedRegion, offset: number, options?: LockOptions): Mutex {
    return LockMemory.lockAt(memory, offset, kind, options, (site) => new Mutex(construct, site));
  }

  /**
   * Waits until nobody else has it, and takes it.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `ERR_INTERPROC_NOT_RECOVERABLE`; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INTERPROC_TRUNCATED`, `ERR_INTERPROC_NO_SPACE`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  lock(options?: WaitOptions): Promise<MutexGuard> {
    // Without the line it takes half as long.
    if (options === undefined && this.line.servesAtOnce) {
      try {
        const isFree = Atomics.compareExchange(this.#words, this.#state, 0, this.#id) === 0;
        if (isFree) return Promise.resolve(this.#taken());
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.line.run(this.#waiting(true), options);
  }

  /**
   * Takes it if nobody has it, or its holder is dead (one system call); else gives null, also while calls of `lock()` wait.
   * Throws as `lock` rejects.
   */
  tryLock(): MutexGuard | null {
    if (this.line.idle && Atomics.compareExchange(this.#words, this.#state, 0, this.#id) === 0) {
      return this.#taken();
    }
    return this.#tryAgain();
  }

  /**
   * As `lock`, blocking the calling thread. Throws `ERR_INTERPROC_DEADLOCK` where a task of this thread has it, which could
   * never unlock; `ERR_INTERPROC_BUSY` while calls of `lock()` wait; and as `lock` rejects.
   */
  lockSync(options?: SyncWaitOptions): MutexGuard {
    if (options === undefined && this.line.idle) {
      if (Atomics.compareExchange(this.#words, this.#state, 0, this.#id) === 0) return this.#taken();
      // Who has it may have no other processor, and be done in a moment.
      if (this.#yielding.worthwhile) {
        native.yieldProcessor();
        const isFree = Atomics.compareExchange(this.#words, this.#state, 0, this.#id) === 0;
        this.#yielding.tell(isFree);
        if (isFree) return this.#taken();
      }
    }
    return this.#lockSlowly(options);
  }

  /** As `held.unlock()`. Throws `ERR_INTERPROC_NOT_HELD` where that is not the guard that has it. */
  unlock(held: MutexGuard): void {
    checkMutexGuard(held);
    if (this.#holder !== held) throw notHeld(this[about]);
    held.unlock();
  }

  /**
   * The guard of a mutex that is not recoverable, for who can make its data whole; `abandoned` is true. Null where it is
   * not in that state.
   */
  tryRepair(): MutexGuard | null {
    this.line.checkOpen();
    return this.#word.takeRuined() ? this.#made(true) : null;
  }

  /** Who has it now, as far as that is known; for display. Null for nobody. One system call. Throws `ERR_INTERPROC_CLOSED`. */
  get holder(): LockHolder | null {
    this.line.checkOpen();
    return this.#word.holder;
  }

  /** @internal */
  override get isHeld(): boolean {
    return this.#holder !== undefined;
  }

  /** @internal */
  [letGo](_guard: LockGuard, recovered: boolean): void {
    this.#holder = undefined;
    failpoint('lock.releasing');
    if (!recovered) this.#word.ruin();
    else if (Atomics.compareExchange(this.#words, this.#state, this.#id, 0) !== this.#id)
      this.#word.release();
    else failpoint('lock.released');
    if (!this.line.idle) this.line.serve();
  }

  /** @internal */
  get [about](): string {
    return aboutSite(this.site);
  }

  /** @internal Gives it to a guard that has let go of it. However long that takes. */
  [lockAgain](guard: MutexGuard): Promise<void> {
    return this.line.run(this.#waitingFor(guard, true), undefined);
  }

  /** @internal As lockAgain, blocking the calling thread. */
  [lockAgainSync](guard: MutexGuard): void {
    this.line.runNow(this.#waitingFor(guard, false));
  }

  /** @internal Throws `ERR_INTERPROC_BUSY` where asynchronous calls wait: what is unlocked is theirs. */
  [checkFree](): void {
    this.line.checkFree();
  }

  #waiting(looksEarly: boolean): WordWaiting<MutexGuard> {
    return new WordWaiting(call, this.#word, looksEarly, (abandoned) => this.#made(abandoned));
  }

  #waitingFor(guard: MutexGuard, looksEarly: boolean): WordWaiting<void> {
    return new WordWaiting(call, this.#word, looksEarly, (abandoned) => {
      this.#holder = guard;
      guard[takenAgain](abandoned);
    });
  }

  /** After the two words have changed; the zeros of a hole would look like a free one. */
  #taken(): MutexGuard {
    failpoint('lock.taken');
    const words = this.#words;
    const kindAt = this.#kindWord;
    if (words[kindAt] !== this.#kindValue) this.#hole();
    words[kindAt + pidAfterKind] = ourPid;
    return this.#made(false);
  }

  #hole(): void {
    Atomics.store(this.#words, this.#state, 0);
    this.line.checkOpen();
    LockMemory.checkThere(this.site);
  }

  #made(abandoned: boolean): MutexGuard {
    const guard = new LockGuard<Mutex>(this, abandoned);
    this.#holder = guard;
    return guard;
  }

  #tryAgain(): MutexGuard | null {
    this.line.checkOpen();
    if (!this.line.idle) return null;
    if (this.#word.tryTake()) return this.#made(false);
    return this.#word.inherit() ? this.#made(true) : null;
  }

  #lockSlowly(options: SyncWaitOptions | undefined): MutexGuard {
    this.line.checkFree();
    if (this.#word.isOurs) {
      throw new IpcError(
        'ERR_INTERPROC_DEADLOCK',
        `${aboutSite(this.site)} is held by a task of this thread, which could not unlock while lockSync() waits`,
      );
    }
    if (checkTimeout(options) > 0) return this.line.runSync(this.#waiting(false), options);
    const guard = this.#tryAgain();
    if (guard === null) throw timedOut(call);
    return guard;
  }
}

export function checkMutexGuard(held: unknown): asserts held is MutexGuard {
  if (held instanceof LockGuard && held[lockOf] instanceof Mutex) return;
  throw invalidType('held', 'the guard that lock() of a Mutex gave', held);
}
