/**
 * This package's Mutex: `lockSync` and `unlock`; for `interproc-try` `tryLock`, which gets it always, and for
 * `interproc-event-loop` `lock` awaited.
 */
import { Mutex, type MutexGuard, SharedMemory } from 'interproc';
import type { LockCalls } from '../scenarios/scenario.js';
import { LockMemory, lockOffset } from '../support/lock-memory.js';
import type { Side, Task } from './contender.js';
import { type Calls, locking } from './locking.js';

export function openLocks(task: Task, shape: LockCalls): Side {
  const memory = SharedMemory.fromFd(task.handed[0] as number);
  const mutexes = Array.from({ length: shape.parties + 1 }, (_, place) =>
    Mutex.at(memory, lockOffset(place)),
  );
  const mutex = (place: number) => mutexes[place] as Mutex;
  const calls: Record<string, Calls> = {
    interproc: { waits: 'blocking', lock: (place) => mutex(place).lockSync() },
    'interproc-try': { waits: 'blocking', lock: (place) => notNull(mutex(place).tryLock()) },
    'interproc-event-loop': { waits: 'awaiting', lock: (place) => mutex(place).lock() },
  };
  return locking(task, shape, new LockMemory(memory.buffer, shape.parties), calls[task.contender] as Calls);
}

function notNull(guard: MutexGuard | null): MutexGuard {
  if (guard === null) throw new Error('somebody else has the lock');
  return guard;
}
