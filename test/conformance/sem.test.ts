/**
 * What POSIX says of named and unnamed semaphores: making, finding and removing them. Waiting: sem-wait.test.ts. The
 * numbers are those of the assertions that docs/conformance.md lists.
 */
import { statSync } from 'node:fs';
import { Semaphore, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { misuse, systemError } from '../support/failures.js';
import { semaphoreName, shmName } from '../support/names.js';
import { canMount, inNamespaces, isRoot } from '../support/namespaces.js';
import { forbidden, ordinary, party, users, type World } from './party.js';

const open = ({ closing, mine, Semaphore }: World, name: string) => {
  mine.sem = closing(Semaphore.open(name));
};

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);

  it('sem_open 1, 8: gives the semaphore, which every call takes', async () => {
    await one.run(async ({ assert, Semaphore }, name) => {
      const sem = Semaphore.create(name, { initial: 1 });
      assert.deepEqual([sem.name, sem.created, sem.closed, sem.value], [name, true, false, 1]);
      const permit = await sem.acquire();
      assert.equal(sem.value, 0);
      assert.equal(sem.tryAcquire(), null);
      permit.release();
      assert.equal(sem.value, 1);
      sem.tryAcquire();
      sem.release();
      assert.equal(sem.value, 1);
      sem.close();
      assert.equal(sem.closed, true);
    }, semaphoreName());
  });

  it('sem_open 2, 4: to create a name that is taken is EEXIST, and harms nothing', async () => {
    const name = semaphoreName();
    await one.run(({ closing, mine, Semaphore }, name) => {
      mine.sem = closing(Semaphore.create(name, { initial: 3 }));
    }, name);
    const failure = await other.run(
      ({ failureOf, Semaphore }, name) => failureOf(() => Semaphore.create(name, { initial: 1 })),
      name,
    );
    expect(failure).toEqual(systemError('EEXIST', 'sem_open', name));
    expect(await one.run(({ mine }) => mine.sem.value)).toBe(3);
  });

  it('sem_open 5, 12: a value is one of 0 to 2147483647, all others are misuse, and nothing is made', async () => {
    const { failures, absent } = await one.run(async ({ assert, failureOf, Semaphore }, name) => {
      for (const initial of [0, 1, Semaphore.maxValue]) {
        const sem = Semaphore.create(name, { initial });
        assert.equal(sem.value, initial);
        sem.close();
        Semaphore.unlink(name);
      }
      const failures = [];
      for (const initial of [-1, Semaphore.maxValue + 1, 1.5, Number.NaN]) {
        failures.push(await failureOf(() => Semaphore.create(name, { initial })));
        failures.push(await failureOf(() => Semaphore.openOrCreate(name, { initial })));
      }
      return { failures, absent: await failureOf(() => Semaphore.open(name)) };
    }, semaphoreName());
    expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'initial')));
    expect(absent?.code).toBe('ENOENT');
  });

  it('sem_open 6: a name that nobody has made is ENOENT', async () => {
    const name = semaphoreName();
    const failure = await one.run(
      ({ failureOf, Semaphore }, name) => failureOf(() => Semaphore.open(name)),
      name,
    );
    expect(failure).toEqual(systemError('ENOENT', 'sem_open', name));
  });

  it('sem_open 7, sem_unlink 5: a name of more than 251 bytes is ENAMETOOLONG', async () => {
    const longest = semaphoreName().padEnd(252, 'x');
    const failures = await one.run(async ({ closing, failureOf, Semaphore }, longest) => {
      closing(Semaphore.create(longest, { initial: 1 }));
      closing(Semaphore.open(longest));
      Semaphore.unlink(longest);
      const longer = `${longest}x`;
      return {
        sem_open: [
          await failureOf(() => Semaphore.create(longer, { initial: 1 })),
          await failureOf(() => Semaphore.open(longer)),
          await failureOf(() => Semaphore.openOrCreate(longer, { initial: 1 })),
        ],
        sem_unlink: [await failureOf(() => Semaphore.unlink(longer))],
      };
    }, longest);
    for (const [syscall, failed] of Object.entries(failures)) {
      for (const failure of failed) {
        expect(failure).toEqual(systemError('ENAMETOOLONG', syscall, `${longest}x`));
        expect(failure?.message).toContain('252 bytes, and at most 251 fit');
      }
    }
  });

  it('sem_open 9: it stays when a process that has it open ends', async () => {
    const name = semaphoreName();
    await one.run(async ({ closing, Semaphore }, name) => {
      await closing(Semaphore.create(name, { initial: 3 })).acquire();
    }, name);
    await one.kill();
    expect(await other.run(({ closing, Semaphore }, name) => closing(Semaphore.open(name)).value, name)).toBe(
      2,
    );
  });

  it('sem_open 10: opening or creating an existing one changes nothing in it', async () => {
    const name = semaphoreName();
    await one.run(({ assert, closing, Semaphore }, name) => {
      assert.equal(closing(Semaphore.openOrCreate(name, { initial: 3, mode: 0o640 })).created, true);
    }, name);
    const found = await other.run(({ closing, fs, Semaphore }, name) => {
      const sem = closing(Semaphore.openOrCreate(name, { initial: 7, mode: 0o600 }));
      return [sem.created, sem.value, fs.statSync(`/dev/shm/sem.${name.slice(1)}`).mode & 0o7777];
    }, name);
    expect(found).toEqual([false, 3, 0o640]);
  });

  it('sem_open 11, 13: a new one has the value and exactly the mode that are given, and belongs to its maker', async () => {
    for (const mode of [undefined, 0o600, 0o666, 0o640, 0o777, 0o200, 0]) {
      const found = await one.run(
        ({ closing, fs, Semaphore }, name, mode) => {
          const sem = closing(
            Semaphore.create(name, { initial: 5, ...(mode === undefined ? {} : { mode }) }),
          );
          const { mode: bits, uid, gid, size } = fs.statSync(`/dev/shm/sem.${name.slice(1)}`);
          const owner = { uid: process.geteuid?.(), gid: process.getegid?.() };
          return { value: sem.value, mode: bits & 0o7777, uid, gid, size, owner };
        },
        semaphoreName(),
        mode,
      );
      // The umask is 022: sem_open alone would give 0o644 for 0o666.
      expect(found).toMatchObject({ value: 5, mode: mode ?? 0o600, size: 32, ...found.owner });
    }
  });

  it('sem_open 14: one name is one semaphore in all processes, with its slash and without', async () => {
    const name = semaphoreName();
    await one.run(({ closing, mine, Semaphore }, name) => {
      mine.sem = closing(Semaphore.create(name, { initial: 2 }));
    }, name);
    await other.run(open, name.slice(1));
    await other.run(async ({ assert, mine }, name) => {
      assert.equal(mine.sem.name, name);
      await mine.sem.acquire();
    }, name);
    expect(await one.run(({ mine }) => mine.sem.value)).toBe(1);
    const failures = await one.run(
      ({ failureOf, Semaphore }, names) =>
        Promise.all(names.map((name) => failureOf(() => Semaphore.open(name)))),
      ['', '/', `${name}/deeper`, '/a/b', 'a\0'],
    );
    for (const failure of failures)
      expect(failure).toEqual(misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"name"'));
  });

  it('sem_open 15: opened several times in one process it is one semaphore', async () => {
    await one.run(({ assert, closing, Semaphore }, name) => {
      const opened = [
        Semaphore.create(name, { initial: 3 }),
        Semaphore.open(name),
        Semaphore.openOrCreate(name, { initial: 9 }),
      ];
      for (const sem of opened) closing(sem).tryAcquire();
      assert.deepEqual(
        opened.map((sem) => sem.value),
        [0, 0, 0],
      );
      opened[0]?.close();
      opened[1]?.release();
      assert.equal(opened[2]?.value, 1);
    }, semaphoreName());
  });

  it('sem_close 1, 2: gives back what opening has taken', async () => {
    await one.run(({ assert, fs, Semaphore }, name) => {
      const held = () => [
        fs
          .readFileSync('/proc/self/maps', 'utf8')
          .split('\n')
          .filter((line) => line.includes(`sem.${name.slice(1)}`)),
        fs.readdirSync('/proc/self/fd').length,
      ];
      const before = held();
      const sem = Semaphore.create(name, { initial: 1 });
      assert.equal((held()[0] as string[]).length, 1);
      assert.equal(sem.close(), undefined);
      sem.close(); // again does nothing
      assert.deepEqual(held(), before);
    }, semaphoreName());
  });

  it('sem_wait 6, sem_timedwait 5, sem_post 3, sem_getvalue 3: every call of a closed one is ERR_INTERPROC_CLOSED', async () => {
    const codes = await one.run(async ({ failureOf, Semaphore }, name) => {
      const sem = Semaphore.create(name, { initial: 1 });
      sem.close();
      const calls = [
        () => sem.acquire(),
        () => sem.acquire({ timeout: 50_000 }),
        () => sem.acquireSync(),
        () => sem.tryAcquire(),
        () => sem.release(),
        () => sem.value,
      ];
      return Promise.all(calls.map(async (call) => (await failureOf(call))?.code ?? String(call)));
    }, semaphoreName());
    expect([...new Set(codes)]).toEqual(['ERR_INTERPROC_CLOSED']);
  });

  it('a file too small for a semaphore is not opened as one', async () => {
    const name = semaphoreName();
    const failures = await one.run(async ({ failureOf, fs, Semaphore }, name) => {
      const path = `/dev/shm/sem.${name.slice(1)}`;
      const failures = [];
      for (const size of [0, 31]) {
        fs.writeFileSync(path, Buffer.alloc(size, 1));
        failures.push(await failureOf(() => Semaphore.open(name)));
        fs.unlinkSync(path);
      }
      return failures;
    }, name);
    expect(failures).toEqual(failures.map(() => systemError('EINVAL', 'sem_open', name)));
  });

  it('sem_close 3: changes nothing in the semaphore', async () => {
    const name = semaphoreName();
    await one.run(async ({ Semaphore }, name) => {
      const sem = Semaphore.create(name, { initial: 4 });
      await sem.acquire();
      sem.close();
    }, name);
    expect(await other.run(({ closing, Semaphore }, name) => closing(Semaphore.open(name)).value, name)).toBe(
      3,
    );
  });

  it('sem_unlink 1, 6, 8: the name is gone, and takes a new semaphore', async () => {
    const name = semaphoreName();
    const failure = await one.run(({ assert, closing, failureOf, mine, Semaphore }, name) => {
      mine.sem = closing(Semaphore.create(name, { initial: 1 }));
      assert.equal(Semaphore.unlink(name), undefined);
      return failureOf(() => Semaphore.open(name));
    }, name);
    expect(failure).toEqual(systemError('ENOENT', 'sem_open', name));
    await other.run(({ closing, Semaphore }, name) => {
      closing(Semaphore.create(name, { initial: 8 })).release();
    }, name);
    expect(await one.run(({ mine }) => mine.sem.value)).toBe(1);
  });

  it('sem_unlink 2, 7, 9: those who have it open go on, also those who wait', async () => {
    const name = semaphoreName();
    await one.run(({ closing, mine, Semaphore }, name) => {
      mine.sem = closing(Semaphore.create(name, { initial: 0 }));
    }, name);
    await other.run(open, name);
    const acquired = other.run(async ({ mine }) => {
      await mine.sem.acquire();
      return mine.sem.value;
    });
    await other.run(() => {}); // so it waits by now
    await one.run(({ assert, mine, Semaphore }, name) => {
      Semaphore.unlink(name);
      assert.equal(mine.sem.value, 0);
      mine.sem.release(3);
    }, name);
    expect(await acquired).toBe(2);
    expect(await one.run(({ mine }) => mine.sem.value)).toBe(2);
  });

  it('the unlink() of a semaphore removes its name, and never that of a successor', async () => {
    const name = semaphoreName();
    const failure = await one.run(async ({ assert, closing, failureOf, Semaphore }, name) => {
      const sem = closing(Semaphore.create(name, { initial: 1 }));
      assert.equal(sem.linked, true);
      sem.unlink();
      assert.equal(sem.linked, false);
      const successor = closing(Semaphore.create(name, { initial: 1 }));
      const failure = await failureOf(() => sem.unlink());
      assert.equal(successor.linked, true);
      return failure;
    }, name);
    expect(failure).toEqual(systemError('ENOENT', 'sem_unlink', name));
  });

  it('sem_unlink 4: a name that does not exist is ENOENT', async () => {
    const name = semaphoreName();
    const failure = await one.run(
      ({ failureOf, Semaphore }, name) => failureOf(() => Semaphore.unlink(name)),
      name,
    );
    expect(failure).toEqual(systemError('ENOENT', 'sem_unlink', name));
  });

  it('sem_init 1, 2, 3, 5: one in memory that is shared is one for all processes, and every call takes it', async () => {
    const name = shmName();
    await one.run(({ assert, closing, mine, Semaphore, SharedMemory }, name) => {
      const memory = closing(SharedMemory.create(name, { size: 4096 }));
      mine.sem = closing(Semaphore.at(memory, 64, { initial: 2 }));
      assert.deepEqual([mine.sem.name, mine.sem.value, Semaphore.size], [null, 2, 32]);
    }, name);
    await other.run(({ closing, mine, Semaphore, SharedMemory }, name) => {
      mine.sem = closing(Semaphore.at(closing(SharedMemory.open(name)), 64));
    }, name);
    await other.run(async ({ assert, mine }) => {
      const permit = await mine.sem.acquire();
      assert.notEqual(mine.sem.tryAcquire(), null);
      assert.equal(mine.sem.tryAcquire(), null);
      permit.release();
    });
    expect(await one.run(({ mine }) => mine.sem.value)).toBe(1);
    const acquired = one.run(async ({ mine }) => {
      await mine.sem.acquire();
      await mine.sem.acquire();
      return mine.sem.value;
    });
    await one.run(() => {});
    await other.run(({ mine }) => mine.sem.release());
    expect(await acquired).toBe(0);
  });

  it('sem_init 4: the threads of a process share it, too', async () => {
    await one.run(async ({ assert, closing, Semaphore, SharedMemory, Worker }, name) => {
      const sem = closing(
        Semaphore.at(closing(SharedMemory.create(name, { size: 4096 })), 0, { initial: 0 }),
      );
      const source = `
        import { workerData } from 'node:worker_threads';
        import { Semaphore, SharedMemory } from 'interproc';
        Semaphore.at(SharedMemory.open(workerData), 0).release(2);`;
      const worker = new Worker(source, { eval: true, workerData: name });
      await sem.acquire();
      await sem.acquire();
      await worker.terminate();
      assert.equal(sem.value, 0);
    }, shmName());
  });

  it('sem_init 6: a value is one of 0 to 2147483647, and the memory stays as it is for all others', async () => {
    const failures = await one.run(async ({ assert, closing, failureOf, Semaphore, SharedMemory }, name) => {
      const memory = closing(SharedMemory.create(name, { size: 4096 }));
      const bytes = new Uint8Array(memory.buffer).fill(7);
      const failures = [];
      for (const initial of [-1, Semaphore.maxValue + 1, 1.5]) {
        failures.push(await failureOf(() => Semaphore.at(memory, 0, { initial })));
      }
      assert.ok(bytes.every((byte) => byte === 7));
      return failures;
    }, shmName());
    expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'initial')));
  });

  it('sem_init 8: memory that is read-only takes none', async () => {
    const failures = await one.run(async ({ closing, failureOf, Semaphore, SharedMemory }, name) => {
      closing(SharedMemory.create(name, { size: 4096 }));
      const memory = closing(SharedMemory.open(name, { readOnly: true }));
      return [
        await failureOf(() => Semaphore.at(memory, 0, { initial: 1 })),
        await failureOf(() => Semaphore.at(memory, 0)),
      ];
    }, shmName());
    for (const failure of failures) {
      expect(failure).toMatchObject({ name: 'IpcError', code: 'ERR_INTERPROC_READ_ONLY' });
    }
  });

  it('sem_destroy 1, 3: one that all have closed leaves its memory to another', async () => {
    await one.run(({ assert, closing, Semaphore, SharedMemory }, name) => {
      const memory = closing(SharedMemory.create(name, { size: 4096 }));
      const first = Semaphore.at(memory, 0, { initial: 5 });
      first.close();
      const second = closing(Semaphore.at(memory, 0, { initial: 1 }));
      assert.equal(second.value, 1);
      assert.notEqual(second.tryAcquire(), null);
      assert.equal(second.tryAcquire(), null);
    }, shmName());
  });
});

