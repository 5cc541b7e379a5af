/** System V queues and semaphore sets for tests, and POSIX semaphores: closed and removed when the test is over. */
import { readdirSync, readFileSync } from 'node:fs';
import {
  Semaphore,
  SysvMessageQueue,
  type SysvMessageQueueOptions,
  SysvSemaphoreSet,
  type SysvSemaphoreSetCreateOptions,
} from 'interproc';
import { onTestFinished } from 'vitest';
import { semaphoreName } from './names.js';

interface SysvObject {
  readonly id: number;
  close(): void;
}

interface Kind {
  list(): { id: number }[];
  remove(id: number): void;
}

function removedAfterwards<T extends SysvObject>(kind: Kind, object: T): T {
  onTestFinished(() => {
    object.close();
    if (kind.list().some(({ id }) => id === object.id)) kind.remove(object.id);
  });
  return object;
}

/** A queue without a key: others open it by its id. */
export function makeQueue(options?: SysvMessageQueueOptions): SysvMessageQueue {
  return removedAfterwards(SysvMessageQueue, SysvMessageQueue.create(null, options));
}

/** A set without a key: others open it by its id. */
export function makeSet(options: Partial<SysvSemaphoreSetCreateOptions> = {}): SysvSemaphoreSet {
  return removedAfterwards(SysvSemaphoreSet, SysvSemaphoreSet.create(null, { count: 1, ...options }));
}

/** A named semaphore. */
export function makeSemaphore(initial = 0): Semaphore {
  const semaphore = Semaphore.create(semaphoreName(), { initial });
  onTestFinished(() => semaphore.close());
  return semaphore;
}

/** Texts of all messages that are there, with their types. */
export function drain(queue: SysvMessageQueue): string[] {
  const texts = [];
  for (let next = queue.tryReceive(); next !== null; next = queue.tryReceive())
    texts.push(`${next.type} ${next.data}`);
  return texts;
}

/** How many threads of a process sleep in a kernel function whose name matches (proc(5), wchan). */
export function sleepers(inFunction: RegExp, pid: number | 'self' = 'self'): number {
  return readdirSync(`/proc/${pid}/task`).filter((task) => {
    try {
      return inFunction.test(readFileSync(`/proc/${pid}/task/${task}/wchan`, 'utf8'));
    } catch {
      return false; // it has ended meanwhile
    }
  }).length;
}
