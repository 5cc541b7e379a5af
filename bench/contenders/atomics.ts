/**
 * Atomics on a SharedArrayBuffer: the mutex of three states (Drepper, "Futexes are tricky"), between threads of one
 * process. Atomics.wait reaches no other process, and nobody gives back what a thread held that is gone.
 */
import { workerData } from 'node:worker_threads';
import { LockMemory, lockMemoryBytes, lockOffset } from '../support/lock-memory.js';
import { startWorkerFollow } from '../support/worker-follow.js';
import type { Side, Task } from './contender.js';
import { type Held, locking } from './locking.js';

const free = 0;
const taken = 1;
const takenAndAwaited = 2;

export function open(task: Task): Side {
  const { shape, role } = task;
  if (shape.kind !== 'lock') throw new Error(`there is no ${shape.kind} here`);
  const { parties } = shape;
  const buffer: SharedArrayBuffer = role === 'lead' ? new SharedArrayBuffer(lockMemoryBytes) : workerData;
  if (role === 'lead') {
    for (let index = 1; index < parties; index++) startWorkerFollow(task, { index, workerData: buffer });
  }
  const words = new Int32Array(buffer);
  const locks = Array.from({ length: parties + 1 }, (_, place) => new Futex(words, lockOffset(place) / 4));
  return locking(task, shape, new LockMemory(buffer, parties), {
    waits: 'blocking',
    lock: (place) => (locks[place] as Futex).lock(),
  });
}

class Futex implements Held {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  lock(): this {
    const [words, at] = [this.#words, this.#at];
    let state = Atomics.compareExchange(words, at, free, taken);
    if (state === free) return this;
    if (state !== takenAndAwaited) state = Atomics.exchange(words, at, takenAndAwaited);
    while (state !== free) {
      Atomics.wait(words, at, takenAndAwaited);
      state = Atomics.exchange(words, at, takenAndAwaited);
    }
    return this;
  }

  unlock(): void {
    const before = Atomics.exchange(this.#words, this.#at, free);
    if (before === takenAndAwaited) Atomics.notify(this.#words, this.#at, 1);
  }
}
