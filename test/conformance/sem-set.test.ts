/**
 * What the manual pages semget(2) and semctl(2) say, as processes see it. Operations: sem-set-operations.test.ts. A name
 * begins with the call and, where it is about an error, with its code: docs/conformance.md lists them.
 */
import { SysvSemaphoreSet } from 'interproc';
import { describe, expect, it } from 'vitest';
import { misuse, systemError } from '../support/failures.js';
import { setKey } from '../support/names.js';
import { isRoot } from '../support/namespaces.js';
import { ordinary, party, users, type World } from './party.js';

const hex = (key: number) => `0x${(key >>> 0).toString(16).padStart(8, '0')}`;

const make = ({ closing, mine, SysvSemaphoreSet }: World, key: number) => {
  mine.set = closing(SysvSemaphoreSet.create(key, { count: 3, initial: [4, 0, 1] }));
};

const openIt = async ({ closing, mine, SysvSemaphoreSet }: World, key: number) => {
  mine.set = closing(await SysvSemaphoreSet.open(key));
};

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);

  it('semget: one key is one set in all processes', async () => {
    const key = setKey();
    const id = await one.run(({ assert, closing, SysvSemaphoreSet }, key) => {
      const set = closing(SysvSemaphoreSet.create(key, { count: 3, initial: [4, 0, 1] }));
      assert.deepEqual(
        [set.key, set.count, set.created, set.linked, set.closed],
        [key, 3, true, true, false],
      );
      return set.id;
    }, key);
    const found = await other.run(async ({ closing, SysvSemaphoreSet }, key) => {
      const sets = [
        await SysvSemaphoreSet.open(key),
        SysvSemaphoreSet.openSync(key),
        SysvSemaphoreSet.tryOpen(key),
        SysvSemaphoreSet.openOrCreate(key, { count: 3 }),
      ];
      return sets.map((set) => set && [closing(set).id, set.count, set.created, ...set.getAll()]);
    }, key);
    expect(found).toEqual([1, 2, 3, 4].map(() => [id, 3, false, 4, 0, 1]));
  });

  it('semget ENOENT: a key that nobody has made', async () => {
    const key = setKey();
    const failures = await one.run(
      async ({ failureOf, SysvSemaphoreSet }, key) => [
        await failureOf(() => SysvSemaphoreSet.open(key)),
        await failureOf(() => SysvSemaphoreSet.openSync(key)),
        await failureOf(() => SysvSemaphoreSet.tryOpen(key)),
      ],
      key,
    );
    expect(failures).toEqual([1, 2, 3].map(() => systemError('ENOENT', 'semget', hex(key))));
  });

  it('semget EEXIST: to create a key that is taken, which harms nothing', async () => {
    const key = setKey();
    await one.run(make, key);
    const failure = await other.run(
      ({ failureOf, SysvSemaphoreSet }, key) =>
        failureOf(() => SysvSemaphoreSet.create(key, { count: 1, initial: 9 })),
      key,
    );
    expect(failure).toEqual(systemError('EEXIST', 'semget', hex(key)));
    expect(await one.run(({ mine }) => mine.set.getAll())).toEqual([4, 0, 1]);
  });

  it('semget: opening or creating an existing set changes nothing in it, and a smaller count finds it, too', async () => {
    const key = setKey();
    await one.run(make, key);
    const before = await one.run(({ mine }) => mine.set.stat());
    const found = await other.run(({ closing, SysvSemaphoreSet }, key) => {
      const set = closing(SysvSemaphoreSet.openOrCreate(key, { count: 2, initial: 9, mode: 0o666 }));
      return { created: set.created, count: set.count, values: set.getAll(), stat: set.stat() };
    }, key);
    expect(found).toEqual({ created: false, count: 3, values: [4, 0, 1], stat: before });
  });

  it('semget EINVAL: an existing set has fewer semaphores than were asked for', async () => {
    const key = setKey();
    await one.run(make, key);
    const failure = await other.run(
      ({ failureOf, SysvSemaphoreSet }, key) =>
        failureOf(() => SysvSemaphoreSet.openOrCreate(key, { count: 4 })),
      key,
    );
    expect(failure).toMatchObject({ code: 'EINVAL', syscall: 'semget' });
    expect(failure?.message).toContain('the set has 3 semaphores, and 4 were asked for');
  });

  it('semget EINVAL: a count is at least 1 and at most SEMMSL, which the error names', async () => {
    const key = setKey();
    const { failures, semmsl, absent } = await one.run(async ({ failureOf, fs, SysvSemaphoreSet }, key) => {
      const semmsl = Number(fs.readFileSync('/proc/sys/kernel/sem', 'utf8').split('\t')[0]);
      const counts = [0, -1, 1.5, semmsl + 1];
      const failures = [];
      for (const count of counts)
        failures.push(await failureOf(() => SysvSemaphoreSet.create(key, { count })));
      return { failures, semmsl, absent: await failureOf(() => SysvSemaphoreSet.openSync(key)) };
    }, key);
    const last = failures.pop();
    expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'count')));
    expect(last).toEqual(systemError('EINVAL', 'semget', hex(key)));
    expect(last?.message).toMatch(new RegExp(`\\b${semmsl}\\b.*kernel\\.sem|kernel\\.sem.*\\b${semmsl}\\b`));
    expect(absent?.code).toBe('ENOENT');
  });

  it('semget: IPC_PRIVATE makes a new set each time, which others find by its id', async () => {
    const ids = await one.run(({ assert, removing, SysvSemaphoreSet }) => {
      const sets = [3, 5].map((initial) => removing(SysvSemaphoreSet.create(null, { count: 2, initial })));
      for (const set of sets) assert.equal(set.key, null);
      return sets.map(({ id }) => id);
    });
    expect(ids[0]).not.toBe(ids[1]);
    const values = await other.run(
      ({ closing, SysvSemaphoreSet }, id) => closing(SysvSemaphoreSet.fromId(id)).getAll(),
      ids[1] as number,
    );
    expect(values).toEqual([5, 5]);
  });

  it('semget: a new set has the values and the mode that are given, and belongs to its maker', async () => {
    for (const mode of [undefined, 0o600, 0o666, 0o640, 0o420]) {
      const { values, stat, id, owner, seconds } = await one.run(
        ({ removing, SysvSemaphoreSet }, key, mode) => {
          const options = mode === undefined ? { count: 4 } : { count: 4, mode };
          const set = removing(SysvSemaphoreSet.create(key, options));
          const owner = [process.geteuid?.(), process.getegid?.()];
          return { values: set.getAll(), stat: set.stat(), id: set.id, owner, seconds: Date.now() / 1000 };
        },
        setKey(),
        mode,
      );
      const [uid, gid] = owner;
      expect(values).toEqual([0, 0, 0, 0]);
      expect(stat).toMatchObject({
        id,
        count: 4,
        mode: mode ?? 0o600,
        uid,
        gid,
        creatorUid: uid,
        creatorGid: gid,
        changedAt: expect.any(Date),
      });
      expect(Math.abs(Number(stat.changedAt) / 1000 - seconds)).toBeLessThan(60);
    }
  });

  it('semget: a new set tells openers that it has its values, by the time of an operation', async () => {
    // What semget alone has made was not operated on: test/interop/semaphores.test.ts
    for (const initial of [0, 1, [0, 2]]) {
      const stat = await one.run(
        ({ removing, SysvSemaphoreSet }, key, initial) =>
          removing(SysvSemaphoreSet.create(key, { count: 2, initial })).stat(),
        setKey(),
        initial,
      );
      expect(stat.operatedAt).toBeInstanceOf(Date);
    }
  });

  it('semctl: GETVAL, GETALL, SETVAL and SETALL read and write the values', async () => {
    const key = setKey();
    await one.run(make, key);
    await other.run(openIt, key);
    await one.run(({ mine }) => mine.set.set(1, 7));
    expect(await other.run(({ mine }) => [mine.set.get(0), mine.set.get(1), mine.set.get(2)])).toEqual([
      4, 7, 1,
    ]);
    await other.run(({ mine }) => mine.set.setAll([0, 32_767, 2]));
    expect(await one.run(({ mine }) => mine.set.getAll())).toEqual([0, 32_767, 2]);
  });

  it('semctl ERANGE: a value is one of 0 to 32767, all others are misuse, and none is set', async () => {
    const key = setKey();
    await one.run(make, key);
    const failures = await one.run(async ({ failureOf, mine }) => {
      const failures = [];
      for (const value of [-1, 32_768, 1.5, Number.NaN]) {
        failures.push(await failureOf(() => mine.set.set(0, value)));
        failures.push(await failureOf(() => mine.set.setAll([1, 1, value])));
      }
      return failures;
    });
    for (const failure of failures)
      expect(failure).toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    expect(await one.run(({ mine }) => mine.set.getAll())).toEqual([4, 0, 1]);
  });

  it('semctl: an index outside of the set is misuse', async () => {
    const key = setKey();
    await one.run(make, key);
    const failures = await one.run(async ({ failureOf, mine }) => {
      const failures = [];
      for (const index of [-1, 3, 1.5, 65_536]) {
        failures.push(
          await failureOf(() => mine.set.get(index)),
          await failureOf(() => mine.set.set(index, 1)),
          await failureOf(() => mine.set.waiting(index)),
          await failureOf(() => mine.set.lastPid(index)),
        );
      }
      return failures;
    });
    expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'index')));
  });

  it('semctl: GETPID tells who has last changed a semaphore', async () => {
    const key = setKey();
    await one.run(make, key);
    await other.run(openIt, key);
    await other.run(({ mine }) => mine.set.tryOp({ index: 0, delta: -1 }));
    await one.run(({ mine }) => mine.set.tryOp({ index: 2, delta: 1 }));
    const pids = await one.run(({ mine }) => [mine.set.lastPid(0), mine.set.lastPid(2)]);
    expect(pids).toEqual([other.pid, one.pid]);
  });

  it('semctl: SETVAL and SETALL let those go on whom they give enough', async () => {
    const key = setKey();
    await one.run(make, key);
    await other.run(openIt, key);
    for (const set of [
      ({ mine }: World) => mine.set.set(1, 2),
      ({ mine }: World) => mine.set.setAll([4, 2, 1]),
    ]) {
      const done = other.run(async ({ mine }) => {
        await mine.set.op({ index: 1, delta: -2 });
        return mine.set.get(1);
      });
      await other.run(() => {});
      await one.run(set);
      expect(await done).toBe(0);
    }
  });

  it('semctl: IPC_SET changes the mode, and nothing else', async () => {
    const key = setKey();
    await one.run(make, key);
    const { before, after } = await one.run(({ mine }) => {
      const before = mine.set.stat();
      mine.set.set({ mode: 0o640 });
      return { before, after: mine.set.stat() };
    });
    const { changedAt: _, ...rest } = before;
    expect(after).toMatchObject({ ...rest, mode: 0o640 });
  });

  it('semctl: IPC_RMID removes it at once, for everybody', async () => {
    const key = setKey();
    await one.run(make, key);
    await other.run(openIt, key);
    await one.run(({ assert, mine }) => {
      assert.equal(mine.set.remove(), undefined);
      assert.equal(mine.set.linked, false);
    });
    const found = await other.run(async ({ failureOf, mine, SysvSemaphoreSet }, key) => {
      const step = { index: 0, delta: 1 };
      const calls = [
        () => mine.set.tryOp(step),
        () => mine.set.op(step),
        () => mine.set.opSync(step),
        () => mine.set.getAll(),
        () => mine.set.setAll([1, 1, 1]),
        () => mine.set.get(0),
        () => mine.set.set(0, 1),
        () => mine.set.waiting(0),
        () => mine.set.lastPid(0),
        () => mine.set.stat(),
        () => mine.set.set({ mode: 0o600 }),
        () => mine.set.remove(),
      ];
      const codes = [];
      for (const call of calls) codes.push((await failureOf(call))?.code);
      return { codes, linked: mine.set.linked, open: await failureOf(() => SysvSemaphoreSet.openSync(key)) };
    }, key);
    for (const code of found.codes) expect(code).toMatch(/^E(IDRM|INVAL)$/);
    expect(found.linked).toBe(false);
    expect(found.open?.code).toBe('ENOENT');
  });

  it('semctl EIDRM, EINVAL: an old id leads to no set, also where its key has a new one', async () => {
    const key = setKey();
    const found = await one.run(async ({ closing, failureOf, SysvSemaphoreSet }, key) => {
      const first = closing(SysvSemaphoreSet.create(key, { count: 1 }));
      SysvSemaphoreSet.remove(first.id);
      closing(SysvSemaphoreSet.create(key, { count: 1 }));
      return [
        await failureOf(() => SysvSemaphoreSet.fromId(first.id)),
        await failureOf(() => SysvSemaphoreSet.remove(first.id)),
        await failureOf(() => first.getAll()),
      ];
    }, key);
    for (const failure of found) {
      const code = expect.stringMatching(/^E(IDRM|INVAL)$/);
      expect(failure).toMatchObject({ name: 'IpcError', code, syscall: 'semctl' });
    }
  });

  it('semctl: the list has every set, each as IPC_STAT tells it', async () => {
    const key = setKey();
    await one.run(make, key);
    const { stat, listed } = await one.run(({ mine, SysvSemaphoreSet }) => ({
      stat: mine.set.stat(),
      listed: SysvSemaphoreSet.list().find(({ id }) => id === mine.set.id),
    }));
    expect(listed).toEqual(stat);
  });

  it('it stays when a process that made it ends, with its values', async () => {
    const key = setKey();
    await one.run(make, key);
    await one.run(({ mine }) => mine.set.tryOp({ index: 0, delta: -1 }));
    await one.kill();
    await other.run(openIt, key);
    expect(await other.run(({ mine }) => mine.set.getAll())).toEqual([3, 0, 1]);
  });
});

