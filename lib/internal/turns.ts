/**
 * The calls that use one side of a descriptor, in the order in which they came: each tries to do its work when it is its
 * turn, and waits until it can go on.
 */
import { native } from './native.js';
import { Patience, pollMs } from './patience.js';
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

/**
 * Does what can be done now, and gives the call's result, or asks for another turn. `looks`: how often it may look again,
 * awake, before it says that.
 */
export type Step<T> = (looks: number) => T | typeof again;

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
  /** Has `serve` called once there may be something to do for the first one, whose work it is. */
  arm(work: Work<any>): void;
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
    const result = this.work.step(0);
    if (result === again) return false;
    this.#settle.resolve(result);
    return true;
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
  }
}

/** Looks before the event loop goes on to other things: some microseconds. */
const looksAtOnce = 16;
/** Looks of a call that blocks its thread: about what a sleep and a wake-up cost. */
const looksBlocking = 64;

export class Turns {
  readonly #setup: TurnsSetup;
  readonly #requests = new RequestLine();
  #serving = false;
  #later: NodeJS.Immediate | undefined;
  #poll: NodeJS.Immediate | undefined;
  #pollUntil = 0;
  readonly #looking = new Patience();
  readonly #polling = new Patience();

  constructor(setup: TurnsSetup) {
    this.#setup = setup;
    this.#requests.onQueued = (queued) => setup.hold(queued);
  }

  /** Whether nobody waits. */
  get idle(): boolean {
    return this.#requests.first === undefined;
  }

  /** Whether a call may do at once what it can: nobody is before it, and the event loop has had its turns. */
  get servesAtOnce(): boolean {
    return this.#requests.first === undefined && !turnIsLong();
  }

  /** How often the first step of a call may look. Afterwards `looked` is to be told. */
  get looks(): number {
    return this.#looking.worthwhile ? looksAtOnce : 0;
  }

  looked(looks: number, found: boolean): void {
    if (looks > 0) this.#looking.tell(found);
  }

