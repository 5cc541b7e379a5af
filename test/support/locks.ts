/**
 * Locks of both kinds, had alone, by the same names: most of what holds for a mutex holds for an RwLock that is written
 * through.
 */
import {
  type LockGuard,
  type LockOptions,
  Mutex,
  RwLock,
  type SyncWaitOptions,
  type WaitOptions,
} from 'interproc';

type Memory = Parameters<typeof Mutex.at>[0];
export type Kind = 'Mutex' | 'RwLock';

export const kinds: Kind[] = ['Mutex', 'RwLock'];

export interface Exclusive {
  readonly lock: Mutex | RwLock;
  readonly holder: { pid: number | null; alive: boolean } | null;
  take(options?: WaitOptions): Promise<LockGuard>;
  tryTake(): LockGuard | null;
  takeSync(options?: SyncWaitOptions): LockGuard;
}

/** The lock at `offset`, and how it is had alone. */
export function exclusive(kind: Kind, memory: Memory, offset = 0, options?: LockOptions): Exclusive {
  if (kind === 'Mutex') {
    const lock = Mutex.at(memory, offset, options);
    return {
      lock,
      get holder() {
        return lock.holder;
      },
      take: (wait) => lock.lock(wait),
      tryTake: () => lock.tryLock(),
      takeSync: (wait) => lock.lockSync(wait),
    };
  }
  const lock = RwLock.at(memory, offset, options);
  return {
    lock,
    get holder() {
      return lock.writer;
    },
    take: (wait) => lock.write(wait),
    tryTake: () => lock.tryWrite(),
    takeSync: (wait) => lock.writeSync(wait),
  };
}

/** Where a lock is held by nobody; the sign bit of its first word says that somebody waits. */
export const word = (memory: { buffer: ArrayBuffer }, offset = 0): Int32Array =>
  new Int32Array(memory.buffer, offset, 4);

/** Turns of the event loop: for what must not have happened after them. */
export async function turns(count: number): Promise<void> {
  while (count-- > 0) await new Promise((resolve) => setImmediate(resolve));
}

/**
 * For the head of a peer's script: `exclusive(kind, memory, offset, options)` as above, `had(lock, how)`, which takes it in
 * one of three ways ('async', 'sync', 'try', which tries until it has it), and `turns`.
 */
export const withLocks = `
  const exclusive = (kind, memory, offset = 0, options) => {
    const lock = { Mutex, RwLock }[kind].at(memory, offset, options);
    const alone = kind === 'Mutex' ? ['lock', 'tryLock', 'lockSync'] : ['write', 'tryWrite', 'writeSync'];
    const [take, tryTake, takeSync] = alone.map((name) => (options) => lock[name](options));
    return { lock, take, tryTake, takeSync };
  };
  const turns = async (count) => { while (count-- > 0) await new Promise(setImmediate); };
  const had = async (lock, how) => {
    if (how === 'async') return lock.take();
    if (how === 'sync') return lock.takeSync();
    for (;;) {
      const guard = lock.tryTake();
      if (guard !== null) return guard;
      await turns(1);
    }
  };`;
