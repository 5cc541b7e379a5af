/** Calls in the background that belong to no object yet: opening, connecting. */

import { BackgroundCall } from './background-call.js';
import { checkTimeout, type SyncWaitOptions, type WaitOptions, wait, waitSync } from './waiting.js';

export interface Background<Raw, T> {
  /** Names it in a timeout's error. */
  call: string;
  /** What errors of the system are about. */
  path: string;
  /** What it gives at once, if it can. */
  now?(): T | undefined;
  /** Starts the call that waits, under an id. */
  start(id: number): void;
  /** Of what that gives. */
  made(raw: Raw): T;
}

export function inBackground<Raw, T>(
  { call, path, now, start, made }: Background<Raw, T>,
  options: WaitOptions | undefined,
): Promise<T> {
  return wait<T>(call, options, (settle) => {
    const value = now?.();
    if (value !== undefined) {
      settle.resolve(value);
      return () => false;
    }
    const finish = (): boolean => {
      try {
        const { result } = waiting;
        if (result === undefined) return false;
        settle.resolve(made(result.value));
      } catch (error) {
        if ((error as { code?: string }).code === 'ECANCELED') return false;
        settle.reject(error);
      }
      return true;
    };
    const waiting = new BackgroundCall<Raw>(start, finish, path);
    return () => {
      waiting.cancel();
      return !finish();
    };
  });
}

export function inBackgroundSync<Raw, T>(
  { call, path, now, start, made }: Background<Raw, T>,
  options: SyncWaitOptions | undefined,
): T {
  checkTimeout(options);
  const value = now?.();
  if (value !== undefined) return value;
  let waiting: BackgroundCall<Raw> | undefined;
  try {
    const { value: raw } = waitSync(call, options, (sliceMs) => {
      waiting ??= new BackgroundCall<Raw>(start, () => {}, path);
      waiting.sleep(Math.round(sliceMs * 1e6));
      return waiting.result;
    });
    return made(raw);
  } catch (error) {
    // It may have come at the last moment.
    waiting?.cancel();
    const late = lateResult(waiting, error);
    if (late !== undefined) return made(late.value);
    throw error;
  }
}

function lateResult<Raw>(
  waiting: BackgroundCall<Raw> | undefined,
  error: unknown,
): { value: Raw } | undefined {
  try {
    return waiting?.result;
  } catch {
    throw error;
  }
}