describe.each(users)('processes of %s that race', (user) => {
  const racers = [0, 1, 2].map(() => party(user));

  it('semget: of those that create one key exactly one succeeds', async () => {
    for (let round = 0; round < 10; round++) {
      const fresh = Array.from({ length: 20 }, setKey);
      const won = await Promise.all(
        racers.map((racer) =>
          racer.run(
            ({ assert, SysvSemaphoreSet }, fresh) =>
              fresh.flatMap((key) => {
                try {
                  return [SysvSemaphoreSet.create(key, { count: 1 }).id];
                } catch (error) {
                  assert.equal((error as { code: string }).code, 'EEXIST');
                  return [];
                }
              }),
            fresh,
          ),
        ),
      );
      expect(won.flat()).toHaveLength(fresh.length);
      for (const id of won.flat()) SysvSemaphoreSet.remove(id);
    }
  });

  it('semget: nobody finds a set that has not its values yet', async () => {
    const key = setKey();
    await Promise.all(
      racers.map((racer) =>
        racer.run(({ assert, SysvSemaphoreSet }, key) => {
          for (let round = 0; round < 1000; round++) {
            const set = SysvSemaphoreSet.openOrCreate(key, { count: 2, initial: [123, 45] });
            try {
              assert.deepEqual(set.getAll(), [123, 45]);
              set.remove();
            } catch (error) {
              // Another has removed it.
              assert.match(String((error as { code: string }).code), /^E(IDRM|INVAL)$/);
            }
            set.close();
          }
        }, key),
      ),
    );
  });
});

