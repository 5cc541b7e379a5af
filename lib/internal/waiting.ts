/**
 * Promises that wait for somebody else: timeout, abort and settling in one place, so that every `x({ timeout,
 * signal })` of the package ends in the same ways.
 */
import { IpcError } from '../errors.js';
import { checkOptions, invalidType, outOfRange } from './arguments.js';

/** When a call that is awaited gives up. */
export interface WaitOptions {
  /** Milliseconds, fractions allowed; for ever by default, 0 = one try. Ends in `ETIMEDOUT`. */
  timeout?: number;
  /** Ends the wait in an `AbortError`; nothing is consumed, nothing closed. */
  signal?: AbortSignal;
}

/** When a call that blocks its thread gives up. */
export interface SyncWaitOptions {
  /** Milliseconds, fractions allowed; for ever by default, 0 = one try. Ends in `ETIMEDOUT`. */
  timeout?: number;
}

const promises: unique symbol = Symbol.for('interproc.beforeBlocking') as never;
const shared: typeof globalThis & { [promises]?: Set<() => void> } = globalThis;

/**
 * Who has promised something for the end of this turn of the event loop, which a blocking call delays. One for all
 * copies of the package in this thread: what one accepted, a blocking call of another may wait for.
 */
export const beforeBlocking: Set<() => void> = (shared[promises] ??= new Set());

/** Before this thread waits for what another does, asleep or by polling. */
export function keepPromises(): void {
  if (beforeBlocking.size > 0) for (const keep of beforeBlocking) keep();
}

// Longer ones would overflow and fire at once (timers.setTimeout).
const longestTimer = 0x7fff_ffff;

/** Milliseconds; Infinity for no limit. */
export function checkTimeout(options: SyncWaitOptions | undefined): number {
  const { timeout } = checkOptions(options);
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeout !== 'number') throw invalidType('options.timeout', 'of type number', timeout);
  if (!(timeout >= 0)) throw outOfRange('options.timeout', '>= 0', timeout);
  return timeout;
}

function checkSignal(options: WaitOptions | undefined): AbortSignal | undefined {
  const signal = options?.signal;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidType('options.signal', 'an instance of AbortSignal', signal);
  }
  return signal;
}

export function timedOut(call: string): IpcError {
  return new IpcError('ETIMEDOUT', `ETIMEDOUT: ${call} waited in vain`, { syscall: call });
}

/** As the AbortError of Node's own promise APIs. */
export function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}

export interface Settle<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * Takes a wait back: true when nothing will come of it any more, false when it is over already, so that it is about to
 * be settled; then that outcome counts, not the timeout or abort. `lastTry`: what can be had now is taken first.
 */
export type TakeBack = (lastTry: boolean) => boolean;

/** The timers of an object's waits, which keep the process alive or don't as one. */
export class WaitTimers {
  readonly #timers = new Set<NodeJS.Timeout>();
  #kept = true;

  get kept(): boolean {
    return this.#kept;
  }

  keep(kept: boolean): void {
    this.#kept = kept;
    for (const timer of this.#timers) kept ? timer.ref() : timer.unref();
  }

  start(ms: number, over: () => void): NodeJS.Timeout {
    const timer = setTimeout(over, ms);
    if (!this.#kept) timer.unref();
    this.#timers.add(timer);
    return timer;
  }

  stop(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

const ownTimers = new WaitTimers();

/** How long callers may go on in one turn of the event loop before timers and I/O get theirs. */
const longTurnMs = 5;
/** The clock costs as much as a small message: it is asked after so many calls. */
export const clockCalls = 16;
let turnStart: number | undefined;
let turnLong = false;
let calls = 0;

/**
 * Whether this turn of the event loop has taken so long that what could be settled at once had better wait for the
 * next one: a loop of awaits on promises that are settled already never leaves its turn. `weight`: clockCalls for a
 * call that may take long itself.
 */
export function turnIsLong(weight = 1): boolean {
  calls += weight;
  if (turnLong || calls < clockCalls) return turnLong;
  calls = 0;
  if (turnStart === undefined) {
    // Not with the first call: a turn of a few calls is not worth the one that this adds to the loop.
    turnStart = performance.now();
    setImmediate(() => {
      turnStart = undefined;
      turnLong = false;
      calls = 0;
    });
  } else {
    turnLong = performance.now() - turnStart > longTurnMs;
  }
  return turnLong;
}

/** Waits: `begin` starts it. `timers`: those of the object that waits, where it can be unref()ed. */
export function wait<T>(
  call: string,
  options: WaitOptions | undefined,
  begin: (settle: Settle<T>) => TakeBack,
  timers: WaitTimers = ownTimers,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timeout = checkTimeout(options);
    const signal = checkSignal(options);
    if (signal?.aborted) throw abortError(signal);
    let settled = false;
    let timer: NodeJS.Timeout | undefined;
    let takeBack: TakeBack | undefined;
    const end = () => {
      settled = true;
      if (timer !== undefined) timers.stop(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const giveUp = (error: Error, lastTry: boolean) => {
      if (!takeBack?.(lastTry)) return;
      end();
      reject(error);
    };
    const onAbort = () => giveUp(abortError(signal as AbortSignal), false);
    // First: what it throws for a signal that is none finds nothing begun.
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      takeBack = begin({
        resolve(value) {
          end();
          resolve(value);
        },
        reject(error) {
          end();
          reject(error);
        },
      });
    } catch (error) {
      end();
      throw error;
    }
    if (settled) return; // at once, by `begin`
    if (signal?.aborted)
      onAbort(); // meanwhile
    else if (timeout === 0) giveUp(timedOut(call), true);
    else if (timeout < longestTimer) timer = timers.start(timeout, () => giveUp(timedOut(call), true));
  });
}

// A slice of a blocking wait: long enough to cost nothing, short enough that terminating a worker feels immediate.
const sliceMs = 20;

/**
 * Blocks the calling thread until `attempt` gives something, in slices of at most 20 ms. Each slice is a JS call of
 * its own: there V8 notices that its worker is being terminated.
 */
export function waitSync<T>(
  call: string,
  options: SyncWaitOptions | undefined,
  attempt: (sliceMs: number) => T | undefined,
): T {
  const timeout = checkTimeout(options);
  keepPromises();
  const deadline = timeout === Number.POSITIVE_INFINITY ? timeout : performance.now() + timeout;
  for (;;) {
    const left = deadline - performance.now();
    const result = attempt(Math.max(0, Math.min(sliceMs, left)));
    if (result !== undefined) return result;
    if (left <= 0) throw timedOut(call);
  }
}
