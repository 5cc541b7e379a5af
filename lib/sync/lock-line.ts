/**
 * Those of this env who wait for one lock through one object: in the order in which they came, in all three ways. Only the
 * first one sleeps, on a word of the lock.
 *
 *   run ──> attempt ──again──> polling (Turns) ──> beforeSleep ──> asleep on the word ──woken──> attempt …
 *                                                                    └── a look every 50 ms, or 20 in runSync
 */
import { constants } from 'node:os';
import { IpcError } from '../errors.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import { Patience } from '../internal/patience.js';
import { again, Turns, type Work } from '../internal/turns.js';
import { keepPromises, type SyncWaitOptions, type WaitOptions, WaitTimers } from '../internal/waiting.js';
import { addWordWait, cancelWordWait, holdWordWait } from '../internal/word-waits.js';
import { aboutSite, LockMemory, type LockSite } from './lock-memory.js';
import { lookEverySoOften, lookNoMore } from './looks.js';

/** What to sleep on: a word of the piece in which the lock lies, and what it says. */
export interface Sleep {
  word: number;
  value: number;
}

/** What one call does. */
export interface Waiting<T> {
  /** Names it in a timeout's error. */
  readonly call: string;
  attempt(): T | typeof again;
  /** Before it stands in the line of those who wait, for the first time. */
  begin?(): void;
  /** Tells others that it sleeps. Undefined: another attempt may have more luck. */
  beforeSleep(): Sleep | undefined;
  /**
   * After a sleep, or in one that has lasted for a while (`byTime`): looks whether anybody has died. Whether another
   * attempt may have more luck.
   */
  look(byTime: boolean): boolean;
  /** It ends without a result. False: too late, another attempt gives it. */
  giveUp?(): boolean;
}

interface Asleep {
  id: number;
  /** Byte offset of the word. */
  offset: number;
  work: Work<unknown>;
  look: () => void;
}

interface LockWork<T> extends Work<T> {
  readonly waiting: Waiting<T>;
  /** What a look threw, for the call that waits: nobody else would hear of it. */
  failure?: { error: unknown };
}

const wordBytes = 4;

export class LockLine {
  readonly timers: WaitTimers = new WaitTimers();
  readonly #looking = new Patience();
  readonly #site: LockSite;
  readonly #turns: Turns;
  /** Whether nobody waits. */
  idle = true;
  #asleep: Asleep | undefined;
  #closed = false;