  /**
   * The promise of a call: `call` names it in a timeout's error. `tried`: its first step was done already, in vain;
   * REQUIRES `servesAtOnce` before that.
   */
  run<T>(call: string, options: WaitOptions | undefined, work: Work<T>, tried = false): Promise<T> {
    if (neverGivesUp(options)) return this.#runToItsEnd(work, tried);
    return wait<T>(
      call,
      options,
      (settle) => {
        const request = new TurnRequest(settle, work);
        const result = this.#begin(work, tried);
        if (result === again) this.#queue(request);
        else settle.resolve(result);
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
    const attempt = (looks: number): { value: T } | undefined => {
      this.#setup.checkOpen(); // the getter of an option may have closed it
      threw = true;
      const value = step(looks);
      threw = false;
      return value === again ? undefined : { value };
    };
    try {
      return waitSync(call, options, (sliceMs) => {
        const looks = sliceMs > 0 && this.#looking.worthwhile ? looksBlocking : 0;
        const done = attempt(looks);
        this.looked(looks, done !== undefined);
        if (done !== undefined || sliceMs === 0) return done;
        sleep(Math.max(1, Math.round(sliceMs * 1e6)));
        return undefined;
      }).value;
    } catch (error) {
      if (giveUp?.() === false && !threw) {
        const late = attempt(0);
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
    if (!this.#serveAll() && this.#poll === undefined && this.#later === undefined) this.#arm();
  }

  /** Ends all waits in an error. */
  close(error: () => unknown): void {
    this.#rest();
    for (let { first } = this.#requests; first !== undefined; first = this.#requests.first) {
      this.#requests.remove(first);
      const { work } = first as TurnRequest<unknown>;
      if (work.giveUp?.() === false && this.#isSettled(first)) continue;
      first.fail(error());
    }
  }

  /** As `run`, where nothing but its end or close() ends it: the machinery of timeouts and signals costs. */
  #runToItsEnd<T>(work: Work<T>, tried: boolean): Promise<T> {
    try {
      const result = this.#begin(work, tried);
      if (result !== again) return Promise.resolve(result);
      return new Promise<T>((resolve, reject) => this.#queue(new TurnRequest({ resolve, reject }, work)));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** What a call gives at once. */
  #begin<T>(work: Work<T>, tried: boolean): T | typeof again {
    this.#setup.checkOpen();
    if (tried || !this.servesAtOnce) return again;
    try {
      const { looks } = this;
      const result = work.step(looks);
      this.looked(looks, result !== again);
      return result;
    } catch (error) {
      work.giveUp?.();
      throw error;
    }
  }

  #queue(request: TurnRequest<any>): void {
    try {
      request.work.waits?.();
    } catch (error) {
      request.work.giveUp?.();
      throw error;
    }
    const first = this.idle; // what it has done to wait may have served all before it
    this.#requests.add(request);
    if (!first) return;
    if (turnIsLong()) this.#serveLater();
    else this.#startPolling();
  }

  #startPolling(): void {
    if (!this.#polling.worthwhile) return this.#arm();
    this.#pollUntil = performance.now() + pollMs;
    this.#pollNext();
  }

  #pollNext(): void {
    this.#poll = setImmediate(() => {
      this.#poll = undefined;
      native.yieldProcessor(); // who is waited for may have no other
      if (this.#serveAll()) {
        this.#polling.tell(true);
      } else if (performance.now() < this.#pollUntil) {
        this.#pollNext();
      } else {
        this.#polling.tell(false);
        this.#arm();
      }
    });
  }

  /** Serves from the front on; true when nobody is left who waits. */
  #serveAll(): boolean {
    if (this.#serving) return true;
    this.#serving = true;
    try {
      for (let { first } = this.#requests; first !== undefined; first = this.#requests.first) {
        try {
          if (!first.attempt()) {
            // It may have stopped for that, where it could have gone on: no edge comes then.
            if (turnIsLong()) this.#serveLater();
            return false;
          }
          this.#requests.remove(first);
        } catch (error) {
          this.#fail(first, error);
        }
        if (!this.idle && turnIsLong()) {
          this.#serveLater();
          return false;
        }
      }
      return true;
    } finally {
      this.#serving = false;
    }
  }

  /** Sleeps until there may be something to do. Where that can't be, the first one hears why. */
  #arm(): void {
    for (let { first } = this.#requests; first !== undefined; first = this.#requests.first) {
      try {
        this.#setup.arm((first as TurnRequest<unknown>).work);
        return;
      } catch (error) {
        this.#fail(first, error);
      }
    }
  }

  #fail(request: Request, error: unknown): void {
    this.#requests.remove(request);
    (request as TurnRequest<unknown>).work.giveUp?.();
    request.fail(error);
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
    if (lastTry) this.#serveAll();
    if (request.line === undefined) {
      // It was served, and those behind it were looked at: what would have told of more may have ended with it.
      if (!this.idle) this.#serveLater();
      return false;
    }
    if (request.work.giveUp?.() === false) {
      this.#requests.remove(request);
      if (this.#isSettled(request)) {
        if (!this.idle) this.#serveLater();
        return false;
      }
    } else {
      this.#requests.remove(request);
    }
    // Those behind it may be able to go on, or must hear that they can't.
    if (this.idle) this.#rest();
    else this.#serveLater();
    return true;
  }

  #rest(): void {
    clearImmediate(this.#poll);
    clearImmediate(this.#later);
    this.#poll = this.#later = undefined;
  }

  #serveLater(): void {
    this.#later ??= setImmediate(() => {
      this.#later = undefined;
      this.serve();
    });
  }
}

/** Whether a wait has no limit. What is wrong with the options is not found here. */
export function neverGivesUp(options: WaitOptions | undefined): boolean {
  if (options === undefined) return true;
  return (
    typeof options === 'object' &&
    options !== null &&
    !Array.isArray(options) &&
    options.timeout === undefined &&
    options.signal === undefined
  );
}
