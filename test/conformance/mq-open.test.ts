/**
 * What POSIX says of mq_open, mq_close and mq_unlink, as processes see it. The numbers are those of the assertions that
 * docs/conformance.md lists.
 */
import { constants } from 'node:os';
import { MessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { misuse, systemError } from '../support/failures.js';
import { queueName } from '../support/names.js';
import { canMountQueues, inNamespaces, isRoot } from '../support/namespaces.js';
import { forbidden, ordinary, party, users, type World } from './party.js';

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);

  it('mq_open 1, 20: gives a descriptor of the queue, which every call takes', async () => {
    const name = queueName();
    await one.run(({ assert, closing, MessageQueue, small }, name) => {
      const queue = closing(MessageQueue.create(name, small));
      assert.equal(queue.name, name);
      assert.ok(Number.isInteger(queue.fd) && queue.fd > 2);
      assert.equal(queue.trySend('first'), true);
      assert.equal(String(queue.tryReceive()?.data), 'first');
      assert.equal(queue.attributes().messages, 0);
      const same = closing(MessageQueue.fromFd(queue.fd));
      queue.trySend('second');
      assert.equal(String(same.tryReceive()?.data), 'second');
    }, name);
  });

  it('mq_open 2: one name is one queue in all processes, with its slash and without', async () => {
    const name = queueName();
    await one.run(({ closing, MessageQueue, small }, name) => {
      closing(MessageQueue.create(name, small)).trySend('hello');
    }, name);
    const got = await other.run(({ assert, closing, MessageQueue }, name) => {
      const queue = closing(MessageQueue.open(name.slice(1)));
      assert.equal(queue.name, name);
      return queue.tryReceive();
    }, name);
    expect(String(got?.data)).toBe('hello');
    const failures = await one.run(
      ({ failureOf, MessageQueue }, names) =>
        Promise.all(names.map((name) => failureOf(() => MessageQueue.create(name)))),
      ['', '/', `${name}/deeper`, '/a/b', 'a\0'],
    );
    for (const failure of failures)
      expect(failure).toEqual(misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"name"'));
  });

  it('mq_open 3, 21, 29: a name that nobody has made is ENOENT', async () => {
    const name = queueName();
    const failure = await one.run(
      ({ failureOf, MessageQueue }, name) => failureOf(() => MessageQueue.open(name)),
      name,
    );
    expect(failure).toEqual(systemError('ENOENT', 'mq_open', name));
    expect(failure?.errno).toBe(-constants.errno.ENOENT);
  });

  it('mq_open 4, 26: a process has as many as descriptors, and then EMFILE, which names that limit', async () => {
    const name = queueName();
    const { opened, free, failure } = await one.run(
      async ({ assert, failureOf, fs, MessageQueue, small }, name) => {
        const limit = Number(/open files +(\d+)/.exec(fs.readFileSync('/proc/self/limits', 'utf8'))?.[1]);
        const queues = [MessageQueue.create(name, small)];
        // Less the descriptor of the listing itself.
        const free = limit - (fs.readdirSync('/proc/self/fd').length - 1);
        let failure: Awaited<ReturnType<typeof failureOf>>;
        while (failure === undefined) failure = await failureOf(() => queues.push(MessageQueue.open(name)));
        assert.equal(queues[0]?.trySend('full or not'), true);
        assert.equal(String(queues.at(-1)?.tryReceive()?.data), 'full or not');
        for (const queue of queues) queue.close();
        MessageQueue.open(name).close();
        return { opened: queues.length - 1, free, failure };
      },
      name,
    );
    expect(opened).toBe(free);
    expect(free).toBeGreaterThan(900);
    expect(failure).toEqual(systemError('EMFILE', 'mq_open', name));
    expect(failure?.message).toMatch(/1024 open files \(RLIMIT_NOFILE; .*ulimit -n/);
  });

  it('mq_open 6: it is opened for one of receiving, sending and both, with any other flags', async () => {
    const name = queueName();
    const failures = await one.run(async ({ assert, closing, failureOf, MessageQueue, small }, name) => {
      closing(MessageQueue.openOrCreate(name, { ...small, nonBlocking: true }));
      for (const access of [{}, { readOnly: true }, { writeOnly: true }]) {
        for (const nonBlocking of [false, true]) {
          const queue = closing(MessageQueue.open(name, { ...access, nonBlocking }));
          assert.equal(queue.attributes().nonBlocking, nonBlocking);
        }
      }
      const both = { readOnly: true, writeOnly: true };
      return [
        await failureOf(() => MessageQueue.open(name, both)),
        await failureOf(() => MessageQueue.create(`${name}-new`, both)),
      ];
    }, name);
    for (const failure of failures) {
      expect(failure).toEqual(misuse('TypeError', 'ERR_INVALID_ARG_VALUE', 'writeOnly'));
    }
  });

  it('mq_open 7: opened for receiving it receives and does not send, in any number of processes', async () => {
    const name = queueName();
    const receive = async ({ closing, failureOf, MessageQueue }: World, name: string) => {
      const queues = [0, 1].map(() => closing(MessageQueue.open(name, { readOnly: true })));
      const data = queues.map((queue) => String(queue.tryReceive()?.data));
      return { data, failure: await failureOf(() => queues[0]?.trySend('x')) };
    };
    await one.run(({ closing, MessageQueue, small }, name) => {
      const queue = closing(MessageQueue.create(name, small));
      for (const text of ['1', '2', '3', '4']) queue.trySend(text);
    }, name);
    const results = [await one.run(receive, name), await other.run(receive, name)];
    expect(results.map(({ data }) => data)).toEqual([
      ['1', '2'],
      ['3', '4'],
    ]);
    for (const { failure } of results) expect(failure).toEqual(systemError('EBADF', 'mq_send', name));
  });

  it('mq_open 8: opened for sending it sends and does not receive, in any number of processes', async () => {
    const name = queueName();
    const send = async ({ assert, closing, failureOf, MessageQueue }: World, name: string) => {
      const queues = [0, 1].map(() => closing(MessageQueue.open(name, { writeOnly: true })));
      for (const queue of queues) assert.equal(queue.trySend('x'), true);
      return failureOf(() => queues[0]?.tryReceive());
    };
    await one.run(({ closing, MessageQueue, mine, small }, name) => {
      mine.queue = closing(MessageQueue.create(name, small));
    }, name);
    for (const failure of [await one.run(send, name), await other.run(send, name)]) {
      expect(failure).toEqual(systemError('EBADF', 'mq_receive', name));
    }
    expect(await one.run(({ mine }) => mine.queue.attributes().messages)).toBe(4);
  });

  it('mq_open 9: opened for both it sends and receives, in any number of processes', async () => {
    const name = queueName();
    const both = ({ closing, MessageQueue }: World, name: string) => {
      const queues = [0, 1].map(() => closing(MessageQueue.open(name)));
      return queues.map((queue, i) => queue.trySend(`${i}`) && String(queues[1 - i]?.tryReceive()?.data));
    };
    await one.run(({ closing, MessageQueue, small }, name) => {
      closing(MessageQueue.create(name, small));
    }, name);
    expect([await one.run(both, name), await other.run(both, name)]).toEqual([
      ['0', '1'],
      ['0', '1'],
    ]);
  });

  it('mq_open 10: a new queue is empty, of exactly the mode that is given, and belongs to its maker', async () => {
    for (const mode of [undefined, 0o600, 0o666, 0o640, 0o777, 0o200, 0]) {
      const found = await one.run(
        ({ closing, fs, MessageQueue, small }, name, mode) => {
          const queue = closing(MessageQueue.create(name, mode === undefined ? small : { ...small, mode }));
          const { uid, gid } = fs.fstatSync(queue.fd);
          const { messages } = queue.attributes();
          const owner = { uid: process.geteuid?.(), gid: process.getegid?.() };
          return {
            mode: fs.fstatSync(queue.fd).mode & 0o7777,
            uid,
            gid,
            messages,
            owner,
            stat: queue.stat(),
          };
        },
        queueName(),
        mode,
      );
      const { owner } = found;
      // The umask is 022: mq_open alone would give 0o644 for 0o666.
      expect(found).toMatchObject({ mode: mode ?? 0o600, messages: 0, ...owner });
      expect(found.stat).toMatchObject({ mode: mode ?? 0o600, ...owner });
    }
  });

  it('mq_open 11, 19: opening or creating an existing queue changes nothing in it', async () => {
    const name = queueName();
    const attributes = await one.run(({ assert, closing, MessageQueue, small }, name) => {
      const queue = closing(MessageQueue.openOrCreate(name, { ...small, mode: 0o640 }));
      assert.equal(queue.created, true);
      queue.trySend('kept', { priority: 3 });
      return { ...queue.attributes(), mode: queue.stat().mode };
    }, name);
    const found = await other.run(({ assert, closing, MessageQueue }, name) => {
      const queue = closing(MessageQueue.openOrCreate(name, { maxMessages: 2, messageSize: 8, mode: 0o600 }));
      assert.equal(queue.created, false);
      assert.equal(closing(MessageQueue.open(name)).created, false);
      return { ...queue.attributes(), mode: queue.stat().mode, message: queue.tryReceive() };
    }, name);
    expect(found).toEqual({ ...attributes, message: { data: Buffer.from('kept'), priority: 3 } });
    expect(attributes).toEqual({
      maxMessages: 4,
      messageSize: 64,
      messages: 1,
      nonBlocking: false,
      mode: 0o640,
    });
  });

  it('mq_open 12: without attributes it has the defaults, which fit the limits', async () => {
    const { attributes, limits } = await one.run(({ closing, fs, MessageQueue }, name) => {
      const limit = (which: string) => Number(fs.readFileSync(`/proc/sys/fs/mqueue/${which}`, 'utf8'));
      return {
        attributes: closing(MessageQueue.create(name)).attributes(),
        limits: { maxMessages: limit('msg_max'), messageSize: limit('msgsize_max') },
      };
    }, queueName());
    expect(attributes).toEqual({
      maxMessages: Math.min(10, limits.maxMessages),
      messageSize: Math.min(8192, limits.messageSize),
      messages: 0,
      nonBlocking: false,
    });
  });

  it('mq_open 13: its attributes are those that are given', async () => {
    const shapes = [
      { maxMessages: 1, messageSize: 1 },
      { maxMessages: 10, messageSize: 1 },
      { maxMessages: 1, messageSize: 8192 },
      { maxMessages: 7, messageSize: 100 },
    ];
    for (const shape of shapes) {
      const attributes = await one.run(
        ({ closing, MessageQueue }, name, shape) => closing(MessageQueue.create(name, shape)).attributes(),
        queueName(),
        shape,
      );
      expect(attributes).toEqual({ ...shape, messages: 0, nonBlocking: false });
    }
  });

  it('mq_open 15, 23: to create a name that is taken is EEXIST, and harms nothing', async () => {
    const name = queueName();
    await one.run(({ closing, MessageQueue, mine, small }, name) => {
      mine.queue = closing(MessageQueue.create(name, small));
      mine.queue.trySend('kept');
    }, name);
    const failure = await other.run(
      ({ failureOf, MessageQueue, small }, name) => failureOf(() => MessageQueue.create(name, small)),
      name,
    );
    expect(failure).toEqual(systemError('EEXIST', 'mq_open', name));
    expect(await one.run(({ mine }) => mine.queue.attributes().messages)).toBe(1);
  });

  it('mq_open 18: O_NONBLOCK is a property of the descriptor, and not of the queue', async () => {
    const name = queueName();
    await one.run(({ assert, closing, MessageQueue, small }, name) => {
      const first = closing(MessageQueue.create(name, { ...small, nonBlocking: true }));
      const second = closing(MessageQueue.open(name));
      assert.deepEqual(
        [first, second].map((queue) => queue.attributes().nonBlocking),
        [true, false],
      );
    }, name);
  });

  it('mq_open 25: attributes that no queue can have are misuse, and nothing is made', async () => {
    const name = queueName();
    const failures = await one.run(async ({ failureOf, MessageQueue, small }, name) => {
      const found = [];
      for (const [key, value] of [0, -1, 1.5, 2 ** 53, Number.NaN].flatMap((value) => [
        ['maxMessages', value] as const,
        ['messageSize', value] as const,
      ])) {
        found.push({
          key,
          failure: await failureOf(() => MessageQueue.create(name, { ...small, [key]: value })),
        });
      }
      return { found, absent: await failureOf(() => MessageQueue.open(name)) };
    }, name);
    for (const { key, failure } of failures.found) {
      expect(failure).toEqual(misuse('RangeError', 'ERR_OUT_OF_RANGE', key));
    }
    expect(failures.absent?.code).toBe('ENOENT');
  });

  it('mq_open 27, mq_unlink 6: a name of more than 255 bytes is ENAMETOOLONG', async () => {
    const name = queueName();
    const longest = name.padEnd(256, 'x');
    const failures = await one.run(async ({ closing, failureOf, MessageQueue, small }, longest) => {
      closing(MessageQueue.create(longest, small));
      closing(MessageQueue.open(longest));
      MessageQueue.unlink(longest);
      const longer = `${longest}x`;
      return {
        mq_open: [
          await failureOf(() => MessageQueue.create(longer, small)),
          await failureOf(() => MessageQueue.open(longer)),
          await failureOf(() => MessageQueue.openOrCreate(longer, small)),
        ],
        mq_unlink: [await failureOf(() => MessageQueue.unlink(longer))],
      };
    }, longest);
    for (const [syscall, failed] of Object.entries(failures)) {
      for (const failure of failed) {
        expect(failure).toEqual(systemError('ENAMETOOLONG', syscall, `${longest}x`));
        expect(failure?.message).toContain('256 bytes, and at most 255 fit');
      }
    }
  });

  it('mq_close 1, 4: gives the descriptor back, and leaves the queue and its messages', async () => {
    const name = queueName();
    const found = await one.run(async ({ assert, failureOf, fs, MessageQueue, small }, name) => {
      const queue = MessageQueue.create(name, small);
      queue.trySend('kept');
      const { fd } = queue;
      assert.equal(queue.close(), undefined);
      assert.equal(queue.closed, true);
      return failureOf(() => fs.fstatSync(fd));
    }, name);
    expect(found?.code).toBe('EBADF');
    const message = await other.run(
      ({ closing, MessageQueue }, name) => closing(MessageQueue.open(name)).tryReceive(),
      name,
    );
    expect(String(message?.data)).toBe('kept');
  });

  it('mq_close 5, mq_getattr 6, 7, mq_setattr 5: every call of a closed one is ERR_INTERPROC_CLOSED', async () => {
    const failures = await one.run(async ({ failureOf, MessageQueue, small }, name) => {
      const queue = MessageQueue.create(name, small);
      queue.close();
      queue.close(); // again does nothing
      const calls = [
        () => queue.fd,
        () => queue.attributes(),
        () => queue.nonBlocking,
        () => {
          queue.nonBlocking = true;
        },
        () => queue.stat(),
        () => queue.trySend('x'),
        () => queue.send('x'),
        () => queue.sendSync('x'),
        () => queue.tryReceive(),
        () => queue.receive(),
        () => queue.receiveSync(),
        () => queue.detach(),
      ];
      return Promise.all(calls.map(async (call) => (await failureOf(call))?.code ?? String(call)));
    }, queueName());
    expect([...new Set(failures)]).toEqual(['ERR_INTERPROC_CLOSED']);
  });

  it('mq_unlink 1, 3: the name is gone, for everybody and at once', async () => {
    const name = queueName();
    await one.run(({ assert, closing, MessageQueue, small }, name) => {
      closing(MessageQueue.create(name, small));
      assert.equal(MessageQueue.unlink(name), undefined);
    }, name);
    for (const each of [one, other]) {
      const failure = await each.run(
        ({ failureOf, MessageQueue }, name) => failureOf(() => MessageQueue.open(name)),
        name,
      );
      expect(failure).toEqual(systemError('ENOENT', 'mq_open', name));
    }
  });

  it('mq_unlink 2: the queue lives on for those who have it open, and the name takes a new one', async () => {
    const name = queueName();
    await one.run(({ closing, MessageQueue, mine, small }, name) => {
      mine.queue = closing(MessageQueue.create(name, small));
      mine.queue.trySend('before');
    }, name);
    const waiting = other.run(({ closing, MessageQueue, mine }, name) => {
      mine.queue = closing(MessageQueue.open(name));
      mine.queue.tryReceive();
      return mine.queue.receive();
    }, name);
    await other.run(() => {}); // so it waits by now
    await one.run(({ assert, closing, MessageQueue, mine, small }, name) => {
      MessageQueue.unlink(name);
      const successor = closing(MessageQueue.create(name, small));
      assert.equal(mine.queue.trySend('to the old one'), true);
      assert.equal(successor.attributes().messages, 0);
    }, name);
    expect(String((await waiting).data)).toBe('to the old one');
  });

  it('the unlink() of a queue removes its name, and never that of a successor', async () => {
    const name = queueName();
    const failure = await one.run(async ({ assert, closing, failureOf, MessageQueue, small }, name) => {
      const queue = closing(MessageQueue.create(name, small));
      assert.equal(queue.linked, true);
      queue.unlink();
      assert.equal(queue.linked, false);
      const successor = closing(MessageQueue.create(name, small));
      const failure = await failureOf(() => queue.unlink());
      assert.equal(successor.linked, true);
      return failure;
    }, name);
    expect(failure).toEqual(systemError('ENOENT', 'mq_unlink', name));
  });

  it('mq_unlink 7: a name that does not exist is ENOENT', async () => {
    const name = queueName();
    const failure = await one.run(
      ({ failureOf, MessageQueue }, name) => failureOf(() => MessageQueue.unlink(name)),
      name,
    );
    expect(failure).toEqual(systemError('ENOENT', 'mq_unlink', name));
  });
});

