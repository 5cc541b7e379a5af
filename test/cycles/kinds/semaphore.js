import { Semaphore, SharedMemory, SysvSemaphoreSet } from 'interproc';
import { aborted, close, closedInWait, timedOut } from './place.js';

/** @type {Record<string, import('./place.js').Kind>} */
export const semaphoreKinds = {
  Semaphore:
    ({ name }) =>
    (drop) => {
      const semaphore = Semaphore.create(name, { initial: 1 });
      const opened = Semaphore.open(name);
      Semaphore.unlink(name);
      semaphore.tryAcquire();
      opened.release();
      close(drop, semaphore, opened);
    },
  'Semaphore.at': () => (drop) => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    const semaphore = Semaphore.at(memory, 64, { initial: 1 });
    const permit = semaphore.tryAcquire();
    if (!drop) permit?.release();
    close(drop, semaphore, memory);
  },
  'Semaphore that is waited for': ({ name }) => {
    return async (drop) => {
      const semaphore = Semaphore.create(name, { initial: 0 });
      semaphore.unlink();
      await aborted(
        (options) => semaphore.acquire(options),
        (options) => semaphore.acquire(options),
      );
      if (drop) await timedOut(() => semaphore.acquire({ timeout: 0.01 }));
      if (!drop) await closedInWait(semaphore, () => semaphore.acquire());
    };
  },
  SysvSemaphoreSet:
    ({ key }) =>
    (drop) => {
      const set = SysvSemaphoreSet.create(key, { count: 2, initial: 1 });
      const opened = SysvSemaphoreSet.tryOpen(key);
      opened?.tryOp({ index: 0, delta: -1, undo: true });
      set.remove();
      close(drop, set);
      if (!drop) opened?.close();
    },
  'SysvSemaphoreSet that is waited for': ({ key }) => {
    return async (drop) => {
      const set = SysvSemaphoreSet.create(key, { count: 2, initial: 0 });
      await aborted(
        (options) => set.op({ index: 0, delta: -1 }, options),
        (options) => set.op({ index: 1, delta: -1, undo: true }, options),
      );
      const gone = set.op({ index: 0, delta: -1 }).catch(() => {});
      set.remove();
      await gone;
      close(drop, set);
    };
  },
};
