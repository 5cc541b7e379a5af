/**
 * What POSIX says of sem_wait, sem_trywait, sem_timedwait, sem_post and sem_getvalue, of named semaphores and of those in
 * shared memory. The numbers are those of the assertions that docs/conformance.md lists.
 */
import { Semaphore, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { misuse } from '../support/failures.js';
import { semaphoreName, shmName } from '../support/names.js';
import { party, users, type World } from './party.js';

const timedOut = expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT', syscall: 'sem_wait' });

const kinds = [
  {
    kind: 'named',
    make: (initial: number) => {
      const name = semaphoreName();
      Semaphore.create(name, { initial, mode: 0o666 }).close();
      return name;
    },
    open: ({ closing, mine, Semaphore }: World, name: string) => {
      mine.sem = closing(Semaphore.open(name));
    },
  },
  {
    kind: 'unnamed',
    make: (initial: number) => {
      const name = shmName();
      using memory = SharedMemory.create(name, { size: 4096, mode: 0o666 });
      Semaphore.at(memory, 128, { initial }).close();
      return name;
    },
    open: ({ closing, mine, Semaphore, SharedMemory }: World, name: string) => {
      const memory = SharedMemory.open(name);
      mine.sem = closing(Semaphore.at(memory, 128));
      memory.close();
    },
  },
];

describe.each(users.flatMap((user) => kinds.map((each) => ({ user, ...each }))))(
  'a $kind semaphore, as $user',
  ({ user, make, open }) => {
    const one = party(user);
    const other = party(user);
    const third = party(user);

    /** `mine.sem` in all three. */
    async function openInAll(initial: number): Promise<void> {
      const name = make(initial);
      for (const each of [one, other, third]) await each.run(open, name);
    }

    const value = (where: typeof one) => where.run(({ mine }) => mine.sem.value);

    it('sem_wait 1, 9, sem_timedwait 1, 4: takes one', async () => {
      await openInAll(4);
      await one.run(async ({ assert, mine }) => {
        for (const [take, left] of [
          [() => mine.sem.acquire(), 3],
          [() => mine.sem.acquire({ timeout: 50_000 }), 2],
          [() => mine.sem.acquireSync(), 1],
          [() => mine.sem.acquireSync({ timeout: 50_000 }), 0],
        ] as const) {
          assert.ok(await take());
          assert.equal(mine.sem.value, left);
        }
      });
      expect(await value(other)).toBe(0);
    });

    it('sem_wait 3, 13, sem_timedwait 2: waits at 0 until somebody posts', async () => {
      await openInAll(0);
      for (const wait of [{}, { timeout: 50_000 }]) {
        const acquired = one.run(async ({ mine }, wait) => {
          await mine.sem.acquire(wait);
          return mine.sem.value;
        }, wait);
        await one.run(() => {}); // so it waits by now
        await other.run(({ mine }) => mine.sem.release());
        expect(await acquired).toBe(0);
        const sync = one.run(async ({ mine, tell }, wait) => {
          await tell();
          mine.sem.acquireSync(wait);
          return mine.sem.value;
        }, wait);
        await one.told();
        await one.asleep();
        await other.run(({ mine }) => mine.sem.release());
        expect(await sync).toBe(0);
      }
    });

    it.each(['acquire', 'acquireSync'])(
      'sem_wait 4: one that is killed in %s takes nothing with it',
      async (call) => {
        await openInAll(0);
        const killed = one.run(async ({ mine, tell }, call) => {
          await tell();
          return mine.sem[call]();
        }, call);
        await one.told();
        await one.asleep();
        const acquired = other.run(async ({ mine }) => {
          await mine.sem.acquire();
        });
        await other.run(() => {});
        await one.kill();
        await expect(killed).rejects.toThrow('SIGKILL');
        await third.run(({ mine }) => mine.sem.release());
        await acquired;
        expect(await value(third)).toBe(0);
      },
    );

    it('sem_wait 5, 12: at 0 sem_trywait gives null, and changes nothing', async () => {
      await openInAll(0);
      expect(await one.run(({ mine }) => [mine.sem.tryAcquire(), mine.sem.tryAcquire()])).toEqual([
        null,
        null,
      ]);
      expect(await value(other)).toBe(0);
    });

    it('sem_wait 11: sem_trywait takes one', async () => {
      await openInAll(2);
      await one.run(({ assert, mine }) => {
        assert.notEqual(mine.sem.tryAcquire(), null);
        assert.equal(mine.sem.value, 1);
        assert.notEqual(mine.sem.tryAcquire(), null);
        assert.equal(mine.sem.tryAcquire(), null);
      });
      expect(await value(other)).toBe(0);
    });

    it('sem_wait 7, sem_timedwait 9: a signal ends no wait', async () => {
      await openInAll(0);
      for (const timeout of [Number.POSITIVE_INFINITY, 50_000]) {
        const acquired = one.run(async ({ mine, tell }, timeout) => {
          let signals = 0;
          process.on('SIGUSR1', () => signals++);
          await tell();
          mine.sem.acquireSync({ timeout });
          while (signals === 0) await new Promise(setImmediate);
        }, timeout);
        await one.told();
        for (let i = 0; i < 10; i++) {
          await one.asleep();
          process.kill(one.pid, 'SIGUSR1');
        }
        await one.asleep();
        expect(await value(other)).toBe(0);
        await other.run(({ mine }) => mine.sem.release());
        await acquired;
        expect(await value(other)).toBe(0);
      }
    });

    it('sem_timedwait 3, 7: one that times out, at once or later, or is aborted takes nothing', async () => {
      await openInAll(0);
      const failures = await one.run(async ({ failureOf, mine }) => {
        const abort = new AbortController();
        const aborted = failureOf(() => mine.sem.acquire({ signal: abort.signal }));
        abort.abort();
        return [
          await failureOf(() => mine.sem.acquire({ timeout: 0 })),
          await failureOf(() => mine.sem.acquire({ timeout: 1.5 })),
          await failureOf(() => mine.sem.acquireSync({ timeout: 0 })),
          await failureOf(() => mine.sem.acquireSync({ timeout: 1.5 })),
          await aborted,
        ];
      });
      expect(failures.slice(0, 4)).toEqual([1, 2, 3, 4].map(() => timedOut));
      expect(failures[4]).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      await other.run(({ mine }) => mine.sem.release());
      expect(await value(one)).toBe(1);
    });

    it('sem_timedwait 6: a timeout that is none is misuse', async () => {
      await openInAll(1);
      const failures = await one.run(async ({ failureOf, mine }) => {
        const failures = [];
        for (const timeout of [-1, Number.NaN, Number.NEGATIVE_INFINITY]) {
          failures.push(await failureOf(() => mine.sem.acquire({ timeout })));
          failures.push(await failureOf(() => mine.sem.acquireSync({ timeout })));
        }
        return failures;
      });
      expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'timeout')));
      expect(await value(one)).toBe(1);
    });

    it('sem_timedwait 11: where it can be had at once no timeout is too short', async () => {
      await openInAll(3);
      await one.run(async ({ mine }) => {
        await mine.sem.acquire({ timeout: 0 });
        await mine.sem.acquire({ timeout: Number.MIN_VALUE });
        mine.sem.acquireSync({ timeout: 0 });
      });
      expect(await value(other)).toBe(0);
    });

    it('sem_post 1, 2, 4: adds one, or lets one go on that waits', async () => {
      await openInAll(0);
      await one.run(({ assert, mine }) => {
        assert.equal(mine.sem.release(), undefined);
        assert.equal(mine.sem.value, 1);
        mine.sem.release(2);
      });
      expect(await value(other)).toBe(3);
      const acquired = [other, third].map((each) =>
        each.run(({ mine }) =>
          Promise.all([mine.sem.acquire(), mine.sem.acquire(), mine.sem.acquire()]).then(() => {}),
        ),
      );
      await Promise.all([other.run(() => {}), third.run(() => {})]);
      for (let i = 0; i < 3; i++) await one.run(({ mine }) => mine.sem.release());
      await Promise.all(acquired);
      expect(await value(one)).toBe(0);
    });

    it('sem_post: above the highest value is EOVERFLOW, and changes nothing', async () => {
      await openInAll(2_147_483_645);
      const failures = await one.run(async ({ assert, failureOf, mine }) => {
        mine.sem.release();
        const failures = [await failureOf(() => mine.sem.release(2))];
        assert.equal(mine.sem.value, 2_147_483_646);
        mine.sem.release();
        failures.push(await failureOf(() => mine.sem.release()));
        return failures;
      });
      for (const failure of failures) {
        expect(failure).toMatchObject({ name: 'IpcError', code: 'EOVERFLOW', syscall: 'sem_post' });
      }
      expect(await value(other)).toBe(2_147_483_647);
    });

    it('sem_post 5: goes on through signals, and is counted once', async () => {
      await openInAll(0);
      const posted = one.run(async ({ mine, tell }) => {
        let signals = 0;
        process.on('SIGUSR1', () => signals++);
        await tell();
        let posted = 0;
        while (signals === 0 || posted < 20_000) {
          mine.sem.release();
          if (++posted % 1000 === 0) await new Promise(setImmediate);
        }
        return posted;
      });
      await one.told();
      for (let i = 0; i < 50; i++) {
        process.kill(one.pid, 'SIGUSR1');
        await new Promise(setImmediate);
      }
      expect(await value(other)).toBeLessThanOrEqual(await posted);
      expect(await value(other)).toBe(await posted);
    });

    it("sem_post 6: can be called from a signal's listener", async () => {
      await openInAll(0);
      await one.run(({ mine }) => {
        process.once('SIGUSR1', () => mine.sem.release());
      });
      const acquired = other.run(async ({ mine }) => {
        await mine.sem.acquire();
      });
      await other.run(() => {});
      process.kill(one.pid, 'SIGUSR1');
      await acquired;
    });

    it('sem_getvalue 1, 4, 5: tells the value, and changes nothing', async () => {
      await openInAll(7);
      for (const each of [one, other, one]) expect(await value(each)).toBe(7);
      await one.run(({ mine }) => mine.sem.tryAcquire());
      for (const each of [one, other, one]) expect(await value(each)).toBe(6);
    });

    it('sem_getvalue 2: is 0 while others wait', async () => {
      await openInAll(0);
      const acquired = [one, other].map((each) => each.run(({ mine }) => mine.sem.acquire().then(() => {})));
      await Promise.all([one.run(() => {}), other.run(() => {})]);
      expect(await value(third)).toBe(0);
      await third.run(({ mine }) => mine.sem.release(2));
      await Promise.all(acquired);
    });
  },
);
