/**
 * What the manual page semop(2) says of semop and semtimedop, as processes see it. A name begins with the call and, where
 * it is about an error, with its code: docs/conformance.md lists them.
 */
import { describe, expect, it } from 'vitest';
import { misuse, systemError } from '../support/failures.js';
import { setKey } from '../support/names.js';
import { party, users } from './party.js';

const timedOut = expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT', syscall: 'semop' });

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);
  const third = party(user);

  /** `mine.set` in all three. */
  async function openInAll(...initial: number[]): Promise<void> {
    const key = setKey();
    await one.run(
      ({ closing, mine, SysvSemaphoreSet }, key, initial) => {
        mine.set = closing(SysvSemaphoreSet.create(key, { count: initial.length, initial }));
      },
      key,
      initial,
    );
    for (const each of [other, third]) {
      await each.run(({ closing, mine, SysvSemaphoreSet }, key) => {
        mine.set = closing(SysvSemaphoreSet.openSync(key));
      }, key);
    }
  }

  const values = (where = third) => where.run(({ mine }) => mine.set.getAll());
  /** Until so many wait for a semaphore, which the kernel counts. */
  const waited = (index: number, forIncrease: number, forZero = 0) =>
    third.run(
      async ({ mine }, index, expected) => {
        for (;;) {
          const { forIncrease, forZero } = mine.set.waiting(index);
          if (forIncrease === expected.forIncrease && forZero === expected.forZero) return;
          await new Promise(setImmediate);
        }
      },
      index,
      { forIncrease, forZero },
    );

  it('semop: above 0 adds, below 0 takes where that is there, and 0 passes at 0', async () => {
    await openInAll(5, 0);
    await one.run(async ({ assert, mine }) => {
      const { set } = mine;
      assert.equal(set.tryOp({ index: 0, delta: 3 }), true);
      assert.equal(await set.op({ index: 0, delta: -2 }), undefined);
      assert.equal(set.opSync({ index: 0, delta: -5 }), undefined);
      assert.equal(set.tryOp({ index: 1, delta: 0 }), true);
    });
    expect(await values()).toEqual([1, 0]);
  });

  it('semop: all operations are done or none', async () => {
    await openInAll(1, 0, 3);
    const done = await one.run(({ mine }) => [
      mine.set.tryOp([
        { index: 0, delta: -1 },
        { index: 1, delta: -1 },
        { index: 2, delta: 5 },
      ]),
      mine.set.tryOp([
        { index: 2, delta: -3 },
        { index: 0, delta: -2 },
      ]),
      mine.set.tryOp([
        { index: 0, delta: -1 },
        { index: 2, delta: -3 },
        { index: 1, delta: 1 },
      ]),
    ]);
    expect(done).toEqual([false, false, true]);
    expect(await values()).toEqual([0, 1, 0]);
  });

  it('semop: they are done in their order, so that a lock waits for 0 and adds 1', async () => {
    await openInAll(0);
    const lock = [
      { index: 0, delta: 0 },
      { index: 0, delta: 1 },
    ];
    const done = await one.run(({ mine }, lock) => [mine.set.tryOp(lock), mine.set.tryOp(lock)], lock);
    expect(done).toEqual([true, false]);
    const reversed = await other.run(({ mine }, lock) => mine.set.tryOp(lock), [...lock].reverse());
    expect(reversed).toBe(false);
    expect(await values()).toEqual([1]);
  });

  it('semop EAGAIN: what may not wait is false, and an operation with IPC_NOWAIT an error', async () => {
    await openInAll(0, 2);
    const { tried, failures } = await one.run(async ({ failureOf, mine }) => {
      const { set } = mine;
      const ops = [
        { index: 1, delta: -1 },
        { index: 0, delta: -1, noWait: true },
      ];
      return {
        tried: [set.tryOp({ index: 0, delta: -1 }), set.tryOp({ index: 1, delta: 0 })],
        failures: [
          await failureOf(() => set.op(ops)),
          await failureOf(() => set.opSync(ops)),
          await failureOf(() => set.op({ index: 1, delta: 0, noWait: true })),
        ],
      };
    });
    expect(tried).toEqual([false, false]);
    for (const failure of failures)
      expect(failure).toMatchObject({ name: 'IpcError', code: 'EAGAIN', syscall: 'semop' });
    expect(await values()).toEqual([0, 2]);
  });

  it.each(['op', 'opSync'])(
    'semop: %s below 0 waits until so much is there, and semncnt counts who waits',
    async (call) => {
      await openInAll(1);
      const done = one.run(async ({ mine, tell }, call) => {
        await tell();
        await mine.set[call]({ index: 0, delta: -3 });
      }, call);
      await one.told();
      await waited(0, 1);
      await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: 1 }));
      expect(await values()).toEqual([2]);
      await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: 1 }));
      await done;
      expect(await values()).toEqual([0]);
      await waited(0, 0);
    },
  );

  it.each(['op', 'opSync'])(
    'semop: %s of 0 waits until it is 0, and semzcnt counts who waits',
    async (call) => {
      await openInAll(2);
      const done = one.run(async ({ mine, tell }, call) => {
        await tell();
        await mine.set[call]({ index: 0, delta: 0 });
      }, call);
      await one.told();
      await waited(0, 0, 1);
      await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: -1 }));
      await waited(0, 0, 1);
      await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: -1 }));
      await done;
      await waited(0, 0, 0);
    },
  );

  it('semop: one that waits for several takes them all at once, and nothing before', async () => {
    await openInAll(1, 0);
    const both = [
      { index: 0, delta: -1 },
      { index: 1, delta: -1 },
    ];
    const done = one.run(({ mine }, both) => mine.set.op(both), both);
    await one.run(() => {});
    await waited(1, 1);
    expect(await values()).toEqual([1, 0]);
    // Somebody takes what it needs, in between.
    await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: -1 }));
    await other.run(({ mine }) => mine.set.tryOp({ index: 1, delta: 1 }));
    expect(await values()).toEqual([0, 1]);
    await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: 1 }));
    await done;
    expect(await values()).toEqual([0, 0]);
  });

  it('semop E2BIG: more operations than SEMOPM, which the error names', async () => {
    await openInAll(0);
    const { failures, semopm } = await one.run(async ({ failureOf, fs, mine }) => {
      const semopm = Number(fs.readFileSync('/proc/sys/kernel/sem', 'utf8').trim().split('\t')[2]);
      const ops = Array.from({ length: semopm + 1 }, () => ({ index: 0, delta: 1 }));
      const failures = [
        await failureOf(() => mine.set.tryOp(ops)),
        await failureOf(() => mine.set.op(ops)),
        await failureOf(() => mine.set.opSync(ops)),
      ];
      mine.set.tryOp(ops.slice(1));
      return { failures, semopm };
    });
    for (const failure of failures) {
      expect(failure).toEqual(systemError('E2BIG', 'semop'));
      expect(failure?.message).toMatch(
        new RegExp(`\\b${semopm}\\b.*kernel\\.sem|kernel\\.sem.*\\b${semopm}\\b`),
      );
    }
    expect(await values()).toEqual([semopm]);
  });

  it('semop EFBIG: an index outside of the set is misuse, and nothing is done', async () => {
    await openInAll(1, 1);
    const failures = await one.run(async ({ failureOf, mine }) => {
      const failures = [];
      for (const index of [-1, 2, 0.5, 65_536]) {
        const ops = [
          { index: 0, delta: 1 },
          { index, delta: 1 },
        ];
        failures.push(
          await failureOf(() => mine.set.tryOp(ops)),
          await failureOf(() => mine.set.op(ops)),
          await failureOf(() => mine.set.opSync(ops)),
        );
      }
      return failures;
    });
    expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'index')));
    expect(await values()).toEqual([1, 1]);
  });

  it('semop ERANGE: above 32767, and nothing is done', async () => {
    await openInAll(32_766, 0);
    const failures = await one.run(async ({ failureOf, mine }) => {
      const ops = [
        { index: 1, delta: 1 },
        { index: 0, delta: 2 },
      ];
      return [
        await failureOf(() => mine.set.tryOp(ops)),
        await failureOf(() => mine.set.op(ops)),
        await failureOf(() => mine.set.opSync(ops)),
      ];
    });
    expect(failures).toEqual(failures.map(() => systemError('ERANGE', 'semop')));
    expect(await values()).toEqual([32_766, 0]);
  });

  it('semop EINVAL: no operation at all is misuse, and so is a delta that is none', async () => {
    await openInAll(1);
    const failures = await one.run(async ({ failureOf, mine }) => {
      const failures = [await failureOf(() => mine.set.tryOp([]))];
      for (const delta of [1.5, Number.NaN, 32_768, -32_769, '1', undefined]) {
        failures.push(await failureOf(() => mine.set.tryOp({ index: 0, delta })));
      }
      return failures;
    });
    for (const failure of failures)
      expect(failure?.code).toMatch(/^ERR_(OUT_OF_RANGE|INVALID_ARG_(TYPE|VALUE))$/);
    expect(await values()).toEqual([1]);
  });

  it.each(['op', 'opSync'])('semop EIDRM: a set that is removed ends the wait of %s', async (call) => {
    await openInAll(0);
    const failed = one.run(async ({ failureOf, mine, tell }, call) => {
      await tell();
      return failureOf(() => mine.set[call]({ index: 0, delta: -1 }));
    }, call);
    await one.told();
    await waited(0, 1);
    await other.run(({ mine }) => mine.set.remove());
    expect(await failed).toEqual(systemError('EIDRM', 'semop'));
  });

  it('semop EIDRM: also where it is removed in the turn in which the wait begins', async () => {
    const codes = await one.run(async ({ failureOf, removing, SysvSemaphoreSet }) => {
      const codes = [];
      for (let round = 0; round < 50; round++) {
        const set = removing(SysvSemaphoreSet.create(null, { count: 1 }));
        const failed = failureOf(() => set.op({ index: 0, delta: -1 }));
        set.remove();
        codes.push((await failed)?.code);
      }
      return codes;
    });
    expect(codes).toEqual(codes.map(() => 'EIDRM'));
  });

  it('semop EINTR: a signal ends no wait', async () => {
    await openInAll(0);
    const done = one.run(async ({ mine, tell }) => {
      let signals = 0;
      process.on('SIGUSR1', () => signals++);
      await tell();
      mine.set.opSync({ index: 0, delta: -1 });
      while (signals === 0) await new Promise(setImmediate);
    });
    await one.told();
    for (let i = 0; i < 10; i++) {
      await one.asleep();
      process.kill(one.pid, 'SIGUSR1');
    }
    await one.asleep();
    await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: 1 }));
    await done;
    expect(await values()).toEqual([0]);
  });

  it('semtimedop EAGAIN: one that times out, at once or later, or is aborted does nothing', async () => {
    await openInAll(0, 5);
    const failures = await one.run(async ({ failureOf, mine }) => {
      const ops = [
        { index: 1, delta: -1 },
        { index: 0, delta: -1 },
      ];
      const abort = new AbortController();
      const aborted = failureOf(() => mine.set.op(ops, { signal: abort.signal }));
      abort.abort();
      return [
        await failureOf(() => mine.set.op(ops, { timeout: 0 })),
        await failureOf(() => mine.set.op(ops, { timeout: 1.5 })),
        await failureOf(() => mine.set.opSync(ops, { timeout: 0 })),
        await failureOf(() => mine.set.opSync(ops, { timeout: 1.5 })),
        await aborted,
      ];
    });
    expect(failures.slice(0, 4)).toEqual([1, 2, 3, 4].map(() => timedOut));
    expect(failures[4]).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    expect(await values()).toEqual([0, 5]);
    await one.run(({ mine }) => mine.set.op({ index: 1, delta: -5 }, { timeout: 0 }));
    expect(await values()).toEqual([0, 0]);
    await waited(0, 0);
  });

  it('semtimedop EINVAL: a timeout that is none is misuse', async () => {
    await openInAll(1);
    const failures = await one.run(async ({ failureOf, mine }) => {
      const failures = [];
      for (const timeout of [-1, Number.NaN, Number.NEGATIVE_INFINITY]) {
        failures.push(await failureOf(() => mine.set.op({ index: 0, delta: -1 }, { timeout })));
        failures.push(await failureOf(() => mine.set.opSync({ index: 0, delta: -1 }, { timeout })));
      }
      return failures;
    });
    expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'timeout')));
    expect(await values()).toEqual([1]);
  });

  it.each(['op', 'opSync'])(
    'semop: one that is killed in %s takes nothing, and is counted no more',
    async (call) => {
      await openInAll(0);
      const killed = one.run(async ({ mine, tell }, call) => {
        await tell();
        await mine.set[call]({ index: 0, delta: -1 });
      }, call);
      await one.told();
      await waited(0, 1);
      await one.kill();
      await expect(killed).rejects.toThrow('SIGKILL');
      await waited(0, 0);
      await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: 1 }));
      expect(await values()).toEqual([1]);
    },
  );

  it('semop: SEM_UNDO gives back what a process took when it is killed, and takes what it gave', async () => {
    await openInAll(5, 0, 5);
    await one.run(async ({ mine }) => {
      mine.set.tryOp({ index: 0, delta: -2, undo: true });
      await mine.set.op([
        { index: 0, delta: -1, undo: true },
        { index: 1, delta: 4, undo: true },
      ]);
      mine.set.opSync({ index: 2, delta: -1 });
    });
    expect(await values()).toEqual([2, 4, 4]);
    await one.kill();
    expect(await values()).toEqual([5, 0, 4]);
  });

  it('semop: what SEM_UNDO gives back lets those go on who wait for it', async () => {
    await openInAll(1);
    await one.run(({ mine }) => mine.set.tryOp({ index: 0, delta: -1, undo: true }));
    const done = other.run(({ mine }) => mine.set.op({ index: 0, delta: -1 }));
    await other.run(() => {});
    await waited(0, 1);
    await one.kill();
    await done;
    expect(await values()).toEqual([0]);
  });

  it('semctl: SETVAL and SETALL forget what was to be undone', async () => {
    await openInAll(5, 5);
    await one.run(({ mine }) => {
      mine.set.tryOp([
        { index: 0, delta: -1, undo: true },
        { index: 1, delta: -1, undo: true },
      ]);
      mine.set.set(0, 2);
    });
    await one.kill();
    expect(await values()).toEqual([2, 5]);
  });

  it('semop: of several that wait each gets what it asked for, once', async () => {
    await openInAll(0);
    const done = [one, other].map((each) =>
      each.run(({ mine }) =>
        Promise.all([1, 2, 3].map(() => mine.set.op({ index: 0, delta: -1 }))).then(() => {}),
      ),
    );
    await Promise.all([one.run(() => {}), other.run(() => {})]);
    for (let i = 0; i < 7; i++) await third.run(({ mine }) => mine.set.tryOp({ index: 0, delta: 1 }));
    await Promise.all(done);
    expect(await values()).toEqual([1]);
  });

  it('semop: the time of the last operation is told', async () => {
    await openInAll(1);
    const { operatedAt, seconds } = await one.run(({ mine }) => {
      mine.set.tryOp({ index: 0, delta: -1 });
      return { operatedAt: mine.set.stat().operatedAt, seconds: Date.now() / 1000 };
    });
    expect(Math.abs(Number(operatedAt) / 1000 - seconds)).toBeLessThan(60);
  });
});