describe.each(users)('processes of %s that race', (user) => {
  const racers = [0, 1, 2].map(() => party(user));
  const names = 50;

  it('mq_open 16: of those that create one name exactly one succeeds', async () => {
    for (let round = 0; round < 20; round++) {
      const fresh = Array.from({ length: names }, queueName);
      const won = await Promise.all(
        racers.map((racer) =>
          racer.run(({ assert, closing, MessageQueue }, fresh) => {
            return fresh.filter((name) => {
              try {
                closing(MessageQueue.create(name, { maxMessages: 1, messageSize: 1 })).close();
                return true;
              } catch (error) {
                assert.equal((error as { code: string }).code, 'EEXIST');
                return false;
              }
            });
          }, fresh),
        ),
      );
      expect(won.flat().sort()).toEqual([...fresh].sort());
      for (const name of fresh) MessageQueue.unlink(name);
    }
  });

  it('open or create a name that others remove at the same time, and never fail', async () => {
    const name = queueName();
    await Promise.all(
      racers.map((racer) =>
        racer.run(({ assert, MessageQueue }, name) => {
          for (let round = 0; round < 2000; round++) {
            const queue = MessageQueue.openOrCreate(name, { maxMessages: 1, messageSize: 1 });
            try {
              MessageQueue.unlink(name);
            } catch (error) {
              assert.equal((error as { code: string }).code, 'ENOENT');
            }
            queue.close();
          }
        }, name),
      ),
    );
  });
});

