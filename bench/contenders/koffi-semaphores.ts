/** koffi and the calls of semaphores. */
import { Buffer } from 'node:buffer';
import type { SemaphoreCalls } from '../scenarios/scenario.js';
import { keysOf, namesOf } from '../support/kernel-objects.js';
import type { Side, Task } from './contender.js';
import { type Gates, gating } from './gating.js';
import { check, isAwaited, libc, onPool } from './libc.js';

const IPC_NOWAIT = 0o4000;

export function openSemaphores(task: Task, shape: SemaphoreCalls): Side {
  const { release, acquire, acquireOnPool } = shape.api === 'posix' ? posix(task, shape) : sysv(task, shape);
  return gating(task, shape, { release, acquire: isAwaited(shape) ? acquireOnPool : acquire });
}

interface Calls extends Gates {
  acquireOnPool(): Promise<unknown>;
}

function posix(task: Task, { work }: SemaphoreCalls): Calls {
  const open = libc<bigint>('void *sem_open(const char *name, int flags)');
  const post = libc('int sem_post(void *semaphore)');
  const wait = libc(`int ${work === 'pair' ? 'sem_trywait' : 'sem_wait'}(void *semaphore)`);
  const names = namesOf(task);
  const [out, back] = [open(`/${names.out}`, 0), open(`/${names.back}`, 0)];
  if (!out || !back) throw new Error('sem_open failed');
  return {
    release: () => void check(post(out), 'sem_post'),
    acquire: () => void check(wait(back), 'sem_wait'),
    acquireOnPool: async () => check(await onPool(wait, back), 'sem_wait'),
  };
}

function sysv(task: Task, { work }: SemaphoreCalls): Calls {
  const find = libc('int semget(int key, int count, int flags)');
  const operate = libc('int semop(int set, const void *operations, size_t count)');
  const keys = keysOf(task);
  const openSet = (key: number) => check(find(key, 0, 0), 'semget');
  const [out, back] = [openSet(keys.out), openSet(keys.back)];
  const raise = operation(1, 0);
  const lower = operation(-1, work === 'pair' ? IPC_NOWAIT : 0);
  return {
    release: () => void check(operate(out, raise, 1), 'semop'),
    acquire: () => void check(operate(back, lower, 1), 'semop'),
    acquireOnPool: async () => check(await onPool(operate, back, lower, 1), 'semop'),
  };
}

/** struct sembuf, of the first semaphore. */
const operation = (delta: number, flags: number): Buffer =>
  Buffer.from(new Int16Array([0, delta, flags]).buffer);
