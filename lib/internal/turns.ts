/**
 * The calls that use one side of a descriptor, in the order in which they came: each tries to do its work when it is its
 * turn, and waits until it can go on.
 */
import { Request, RequestLine } from './request-line.js';
import {
  type Settle,
  type SyncWaitOptions,
  turnIsLong,
  type WaitOptions,
  WaitTimers,
  wait,
  waitSync,
} from './waiting.js';

/** What a step gives that can't do more now. */
export const again: unique symbol = Symbol('again');

/** Does what can be done now, and gives the call's result, or asks for another turn. */
export type Step<T> = () => T | typeof again;

/** What a call does. */
export interface Work<T> {
  step: Step<T>;
  /** Before it waits for the first time. Not called by those that block the thread. */
  waits?(): void;
  /**
   * It ends without a result: by a timeout, an abort, close() or an error. False: too late, another step gives the result;
   * that counts where no step has thrown.
   */
  giveUp?(): boolean;
}

export interface TurnsSetup {
  /** Throws `ERR_INTERPROC_CLOSED`. */
  checkOpen(): void;
  /** Has `serve` called once there may be something to do. */
  arm(): void;
  /** Told when the first one waits, and when the last one is gone. */
  hold(waits: boolean): void;
  busyError(why: string): Error;
  timers: WaitTimers;
}

class TurnRequest<T> extends Request {
  readonly yields = false;
  readonly #settle: Settle<T>;
  readonly work: Work<T>;

  constructor(settle: Settle<T>, work: Work<T>) {
    super();
    this.#settle = settle;
    this.work = work;
  }

  attempt(): boolean {
    const result = this.work.step();
    if (result === again) return false;
    this.#settle.resolve(result);
    return true;
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
  }
}

export class Turns {
  readonly #setup: TurnsSetup;
  readonly #requests = new RequestLine();
  #serving = false;
  #later: NodeJS.Immediate | undefined;

  constructor(setup: TurnsSetup) {
    this.#setup = setup;
    this.#requests.onQueued = (queued) => setup.hold(queued);
  }

  /** Whether nobody waits. */
  get idle(): boolean {
    return this.#requests.first === undefined;
  }

  /** The promise of a call: `call` names it in a timeout's error. */
  run<T>(call: string, options: WaitOptions | undefined, work: Work<T>): Promise<T> {
    return wait<T>(
      call,
      options,
      (settle) => {
        this.#setup.checkOpen();
        const request = new TurnRequest(settle, work);
        if (this.idle && !turnIsLong()) {
          try {
            if (request.attempt()) return () => false;
            work.waits?.();
            this.#setup.arm();
          } catch (error) {
            work.giveUp?.();
            throw error;
          }
          this.#requests.add(request);
        } else {
          work.waits?.();
          this.#requests.add(request);
          if (this.#requests.first === request) this.#serveLater();
        }
        return (lastTry) => this.#takeBack(request, lastTry);
      },
      this.#setup.timers,
    );
  }

  /** As `run`, blocking the calling thread. `sleep`: until there may be something to do, at most so many nanoseconds. */
  runSync<T>(
    call: string,
    options: SyncWaitOptions | undefined,
    { step, giveUp }: Work<T>,
    sleep: (nanoseconds: number) => void,
  ): T {
    this.checkFree();
    let threw = false;
    const attempt = (): { value: T } | undefined => {
      this.#setup.checkOpen(); // the getter of an option may have closed it
      threw = true;
      const value = step();
      threw = false;
      return value === again ? undefined : { value };
    };
    try {
      return waitSync(call, options, (sliceMs) => {
        const done = attempt();
        if (done !== undefined || sliceMs === 0) return done;
        sleep(Math.max(1, Math.round(sliceMs * 1e6)));
        return undefined;
      }).value;
    } catch (error) {
      if (giveUp?.() === false && !threw) {
        const late = attempt();
        if (late !== undefined) return late.value;
      }
      throw error;
    }
  }

  /** Throws `ERR_INTERPROC_CLOSED`, and `ERR_INTERPROC_BUSY` where calls wait whose turn is first. */
  checkFree(): void {
    this.#setup.checkOpen();
    if (!this.idle) throw this.#setup.busyError('its asynchronous calls come first, and they are waiting');
  }

  /** Does what can be done now. */
  serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    try {
      for (let { first } = this.#requests; first !== undefined; first = this.#requests.first) {
        if (!this.#serves(first)) return;
        if (!this.idle && turnIsLong()) return this.#serveLater();
      }
    } finally {
      this.#serving = false;
    }
  }

  /** Ends all waits in an error. */
  close(error: () => unknown): void {
    clearImmediate(this.#later);
    for (let { first } = this.#requests; first !== undefined; first = this.#requests.first) {
      this.#requests.remove(first);
      const { work } = first as TurnRequest<unknown>;
      if (work.giveUp?.() === false && this.#isSettled(first)) continue;
      first.fail(error());
    }
  }

  #serves(request: Request): boolean {
    try {
      if (!request.attempt()) {
        this.#setup.arm();
        return false;
      }
      this.#requests.remove(request);
    } catch (error) {
      this.#requests.remove(request);
      (request as TurnRequest<unknown>).work.giveUp?.();
      request.fail(error);
    }
    return true;
  }

  #isSettled(request: Request): boolean {
    try {
      return request.attempt();
    } catch (error) {
      request.fail(error);
      return true;
    }
  }

  #takeBack(request: TurnRequest<any>, lastTry: boolean): boolean {
    if (lastTry) this.serve();
    if (request.line === undefined) return false;
    if (request.work.giveUp?.() === false) {
      this.#requests.remove(request);
      if (this.#isSettled(request)) {
        this.#serveLater();
        return false;
      }
    } else {
      this.#requests.remove(request);
    }
    // Those behind it may be able to go on, or must hear that they can't.
    if (!this.idle) this.#serveLater();
    return true;
  }

  #serveLater(): void {
    this.#later ??= setImmediate(() => {
      this.#later = undefined;
      this.serve();
    });
  }
}
