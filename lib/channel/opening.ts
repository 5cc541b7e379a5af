/**
 * Waiting until a channel exists: word of its folder (man 7 inotify), and a slow look for what no folder tells: it is
 * not there yet, or was removed and made anew; who makes the channel on a file system without O_TMPFILE is done with it.
 */
import { type FSWatcher, watch } from 'node:fs';
import type { IpcError } from '../errors.js';
import { type SyncWaitOptions, type WaitOptions, wait, waitSync } from '../internal/waiting.js';
import { fileNameOf, folderOf, type Target } from './target.js';

const lookAgainMs = 100;
const napMs = 1;

/** Another process is joining or leaving it, or was stopped in the middle of that. */
function isBusy(error: unknown): boolean {
  const { code, syscall } = error as Partial<IpcError>;
  return code === 'EBUSY' && syscall === 'fcntl_locking';
}

/** Null also while it is busy: that is soon over, and no folder tells of it. */
function unlessBusy<T>(attempt: () => T | null): T | null {
  try {
    return attempt();
  } catch (error) {
    if (isBusy(error)) return null;
    throw error;
  }
}

/** Resolves with what `attempt` gives, once that is not null. Rejects with what it throws, unless that is soon over. */
export function whenThere<T>(
  target: Target,
  options: WaitOptions | undefined,
  attempt: () => T | null,
): Promise<T> {
  return wait<T>('open', options, (settle) => {
    let watcher: FSWatcher | undefined;
    const stop = () => {
      watcher?.close();
      clearInterval(timer);
    };
    const look = () => {
      try {
        const opened = unlessBusy(attempt);
        if (opened === null) return;
        stop();
        settle.resolve(opened);
      } catch (error) {
        stop();
        settle.reject(error);
      }
    };
    const timer = setInterval(look, lookAgainMs);
    try {
      // Watched first, so that nothing is missed between the look and the watch.
      watcher = watch(folderOf(target), (_event, file) => {
        if (file === null || file === fileNameOf(target)) look();
      });
      watcher.on('error', () => {}); // the looks go on
    } catch {
      // No such folder yet, or no more watches (fs.inotify.max_user_instances).
    }
    look();
    return () => {
      stop();
      return true;
    };
  });
}

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** As `whenThere`, blocking the calling thread. */
export function whenThereSync<T>(options: SyncWaitOptions | undefined, attempt: () => T | null): T {
  return waitSync('open', options, (sliceMs) => {
    const opened = unlessBusy(attempt);
    if (opened !== null) return opened;
    if (sliceMs > 0) Atomics.wait(nobodyWakes, 0, 0, Math.min(napMs, sliceMs));
    return undefined;
  });
}