describe('without permission', () => {
  const they = party(ordinary);

  it('mq_open 5, 22: a queue opens for what its mode allows, and else is EACCES', async () => {
    const name = queueName();
    const outcomes: Record<string, string[]> = {};
    for (const [mode, label] of [
      [isRoot ? 0o604 : 0o400, 'readable'],
      [isRoot ? 0o602 : 0o200, 'writable'],
      [isRoot ? 0o606 : 0o600, 'both'],
      [forbidden, 'neither'],
    ] as const) {
      MessageQueue.create(name, { maxMessages: 4, messageSize: 64, mode }).close();
      outcomes[label] = await they.run(async ({ closing, failureOf, MessageQueue }, name) => {
        const modes = [{ readOnly: true }, { writeOnly: true }, {}];
        const failures = modes.map((mode) => failureOf(() => closing(MessageQueue.open(name, mode))));
        return (await Promise.all(failures)).map((failure) => `${failure?.code ?? 'opened'}`);
      }, name);
      MessageQueue.unlink(name);
    }
    expect(outcomes).toEqual({
      readable: ['opened', 'EACCES', 'EACCES'],
      writable: ['EACCES', 'opened', 'EACCES'],
      both: ['opened', 'opened', 'opened'],
      neither: ['EACCES', 'EACCES', 'EACCES'],
    });
  });

  it('mq_open 14: an existing queue that one may not open stays as it is, and no other is made', async () => {
    const name = queueName();
    using queue = MessageQueue.create(name, { maxMessages: 4, messageSize: 64, mode: forbidden });
    queue.trySend('kept');
    const failures = await they.run(
      async ({ failureOf, MessageQueue }, name) => ({
        openOrCreate: await failureOf(() =>
          MessageQueue.openOrCreate(name, { maxMessages: 1, messageSize: 1 }),
        ),
        create: await failureOf(() => MessageQueue.create(name, { maxMessages: 1, messageSize: 1 })),
      }),
      name,
    );
    expect(failures.openOrCreate).toEqual(systemError('EACCES', 'mq_open', name));
    expect(failures.create).toEqual(systemError('EEXIST', 'mq_open', name));
    expect(queue.attributes()).toMatchObject({ maxMessages: 4, messageSize: 64, messages: 1 });
  });

  it.skipIf(!isRoot)('a queue can not be made for somebody else, and nothing is left of it', async () => {
    const name = queueName();
    const failures = await they.run(
      async ({ failureOf, MessageQueue, small }, name) => [
        await failureOf(() => MessageQueue.create(name, { ...small, uid: 0 })),
        await failureOf(() => MessageQueue.create(name, { ...small, gid: 0 })),
        await failureOf(() => MessageQueue.open(name)),
      ],
      name,
    );
    expect(failures.slice(0, 2)).toEqual([0, 1].map(() => systemError('EPERM', 'fchown', name)));
    expect(failures[2]?.code).toBe('ENOENT');
  });

  it.skipIf(!isRoot)(
    'mq_unlink 4: where it fails the queue stays: somebody else may not remove it',
    async () => {
      const name = queueName();
      using queue = MessageQueue.create(name, { maxMessages: 4, messageSize: 64, mode: 0o666 });
      queue.trySend('kept');
      const failures = await they.run(async ({ closing, failureOf, MessageQueue }, name) => {
        const queue = closing(MessageQueue.open(name));
        return [await failureOf(() => MessageQueue.unlink(name)), await failureOf(() => queue.unlink())];
      }, name);
      // The queues of an IPC namespace lie in one folder that is sticky, as /tmp is.
      for (const failure of failures) expect(failure).toEqual(systemError('EPERM', 'mq_unlink', name));
      using again = MessageQueue.open(name);
      expect(String(again.tryReceive()?.data)).toBe('kept');
    },
  );
});

describe.skipIf(!canMountQueues)('where the folder of queues is closed', () => {
  // Its mode is a matter of the IPC namespace, and the mount is the way to it.
  const setup = 'mount -t mqueue mqueue /dev/shm; touch /dev/shm/there; chmod 755 /dev/shm';
  const they = party(ordinary, { wrapper: inNamespaces(['--ipc', '--mount'], setup) });

  it.skipIf(!isRoot)('mq_open 22, mq_unlink 5: to create and to remove a name is EACCES', async () => {
    const failures = await they.run(async ({ failureOf, MessageQueue, small }) => ({
      create: await failureOf(() => MessageQueue.create('/new', small)),
      openOrCreate: await failureOf(() => MessageQueue.openOrCreate('/new', small)),
      unlink: await failureOf(() => MessageQueue.unlink('/there')),
    }));
    expect(failures.create).toEqual(systemError('EACCES', 'mq_open', '/new'));
    expect(failures.openOrCreate).toEqual(systemError('EACCES', 'mq_open', '/new'));
    expect(failures.unlink).toEqual(systemError('EACCES', 'mq_unlink', '/there'));
  });
});