describe.each(users)('processes of %s that race', (user) => {
  const racers = [0, 1, 2].map(() => party(user));

  it('of those that create one name exactly one succeeds', async () => {
    for (let round = 0; round < 10; round++) {
      const fresh = Array.from({ length: 50 }, semaphoreName);
      const won = await Promise.all(
        racers.map((racer) =>
          racer.run(
            ({ assert, Semaphore }, fresh) =>
              fresh.filter((name) => {
                try {
                  Semaphore.create(name, { initial: 1 }).close();
                  return true;
                } catch (error) {
                  assert.equal((error as { code: string }).code, 'EEXIST');
                  return false;
                }
              }),
            fresh,
          ),
        ),
      );
      expect(won.flat().sort()).toEqual([...fresh].sort());
      for (const name of fresh) Semaphore.unlink(name);
    }
  });

  it('nobody finds one that has not its value yet', async () => {
    const name = semaphoreName();
    await Promise.all(
      racers.map((racer) =>
        racer.run(({ assert, Semaphore }, name) => {
          for (let round = 0; round < 2000; round++) {
            const sem = Semaphore.openOrCreate(name, { initial: 12345 });
            assert.equal(sem.value, 12345);
            sem.close();
            try {
              Semaphore.unlink(name);
            } catch (error) {
              assert.equal((error as { code: string }).code, 'ENOENT');
            }
          }
        }, name),
      ),
    );
  });
});