  constructor(site: LockSite) {
    this.#site = site;
    this.#turns = new Turns({
      checkOpen: () => this.checkOpen(),
      arm: (work) => this.#sleep(work as LockWork<unknown>),
      hold: (waits) => {
        this.idle = !waits;
      },
      busyError: (why) => new IpcError('ERR_INTERPROC_BUSY', `${aboutSite(site)} is busy: ${why}`),
      timers: this.timers,
    });
  }

  /** Whether a call may do at once what it can. */
  get servesAtOnce(): boolean {
    return this.#turns.servesAtOnce;
  }

  get closed(): boolean {
    return this.#closed;
  }

  run<T>(waiting: Waiting<T>, options: WaitOptions | undefined): Promise<T> {
    return this.#turns.run(waiting.call, options, this.#workOf(waiting));
  }

  /** As `run`, blocking the calling thread. */
  runSync<T>(waiting: Waiting<T>, options: SyncWaitOptions | undefined): T {
    if (options === undefined) {
      this.checkFree();
      return this.runNow(waiting);
    }
    return this.#turns.runSync(waiting.call, options, this.#workOf(waiting), (nanoseconds) =>
      this.#sleepSync(waiting, nanoseconds),
    );
  }

  /**
   * As `runSync` without end, before those who wait in the line: it has been its turn. Apart from the machinery of timeouts,
   * which takes longer than a hand-over.
   */
  runNow<T>(waiting: Waiting<T>): T {
    keepPromises();
    for (;;) {
      const result = this.#slice(waiting);
      if (result !== again) return result;
    }
  }

  /** A JS call of its own: there V8 notices that its worker is being terminated. */
  #slice<T>(waiting: Waiting<T>): T | typeof again {
    const looks = this.#looking.worthwhile;
    for (let left = looks ? looksBlocking : 0; ; left--) {
      const result = waiting.attempt();
      if (result === again && left > 0) {
        if (!native.yieldProcessor()) left = 1;
        continue;
      }
      if (looks) this.#looking.tell(result !== again);
      if (result !== again) return result;
      break;
    }
    this.#sleepSync(waiting, sliceNs);
    return waiting.attempt();
  }

  /** Throws `ERR_INTERPROC_BUSY` where asynchronous calls wait, and `ERR_INTERPROC_CLOSED`. */
  checkFree(): void {
    this.#turns.checkFree();
  }

  checkOpen(): void {
    if (this.#closed) throw closedError(this.#site);
  }

  /** After a change that may serve those who wait here. */
  serve(): void {
    if (!this.#turns.idle) this.#turns.serve();
  }

  /** Whether waits keep the process alive. */
  keep(kept: boolean): void {
    this.timers.keep(kept);
    if (this.#asleep !== undefined) holdWordWait(this.#asleep.id, undefined, kept);
  }

  /** Ends all waits in `ERR_INTERPROC_CLOSED`. */
  close(): void {
    this.#closed = true;
    this.#turns.close(() => closedError(this.#site));
    this.#wakeUp();
  }

  #workOf<T>(waiting: Waiting<T>): LockWork<T> {
    const work: LockWork<T> = {
      waiting,
      step: (looks) => {
        if (work.failure !== undefined) throw work.failure.error;
        for (let left = looks; ; left--) {
          const result = waiting.attempt();
          if (result !== again && this.#asleep?.work === work) this.#wakeUp();
          if (result !== again || left <= 0) return result;
          if (!native.yieldProcessor()) left = 1;
        }
      },
      waits: () => waiting.begin?.(),
      giveUp: () => {
        try {
          if (this.#asleep?.work === work) this.#giveUpSleep(this.#asleep);
          return waiting.giveUp?.() ?? true;
        } catch {
          return true; // its memory is gone, and with it those to whom a turn could be passed on
        }
      },
    };
    return work;
  }

  #sleep(work: LockWork<unknown>): void {
    if (this.#asleep !== undefined) return;
    const { waiting } = work;
    const sleep = waiting.beforeSleep();
    if (sleep === undefined) return this.#serveSoon();
    const { mapping } = this.#site;
    const woken = () => {
      if (this.#asleep?.id !== id) return; // it has ended in another way meanwhile
      failpoint('lock.woken');
      this.#forget();
      waiting.look(false);
      this.#turns.serve();
    };
    const offset = sleep.word * wordBytes;
    const id: number | undefined = addWordWait(mapping, offset, sleep.value, woken);
    if (id === undefined) return this.#serveSoon();
    const look = () => {
      try {
        // Who changed the word meanwhile has taken away that somebody waits, and may have died before he woke anybody: those
        // who have had the lock since then know of nobody. It is said anew.
        const isAwaited = Atomics.load(this.#site.words, sleep.word) === sleep.value;
        if (!waiting.look(true) && isAwaited && LockMemory.isThere(this.#site)) return;
      } catch (error) {
        work.failure = { error };
      }
      if (!cancelWordWait(id)) return; // it is woken
      this.#forget();
      this.#turns.serve();
    };
    this.#asleep = { id, offset, work, look };
    if (!this.timers.kept) holdWordWait(id, undefined, false);
    lookEverySoOften(look);
  }

  /** Where a word changes all the time, the event loop has its turns in between. */
  #serveSoon(): void {
    setImmediate(() => {
      if (!this.#closed) this.serve();
    });
  }

  #forget(): void {
    if (this.#asleep !== undefined) lookNoMore(this.#asleep.look);
    this.#asleep = undefined;
  }

  /** Ends the sleep of one who needs it no more. */
  #wakeUp(): void {
    if (this.#asleep === undefined) return;
    const { id } = this.#asleep;
    this.#forget();
    cancelWordWait(id);
  }

  /** A wake-up that it was given already is another one's. */
  #giveUpSleep({ id, offset }: Asleep): void {
    this.#forget();
    if (!cancelWordWait(id)) native.futexWake(this.#site.mapping, offset, 1);
  }

  #sleepSync(waiting: Waiting<unknown>, nanoseconds: number): void {
    this.checkOpen();
    const sleep = waiting.beforeSleep();
    if (sleep === undefined) return;
    const { mapping } = this.#site;
    const errno = native.futexSleep(mapping, sleep.word * wordBytes, sleep.value, nanoseconds);
    failpoint('lock.woken');
    if (errno === 0) waiting.look(false);
    // A signal ends it early: a thread that gets many (of a profiler) would never look otherwise.
    else if (errno === constants.errno.ETIMEDOUT || errno === constants.errno.EINTR) waiting.look(true);
  }
}

/** Before a thread sleeps: about what a sleep and a wake-up cost. */
const looksBlocking = 64;
/** Long enough to cost nothing, short enough that terminating a worker feels immediate. */
const sliceNs = 20e6;

function closedError(site: LockSite): IpcError {
  const why = site.kind.name === 'Barrier' ? 'it was left, or its memory closed' : 'its memory is';
  return new IpcError('ERR_INTERPROC_CLOSED', `${aboutSite(site)} is closed: ${why}`);
}
