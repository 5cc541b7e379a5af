/**
 * Promises that wait for somebody else: timeout, abort and settling in one place, so that every `x({ timeout,
 * signal })` of the package ends in the same ways.
 */
import { IpcError } from '../errors.js';
import { checkOptions, invalidType, outOfRange } from './arguments.js';

export interface WaitOptions {
  /** Milliseconds, fractions allowed; for ever by default, 0 = one try. Ends in `ETIMEDOUT`. */
  timeout?: number;
  /** Ends the wait in an `AbortError`; nothing is consumed, nothing closed. */
  signal?: AbortSignal;
}

export interface SyncWaitOptions {
  /** Milliseconds, fractions allowed; for ever by default, 0 = one try. Ends in `ETIMEDOUT`. */
  timeout?: number;
}

/** Who has promised something for the end of this turn of the event loop, which a blocking call delays. */
export const beforeBlocking: Set<() => void> = new Set();

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

/** How long callers may go on in one turn of the event loop before timers and I/O get theirs. */
const longTurnMs = 5;
let turnStart: number | undefined;

/**
 * Whether this turn of the event loop has taken so long that what could be settled at once had better wait for the
 * next one: a loop of awaits on promises that are settled already never leaves its turn.
 */
export function turnIsLong(): boolean {
  if (turnStart !== undefined) return performance.now() - turnStart > longTurnMs;
  turnStart = performance.now();
  setImmediate(() => {
    turnStart = undefined;
  });
  return false;
}

/**
 * Waits. `begin` starts, and returns what takes it back: true when nothing will come of it any more, false when it
 * is over already, so that `settle` is about to be called; then that outcome counts, not the timeout or abort.
 * `kept`: whether the timeout keeps the process alive.
 */
export function wait<T>(
  call: string,
  options: WaitOptions | undefined,
  begin: (settle: Settle<T>) => () => boolean,
  kept = true,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timeout = checkTimeout(options);
    const signal = checkSignal(options);
    if (signal?.aborted) throw abortError(signal);
    let settled = false;
    let timer: NodeJS.Timeout | undefined;
    const end = () => {
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const onAbort = () => giveUp(abortError(signal as AbortSignal));
    const takeBack = begin({
      resolve(value) {
        end();
        resolve(value);
      },
      reject(error) {
        end();
        reject(error);
      },
    });
    const giveUp = (error: Error) => {
      if (!takeBack()) return;
      end();
      reject(error);
    };
    if (settled) return; // at once, by `begin`
    signal?.addEventListener('abort', onAbort, { once: true });
    if (timeout === 0) giveUp(timedOut(call));
    else if (timeout < longestTimer) {
      timer = setTimeout(() => giveUp(timedOut(call)), timeout);
      if (!kept) timer.unref();
    }
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
  for (const keepPromise of beforeBlocking) keepPromise();
  const deadline = timeout === Number.POSITIVE_INFINITY ? timeout : performance.now() + timeout;
  for (;;) {
    const left = deadline - performance.now();
    const result = attempt(Math.max(0, Math.min(sliceMs, left)));
    if (result !== undefined) return result;
    if (left <= 0) throw timedOut(call);
  }
}