describe('without permission', () => {
  const they = party(ordinary);

  /** A set of somebody else or, if it is our own, of nobody's mode. */
  function setOf(mode: number): { key: number; id: number } {
    const set = SysvSemaphoreSet.create(setKey(), { count: 1, initial: 1 });
    set.set({ mode: isRoot ? mode : mode << 6 });
    set.close();
    return { key: set.key as number, id: set.id };
  }

  it('semop EACCES, semctl EACCES: a set serves for what its mode allows', async () => {
    const outcomes = [];
    for (const mode of [0, 0o4, 0o2, 0o6]) {
      const { id, key } = setOf(mode);
      const failures = await they.run(async ({ closing, failureOf, SysvSemaphoreSet }, key) => {
        const open = () => closing(SysvSemaphoreSet.openSync(key, { timeout: 0 }));
        return {
          change: await failureOf(() => open().tryOp({ index: 0, delta: 1 })),
          wait: await failureOf(() => open().tryOp({ index: 0, delta: 0 })),
          read: await failureOf(() => open().getAll()),
          write: await failureOf(() => open().set(0, 1)),
        };
      }, key);
      for (const failure of Object.values(failures)) {
        if (failure === undefined) continue;
        expect(failure).toMatchObject({
          name: 'IpcError',
          code: 'EACCES',
          syscall: expect.stringMatching(/^sem(get|op|ctl)$/),
        });
      }
      outcomes.push(Object.values(failures).map((failure) => (failure === undefined ? 'done' : 'refused')));
      SysvSemaphoreSet.remove(id);
    }
    expect(outcomes[0]).toEqual(['refused', 'refused', 'refused', 'refused']);
    expect(outcomes[1]).toEqual(['refused', 'done', 'done', 'refused']);
    expect(outcomes[3]).toEqual(['done', 'done', 'done', 'done']);
  });

  it.skipIf(!isRoot)('semctl EPERM: only its owner changes or removes it', async () => {
    const { id } = setOf(0o666);
    const failures = await they.run(async ({ closing, failureOf, SysvSemaphoreSet }, id) => {
      const set = closing(SysvSemaphoreSet.fromId(id));
      return [
        await failureOf(() => set.set({ mode: 0o600 })),
        await failureOf(() => set.remove()),
        await failureOf(() => SysvSemaphoreSet.remove(id)),
      ];
    }, id);
    expect(failures).toEqual(failures.map(() => systemError('EPERM', 'semctl', `id ${id}`)));
    using set = SysvSemaphoreSet.fromId(id);
    expect(set.stat()).toMatchObject({ mode: 0o666 });
  });

  it.skipIf(!isRoot)('semctl: a new owner may, and the maker is still told', async () => {
    const { id } = setOf(0);
    using set = SysvSemaphoreSet.fromId(id);
    set.set({ uid: 65_534, gid: 65_534, mode: 0o600 });
    const stat = await they.run(({ closing, SysvSemaphoreSet }, id) => {
      const set = closing(SysvSemaphoreSet.fromId(id));
      set.set({ mode: 0o640 });
      return set.stat();
    }, id);
    expect(stat).toMatchObject({ uid: 65_534, gid: 65_534, creatorUid: 0, creatorGid: 0, mode: 0o640 });
  });
});
