/**
 * This package over semaphores: pairs by `release` and `tryAcquire`, round trips by `acquireSync`, or by `acquire`
 * awaited; of System V's sets by `tryOp`, `opSync` and `op`.
 */
import { Semaphore, SysvSemaphoreSet } from 'interproc';
import type { SemaphoreCalls } from '../scenarios/scenario.js';
import { keysOf, namesOf } from '../support/kernel-objects.js';
import type { Side, Task } from './contender.js';
import { type Gates, gating } from './gating.js';

export function openSemaphores(task: Task, shape: SemaphoreCalls): Side {
  return gating(task, shape, shape.api === 'posix' ? posix(task, shape) : sysv(task, shape));
}

function posix(task: Task, { work, waiting }: SemaphoreCalls): Gates {
  const names = namesOf(task);
  const [out, back] = [Semaphore.open(names.out), Semaphore.open(names.back)];
  const release = () => out.release();
  if (work === 'pair') {
    return {
      release,
      acquire: () => {
        if (back.tryAcquire() === null) throw notThere();
      },
    };
  }
  if (waiting === 'event-loop') return { release, acquire: () => back.acquire() };
  return { release, acquire: () => void back.acquireSync() };
}

const raise = { index: 0, delta: 1 };
const lower = { index: 0, delta: -1 };

function sysv(task: Task, { work, waiting }: SemaphoreCalls): Gates {
  const keys = keysOf(task);
  const [out, back] = [SysvSemaphoreSet.openSync(keys.out), SysvSemaphoreSet.openSync(keys.back)];
  const release = () => {
    if (!out.tryOp(raise)) throw new Error('it could not be released');
  };
  if (work === 'pair') {
    return {
      release,
      acquire: () => {
        if (!back.tryOp(lower)) throw notThere();
      },
    };
  }
  if (waiting === 'event-loop') return { release, acquire: () => back.op(lower) };
  return { release, acquire: () => back.opSync(lower) };
}

const notThere = () => new Error('it is not there to be acquired');
