/** The semaphores of the soak: two, one of which each side gives permits to, for the other one to take. */
import { Semaphore, SysvSemaphoreSet } from 'interproc';
import { semaphoreOffset } from './counters.js';

/**
 * @typedef {import('interproc').SharedMemory} SharedMemory
 * @typedef {import('interproc').WaitOptions} WaitOptions
 *
 * @typedef {object} Permits One of the two.
 * @property {number} most How many can be taken at once.
 * @property {(count: number) => void} give
 * @property {(count: number, options?: WaitOptions) => Promise<unknown>} take
 * @property {(count: number, options?: { timeout: number }) => unknown} takeSync
 * @property {(count: number) => boolean} tryTake
 * @property {(() => Promise<void>) | undefined} allTaken Waits until there are none.
 * @property {(() => void) | undefined} allTakenSync
 * @property {() => number} value
 * @property {() => void} close
 *
 * @typedef {object} SemaphoreKind
 * @property {(name: string, memory: SharedMemory) => { address: string | number, left(): number, remove(): void }} make
 * @property {(address: any, index: number, memory: SharedMemory) => Permits} open The first one, or the other.
 */

/** @type {Record<string, SemaphoreKind>} */
export const semaphores = {
  // One with a name, and one in memory.
  semaphore: {
    make(name, memory) {
      const named = Semaphore.create(name, { initial: 0 });
      const inMemory = Semaphore.at(memory, semaphoreOffset, { initial: 0 });
      return {
        address: name,
        left: () => named.value + inMemory.value,
        remove() {
          named.unlink();
          named.close();
          inMemory.close();
        },
      };
    },
    open(name, index, memory) {
      const semaphore = index === 0 ? Semaphore.open(name) : Semaphore.at(memory, semaphoreOffset);
      return {
        most: 1,
        give: (count) => semaphore.release(count),
        take: (_, options) => semaphore.acquire(options),
        takeSync: (_, options) => semaphore.acquireSync(options),
        tryTake: () => semaphore.tryAcquire() !== null,
        allTaken: undefined,
        allTakenSync: undefined,
        value: () => semaphore.value,
        close: () => semaphore.close(),
      };
    },
  },

  'semaphore-set': {
    make() {
      const set = SysvSemaphoreSet.create(null, { count: 2 });
      return {
        address: set.id,
        left: () => set.getAll().reduce((sum, value) => sum + value),
        remove: () => set.remove(),
      };
    },
    open(id, index) {
      const set = SysvSemaphoreSet.fromId(id);
      return {
        most: 3,
        give(count) {
          if (!set.tryOp({ index, delta: count })) throw new Error('what only gives has not been done');
        },
        take: (count, options) => set.op({ index, delta: -count }, options),
        takeSync: (count, options) => set.opSync({ index, delta: -count }, options),
        tryTake: (count) => set.tryOp({ index, delta: -count }),
        allTaken: () => set.op({ index, delta: 0 }),
        allTakenSync: () => set.opSync({ index, delta: 0 }),
        value: () => set.get(index),
        close: () => set.close(),
      };
    },
  },
};
