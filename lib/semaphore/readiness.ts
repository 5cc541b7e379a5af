/**
 * Waiting until a set is filled in by who makes it: some microseconds, unless that process was stopped or killed right
 * there. Nothing tells of it, so it is looked at again and again.
 */
import { type SyncWaitOptions, type WaitOptions, wait, waitSync } from '../internal/waiting.js';

const lookMs = 1;
const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** What `attempt` gives, once that is not null. */
export function whenReady<T>(options: WaitOptions | undefined, attempt: () => T | null): Promise<T> {
  return wait<T>('semget', options, (settle) => {
    const look = () => {
      try {
        const value = attempt();
        if (value === null) return;
        stop();
        settle.resolve(value);
      } catch (error) {
        stop();
        settle.reject(error);
      }
    };
    const timer = setInterval(look, lookMs);
    const stop = () => clearInterval(timer);
    look();
    return () => {
      stop();
      return true;
    };
  });
}

/** As `whenReady`, blocking the calling thread. */
export function whenReadySync<T>(options: SyncWaitOptions | undefined, attempt: () => T | null): T {
  return waitSync('semget', options, (sliceMs) => {
    const value = attempt();
    if (value !== null) return value;
    if (sliceMs > 0) Atomics.wait(nobodyWakes, 0, 0, Math.min(lookMs, sliceMs));
    return undefined;
  });
}