describe('without permission', () => {
  const they = party(ordinary);

  it('sem_open 3: one needs to read and to write it, and else it is EACCES', async () => {
    const name = semaphoreName();
    const outcomes = [];
    for (const mode of isRoot ? [0o600, 0o604, 0o602, 0o606] : [0, 0o400, 0o200, 0o600]) {
      Semaphore.create(name, { initial: 4, mode }).close();
      const failures = await they.run(
        async ({ closing, failureOf, Semaphore }, name) => [
          await failureOf(() => closing(Semaphore.open(name))),
          await failureOf(() => closing(Semaphore.openOrCreate(name, { initial: 1 }))),
        ],
        name,
      );
      for (const failure of failures.filter((failure) => failure !== undefined)) {
        expect(failure).toEqual(systemError('EACCES', 'sem_open', name));
      }
      outcomes.push(failures.map((failure) => failure?.code ?? 'opened'));
      Semaphore.unlink(name);
    }
    const denied = ['EACCES', 'EACCES'];
    expect(outcomes).toEqual([denied, denied, denied, ['opened', 'opened']]);
  });

  it.skipIf(!isRoot)('sem_unlink 3: the name of somebody else stays', async () => {
    const name = semaphoreName();
    using sem = Semaphore.create(name, { initial: 4, mode: 0o666 });
    const failures = await they.run(async ({ closing, failureOf, Semaphore }, name) => {
      const sem = closing(Semaphore.open(name));
      return [await failureOf(() => Semaphore.unlink(name)), await failureOf(() => sem.unlink())];
    }, name);
    // /dev/shm is sticky, as /tmp is: the kernel says EPERM, and glibc's sem_unlink EACCES.
    for (const failure of failures) {
      expect(failure).toMatchObject({
        code: expect.stringMatching(/^E(PERM|ACCES)$/),
        syscall: 'sem_unlink',
        path: name,
      });
    }
    expect(statSync(`/dev/shm/sem.${name.slice(1)}`).size).toBe(32);
    expect(sem.value).toBe(4);
  });

  it('a semaphore in memory that one may not open can not be had', async () => {
    const name = shmName();
    using memory = SharedMemory.create(name, { size: 4096, mode: forbidden });
    using sem = Semaphore.at(memory, 0, { initial: 1 });
    const failure = await they.run(
      ({ failureOf, Semaphore, SharedMemory }, name) =>
        failureOf(() => Semaphore.at(SharedMemory.open(name), 0)),
      name,
    );
    expect(failure).toEqual(systemError('EACCES', 'shm_open', name));
    expect(sem.value).toBe(1);
  });
});

