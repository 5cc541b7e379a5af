/** What those do who take locks: how they pass them on, and what they find out. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Task } from '../../bench/contenders/contender.js';
import { type Calls, type Held, locking } from '../../bench/contenders/locking.js';
import type { LockCalls } from '../../bench/scenarios/scenario.js';
import { LockMemory, lockMemoryBytes, lockOffset } from '../../bench/support/lock-memory.js';
import { smallestShareOf } from '../../bench/support/samples.js';

/** A lock of this process, for tasks. */
class TaskLock implements Held {
  #held = false;
  readonly #waiting: (() => void)[] = [];

  async lock(): Promise<this> {
    while (this.#held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#held = true;
    return this;
  }

  unlock(): void {
    expect(this.#held).toBe(true);
    this.#held = false;
    this.#waiting.shift()?.();
  }
}

describe('those who share locks', () => {
  const parties = 4;
  let buffer: SharedArrayBuffer;
  let locks: TaskLock[];
  let calls: Calls;

  beforeEach(() => {
    buffer = new SharedArrayBuffer(lockMemoryBytes);
    // All have come already: in one process nobody may block until the others have.
    new Int32Array(buffer)[0] = 1000;
    locks = Array.from({ length: parties + 1 }, () => new TaskLock());
    calls = { waits: 'awaiting', lock: (place) => (locks[place] as TaskLock).lock() };
  });

  const sidesOf = (work: LockCalls['work'], heldUs = 0) =>
    Array.from({ length: parties }, (_, index) => {
      const task = { role: index === 0 ? 'lead' : 'follow', index, most: 400 } as Task;
      const memory = new LockMemory(buffer, parties);
      return locking(task, { kind: 'lock', work, parties, heldUs }, memory, calls);
    });

  it('pass them on round the ring, and keep the time of each that they were handed', async () => {
    const sides = sidesOf('hand-over', 1);
    for (const count of [4, 400]) {
      await Promise.all(sides.map((side) => side.prepare?.()));
      await Promise.all(sides.map((side) => side.run(count)));
      const latencies = sides.map((side) => side.latencies?.() ?? []);
      // The first one to step takes the lock that nobody has.
      expect(latencies.map(({ length }) => length)).toEqual(
        [100, 100, 100, 99].map((n) => n - 100 + count / 4),
      );
      expect(latencies.flat().every((ns) => ns > 0)).toBe(true);
      expect(await Promise.all(locks.map((lock) => lock.lock()))).toEqual(locks);
      for (const lock of locks) lock.unlock();
    }
  });

  it('contend until they have had as many as are wanted, and tell what each had', async () => {
    const sides = sidesOf('contended');
    for (const count of [1, 400]) {
      await Promise.all(sides.map((side) => side.prepare?.()));
      await Promise.all(sides.map((side) => side.run(count)));
      const shares = sides.map((side) => side.share?.() ?? 0);
      expect(shares.reduce((sum, share) => sum + share)).toBe(count);
    }
  });

  it('find a lock that two have held', async () => {
    const [side] = sidesOf('contended');
    await side?.prepare?.();
    new Int32Array(buffer, lockOffset(0) - 128 + 4)[0] = 7;
    await expect(side?.run(1)).rejects.toThrow('two sides have held the lock');
  });

  it('had the same if the smallest share is 1', () => {
    expect(smallestShareOf([100, 100])).toBe(1);
    expect(smallestShareOf([0, 100])).toBe(0);
    expect(smallestShareOf([50, 250, 200, 300])).toBe(0.25);
  });
});
