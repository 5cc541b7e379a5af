/**
 * Calls of an object that can only block: those that want the same stand in one line, and the first one of each line
 * waits on a thread of its own, which takes for it what comes.
 */
import { constants } from 'node:os';
import { IpcError } from '../errors.js';
import { checkOptions } from './arguments.js';
import { BackgroundCall } from './background-call.js';
import { again, Turns, type Work } from './turns.js';
import { type SyncWaitOptions, type WaitOptions, WaitTimers, waitSync } from './waiting.js';

export interface BlockingSetup {
  /** Throws `ERR_INTERPROC_CLOSED`. */
  checkOpen(): void;
  busyError(why: string): Error;
  /** What errors of the system are about. */
  readonly path: string;
  /** Whether the kernel still has the object. */
  isThere(): boolean;
}

/** What one call does. */
export interface Blocking<Raw, T> {
  /** Names it in a timeout's error. */
  readonly call: string;
  /** What it gives within so long, or now (0), also at so many further looks. */
  now(looks: number, nanoseconds: number): T | typeof again;
  /** Starts the call that waits, under an id. */
  start(id: number): void;
  /** Of what that gives. */
  made(raw: Raw): T;
}

/** The work of a call, as it stands in a line. */
interface BlockingWork<T> extends Work<T> {
  start(id: number): void;
}

/** Before a thread sleeps: about what a sleep and a wake-up cost. */
const looksBlocking = 64;

/**
 * `step` is as `attempt`, which once gave `again`, or stood behind others: where the object is none any more after that, it
 * was removed. The kernel says so (EIDRM) only to those who sleep in it.
 */
function unlessRemoved<Now extends unknown[], T>(
  attempt: (...now: Now) => T | typeof again,
  isThere: () => boolean,
) {
  let wasThere = false;
  const waits = () => {
    wasThere = true;
  };
  const step = (...now: Now): T | typeof again => {
    try {
      const done = attempt(...now);
      wasThere = true;
      return done;
    } catch (error) {
      const { code, syscall, path } = error as IpcError;
      if (!wasThere || code !== 'EINVAL' || isThere()) throw error;
      const about = path === undefined ? '' : ` '${path}'`;
      const errno = -constants.errno.EIDRM;
      throw new IpcError('EIDRM', `EIDRM: identifier removed, ${syscall}${about}`, { errno, syscall, path });
    }
  };
  return { step, waits };
}

export class BlockingLine {
  readonly turns: Turns;
  readonly #setup: BlockingSetup;
  readonly #timers: WaitTimers;
  #waiting: { call: BackgroundCall<any>; work: Work<any> } | undefined;

  /** `told`: whether anybody waits. */
  constructor(setup: BlockingSetup, timers: WaitTimers, told: (waits: boolean) => void = () => {}) {
    this.#setup = setup;
    this.#timers = timers;
    this.turns = new Turns({
      checkOpen: () => setup.checkOpen(),
      busyError: (why) => setup.busyError(why),
      arm: (work) => this.#arm(work as BlockingWork<unknown>),
      hold: told,
      timers,
    });
  }

  run<Raw, T>(blocking: Blocking<Raw, T>, options: WaitOptions | undefined): Promise<T> {
    return this.turns.run(blocking.call, options, this.#workOf(blocking));
  }

  keep(kept: boolean): void {
    this.#waiting?.call.keep(kept);
  }

  #workOf<Raw, T>({ now, start, made }: Blocking<Raw, T>): Work<T> {
    const work: BlockingWork<T> = {
      ...unlessRemoved((looks: number) => {
        if (this.#waiting === undefined) return now(looks, 0);
        const raw = this.#result<Raw>();
        return raw === undefined ? again : made(raw.value);
      }, this.#setup.isThere),
      giveUp: () => {
        if (this.#waiting?.work !== work) return true;
        this.#waiting.call.cancel();
        // What it took, or why it failed, the next step tells.
        return this.#wasCancelled();
      },
      start,
    };
    return work;
  }

  /** Undefined while it runs. Throws what it failed with. */
  #result<Raw>(): { value: Raw } | undefined {
    let over = true;
    try {
      const result = this.#waiting?.call.result as { value: Raw } | undefined;
      over = result !== undefined;
      return result;
    } finally {
      if (over) this.#waiting = undefined;
    }
  }

  #wasCancelled(): boolean {
    try {
      void this.#waiting?.call.result;
      return false;
    } catch (error) {
      if ((error as { code?: string }).code !== 'ECANCELED') return false;
      this.#waiting = undefined;
      return true;
    }
  }

  #arm(work: BlockingWork<unknown>): void {
    if (this.#waiting !== undefined) return;
    const call = new BackgroundCall(work.start, () => this.turns.serve(), this.#setup.path);
    call.keep(this.#timers.kept);
    this.#waiting = { call, work };
  }
}

/** Before the line is chosen: the getter of an option may have other calls stand in one. */
function readOnce(options: WaitOptions): WaitOptions {
  const { timeout, signal } = checkOptions(options);
  return { timeout, signal } as WaitOptions;
}

export class BlockingLines {
  readonly #setup: BlockingSetup;
  readonly #timers = new WaitTimers();
  /** Those in which somebody waits. */
  readonly #lines = new Map<string, BlockingLine>();
  /** The one that was used last, which is likely to be used again. */
  #last: { wanted: string; line: BlockingLine } | undefined;

  constructor(setup: BlockingSetup) {
    this.#setup = setup;
  }

  /** Whether nobody waits. */
  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  /** Whether others wait for the same: they come first. */
  isBusy(wanted: string): boolean {
    return this.#lines.has(wanted);
  }

  run<Raw, T>(wanted: string, blocking: Blocking<Raw, T>, options: WaitOptions | undefined): Promise<T> {
    const read = options === undefined ? undefined : readOnce(options);
    return this.#lineOf(wanted).run(blocking, read);
  }

  /** As `run`, blocking the calling thread. */
  runSync<Raw, T>(wanted: string, { call, now }: Blocking<Raw, T>, options: SyncWaitOptions | undefined): T {
    this.#setup.checkOpen();
    this.#lines.get(wanted)?.turns.checkFree();
    const { step: within } = unlessRemoved(now, this.#setup.isThere);
    const { value } = waitSync(call, options, (sliceMs) => {
      this.#setup.checkOpen(); // the getter of an option may have closed it
      const done = within(sliceMs > 0 ? looksBlocking : 0, Math.round(sliceMs * 1e6));
      return done === again ? undefined : { value: done };
    });
    return value;
  }

  /** Ends all waits in an error. */
  close(error: () => unknown): void {
    for (const { turns } of [...this.#lines.values()]) turns.close(error);
  }

  /** Whether waits keep the process alive. */
  keep(kept: boolean): void {
    this.#timers.keep(kept);
    for (const line of this.#lines.values()) line.keep(kept);
  }

  #lineOf(wanted: string): BlockingLine {
    const there = this.#last?.wanted === wanted ? this.#last.line : this.#lines.get(wanted);
    if (there !== undefined) return there;
    const line = new BlockingLine(this.#setup, this.#timers, (waits) => {
      if (waits) this.#lines.set(wanted, line);
      else this.#lines.delete(wanted);
    });
    this.#last = { wanted, line };
    return line;
  }
}