describe.skipIf(!canMount)('where /dev/shm is closed', () => {
  const setup = 'mount -t tmpfs -o mode=755 tmpfs /dev/shm';
  const they = party(ordinary, { wrapper: inNamespaces(['--mount'], setup) });

  it.skipIf(!isRoot)('sem_open 3: to create is EACCES', async () => {
    const failure = await they.run(({ failureOf, Semaphore }) =>
      failureOf(() => Semaphore.create('/new', { initial: 1 })),
    );
    expect(failure).toEqual(systemError('EACCES', 'sem_open', '/new'));
  });
});

describe.skipIf(!canMount)('where /dev/shm is full', () => {
  const setup = 'mount -t tmpfs -o size=4k,mode=1777 tmpfs /dev/shm; head -c 4096 /dev/zero > /dev/shm/full';
  const they = party(ordinary, { wrapper: inNamespaces(['--mount'], setup) });

  it('to create is ENOSPC, and leaves no name behind', async () => {
    const { failure, names } = await they.run(async ({ failureOf, fs, Semaphore }) => ({
      failure: await failureOf(() => Semaphore.create('/new', { initial: 1 })),
      names: fs.readdirSync('/dev/shm'),
    }));
    expect(failure).toMatchObject({ name: 'IpcError', code: 'ENOSPC', path: '/new' });
    expect(failure?.message).toContain('/dev/shm');
    expect(names).toEqual(['full']);
  });
});
