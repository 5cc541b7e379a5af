/**
 * Something that is to be done once, by one of many processes, while the others wait until it is done. A mutex word says who
 * does it; a second word, whether it is done, or was begun by somebody who died.
 */
import { IpcError } from '../errors.js';
import { invalidType } from '../internal/arguments.js';
import { construct } from '../internal/descriptor-object.js';
import { failpoint } from '../internal/failpoint.js';
import type { SharedRegion } from '../internal/region.js';
import { checkTimeout, type SyncWaitOptions, timedOut, type WaitOptions } from '../internal/waiting.js';
import { kindWord, mutexBytes, otherWord } from './lock-layout.js';
import { aboutSite, type LockKind, LockMemory, type LockOptions, type LockSite } from './lock-memory.js';
import { LockWord, WordWaiting } from './lock-word.js';
import { SharedLock } from './shared-lock.js';

const kind: LockKind = { name: 'Once', bytes: mutexBytes, hasOwners: true };
const call = 'run';
/** What the second word says; found by one who has the first, `begun` says that somebody has died over it. */
const notYet = 0;
const isDone = 1;
const begun = 2;

/** What the function of `run` is told. */
export interface OnceState {
  /** Whether one who had begun it has died: what it does may be half done. */
  abandoned: boolean;
}

/**
 * Something in shared memory that one of many processes does once, while the others wait until it is done.
 * docs/locks.md
 */
export class Once extends SharedLock {
  /** Bytes that one takes: 16. */
  static readonly byteLength: number = mutexBytes;

  readonly #word: LockWord;
  readonly #words: Int32Array;
  readonly #progress: number;
  #isRunning = false;

  /** @internal Use `Once.at`. */
  constructor(key: symbol, site: LockSite) {
    super(key, site);
    this.#word = new LockWord(site, 1);
    this.#words = site.words;
    this.#progress = site.at + otherWord;
  }

  /** The 16 bytes at `offset` of shared memory; as zeros they say that nothing is done. As `Mutex.at`, and throws as that. */
  static at(memory: SharedRegion, offset: number, options?: LockOptions): Once {
    return LockMemory.lockAt(memory, offset, kind, options, (site) => new Once(construct, site));
  }

  /** Whether it is done. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`. */
  get done(): boolean {
    this.line.checkOpen();
    const done = Atomics.load(this.#words, this.#progress) === isDone;
    if (this.#words[this.site.at + kindWord] !== this.site.kindValue) LockMemory.checkThere(this.site);
    return done;
  }

  /**
   * Calls `work` if nobody has done it yet, and otherwise waits until whoever does it is done. Where `work` throws or rejects
   * it is not done, and the next one who waits does it; so it is when its process dies.
   *
   * @returns Whether this call has done it.
   * @throws (rejects with) what `work` throws; `ETIMEDOUT`, `AbortError` (of the waiting); `ERR_INTERPROC_CLOSED`;
   *   `ERR_INTERPROC_TRUNCATED`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  async run(work: (state: OnceState) => unknown, options?: WaitOptions): Promise<boolean> {
    checkWork(work);
    if (this.done) return false;
    await this.line.run(this.#waiting(true), options);
    const state = this.#begin();
    if (state === undefined) return false;
    let done = false;
    try {
      await work(state);
      done = true;
    } finally {
      this.#end(done, state);
    }
    return true;
  }

  /** As `run`, if nobody else does it at the moment; else gives null, also while calls of `run()` wait. */
  tryRun(work: (state: OnceState) => void): boolean | null {
    checkWork(work);
    if (this.done) return false;
    if (!this.line.idle || !(this.#word.tryTake() || this.#word.inherit())) return null;
    return this.#runNow(work);
  }

  /**
   * As `run`, blocking the calling thread; what `work` returns is not awaited. Throws `ERR_INTERPROC_DEADLOCK` where a task of
   * this thread does it; `ERR_INTERPROC_BUSY` while calls of `run()` wait.
   */
  runSync(work: (state: OnceState) => void, options?: SyncWaitOptions): boolean {
    checkWork(work);
    if (this.done) return false;
    this.line.checkFree();
    if (this.#word.isOurs) {
      throw new IpcError(
        'ERR_INTERPROC_DEADLOCK',
        `${aboutSite(this.site)} is being done by a task of this thread, which could not end while runSync() waits`,
      );
    }
    if (checkTimeout(options) > 0) {
      this.line.runSync(this.#waiting(false), options);
      return this.#runNow(work);
    }
    const ran = this.tryRun(work);
    if (ran === null) throw timedOut(call);
    return ran;
  }

  /** @internal */
  override get isHeld(): boolean {
    return this.#isRunning;
  }

  #waiting(looksEarly: boolean): WordWaiting<void> {
    return new WordWaiting(call, this.#word, looksEarly, () => {
      this.#isRunning = true; // its memory is not to be closed before it begins
    });
  }

  #runNow(work: (state: OnceState) => void): boolean {
    const state = this.#begin();
    if (state === undefined) return false;
    let done = false;
    try {
      work(state);
      done = true;
    } finally {
      this.#end(done, state);
    }
    return true;
  }

  /** Undefined where it was done meanwhile. REQUIRES the word, and lets go of it then. */
  #begin(): OnceState | undefined {
    const progress = Atomics.load(this.#words, this.#progress);
    if (progress === isDone) {
      this.#letGo();
      return undefined;
    }
    this.#isRunning = true;
    Atomics.store(this.#words, this.#progress, begun);
    failpoint('once.begun');
    return { abandoned: progress === begun };
  }

  /** What somebody has left half done stays so where this one fails, too. */
  #end(done: boolean, { abandoned }: OnceState): void {
    if (done) Atomics.store(this.#words, this.#progress, isDone);
    else if (!abandoned) Atomics.store(this.#words, this.#progress, notYet);
    failpoint('once.ended');
    this.#letGo();
  }

  #letGo(): void {
    this.#isRunning = false;
    this.#word.release();
    this.line.serve();
  }
}

function checkWork(work: unknown): void {
  if (typeof work !== 'function') throw invalidType('work', 'of type function', work);
}
