/**
 * Limits of queues and semaphores: each is an error that names the limit, its value now and how to raise it, and what is
 * made without a word about its size fits. Limits of the system belong to an IPC namespace: the tests have their own.
 */
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { queueName } from '../support/names.js';
import { canSetIpcLimits, inNamespaces } from '../support/namespaces.js';
import { ordinary, party } from './party.js';

const settings = (values: Record<string, string>) =>
  inNamespaces(
    ['--ipc'],
    Object.entries(values)
      .map(([name, value]) => `echo ${value} > /proc/sys/${name.replaceAll('.', '/')}`)
      .join('\n'),
  );

describe.skipIf(!canSetIpcLimits)('POSIX queues, of somebody without privilege', () => {
  const wrapper = settings({
    'fs.mqueue.msg_max': '3',
    'fs.mqueue.msgsize_max': '200',
    'fs.mqueue.queues_max': '2',
  });
  const they = party(ordinary, { wrapper });

  it('fit the limits where nothing is said about their size', async () => {
    const attributes = await they.run(({ closing, MessageQueue }) => {
      const queue = closing(MessageQueue.create('/new'));
      queue.unlink();
      return queue.attributes();
    });
    expect(attributes).toMatchObject({ maxMessages: 3, messageSize: 200 });
  });

  it.each([
    ['messages', { maxMessages: 4 }, /fs\.mqueue\.msg_max\b/, /\b3\b/],
    ['bytes of a message', { messageSize: 201 }, /fs\.mqueue\.msgsize_max\b/, /\b200\b/],
  ])('with more %s than allowed are EINVAL, which names the limit', async (_, options, name, value) => {
    const { failures, absent } = await they.run(
      async ({ failureOf, MessageQueue }, options) => ({
        failures: [
          await failureOf(() => MessageQueue.create('/new', options)),
          await failureOf(() => MessageQueue.openOrCreate('/new', options)),
        ],
        absent: await failureOf(() => MessageQueue.open('/new')),
      }),
      options,
    );
    for (const failure of failures) {
      expect(failure).toEqual(systemError('EINVAL', 'mq_open', '/new'));
      expect(failure?.message).toMatch(name);
      expect(failure?.message).toMatch(value);
      expect(failure?.message).toContain('sysctl');
    }
    expect(absent?.code).toBe('ENOENT');
  });

  it('mq_open 30: are ENOSPC above the number of all, which names the limit', async () => {
    const failure = await they.run(async ({ closing, failureOf, MessageQueue }) => {
      const shape = { maxMessages: 1, messageSize: 8 };
      const queues = ['/1', '/2'].map((name) => closing(MessageQueue.create(name, shape)));
      const failure = await failureOf(() => MessageQueue.create('/3', shape));
      for (const queue of queues) queue.unlink();
      return failure;
    });
    expect(failure).toEqual(systemError('ENOSPC', 'mq_open', '/3'));
    expect(failure?.message).toMatch(/\b2\b.*fs\.mqueue\.queues_max|fs\.mqueue\.queues_max.*\b2\b/);
    expect(failure?.message).toContain('sysctl');
  });
});

describe('RLIMIT_MSGQUEUE', () => {
  const they = party(ordinary, { limits: { msgqueue: 100_000 } });
  const nothing = party(ordinary, { limits: { msgqueue: 0 } });

  it('is EMFILE above the bytes of all queues of a user, and the message names it and how to raise it', async () => {
    const names = Array.from({ length: 20 }, queueName);
    const { made, failure } = await they.run(async ({ closing, failureOf, MessageQueue }, names) => {
      const large = { maxMessages: 10, messageSize: 1000 };
      let made = 0;
      for (const name of names) {
        const failure = await failureOf(() => closing(MessageQueue.create(name, large)));
        if (failure) return { made, failure };
        made++;
      }
      return { made, failure: undefined };
    }, names);
    // Each takes 10,000 bytes and what the kernel needs beside them. Other tests of this user may have some.
    expect(made).toBeLessThan(10);
    expect(failure).toEqual(systemError('EMFILE', 'mq_open', names[made]));
    expect(failure?.message).toMatch(/\b100000\b.*RLIMIT_MSGQUEUE|RLIMIT_MSGQUEUE.*\b100000\b/);
    expect(failure?.message).toContain('ulimit -q');
    expect(failure?.message).toContain('LimitMSGQUEUE=');
    expect(failure?.message).toContain('--ulimit msgqueue=');
  });

  it('of 0 allows none, and nothing is left of what was tried', async () => {
    const name = queueName();
    const { failure, absent } = await nothing.run(
      async ({ failureOf, MessageQueue }, name) => ({
        failure: await failureOf(() => MessageQueue.create(name)),
        absent: await failureOf(() => MessageQueue.open(name)),
      }),
      name,
    );
    expect(failure).toEqual(systemError('EMFILE', 'mq_open', name));
    expect(failure?.message).toMatch(/RLIMIT_MSGQUEUE/);
    expect(absent?.code).toBe('ENOENT');
  });
});

describe('POSIX queues with the stock limits', () => {
  const they = party(ordinary);

  it('can be made without a word about their size, several of them', async () => {
    const names = Array.from({ length: 3 }, queueName);
    await they.run(({ assert, closing, MessageQueue }, names) => {
      for (const name of names) {
        const queue = closing(MessageQueue.create(name));
        assert.equal(queue.trySend(Buffer.alloc(queue.attributes().messageSize)), true);
      }
    }, names);
  });
});

describe.skipIf(!canSetIpcLimits)('System V queues', () => {
  const wrapper = settings({ 'kernel.msgmni': '2', 'kernel.msgmnb': '1000', 'kernel.msgmax': '100' });
  const they = party(ordinary, { wrapper });

  it('msgget ENOSPC: above their number, which names kernel.msgmni', async () => {
    const failures = await they.run(async ({ failureOf, removing, SysvMessageQueue }) => {
      for (const key of [1, 2]) removing(SysvMessageQueue.create(key));
      return [
        await failureOf(() => SysvMessageQueue.create(3)),
        await failureOf(() => SysvMessageQueue.openOrCreate(3)),
        await failureOf(() => SysvMessageQueue.create(null)),
      ];
    });
    for (const failure of failures) {
      expect(failure).toEqual(systemError('ENOSPC', 'msgget'));
      expect(failure?.message).toMatch(/\b2\b.*kernel\.msgmni|kernel\.msgmni.*\b2\b/);
      expect(failure?.message).toContain('sysctl');
    }
  });

  it('msgctl EPERM: to give more bytes than kernel.msgmnb, which is named, and nothing is left of a new one', async () => {
    const { failures, maxBytes, listed } = await they.run(
      async ({ failureOf, removing, SysvMessageQueue }) => {
        const queue = removing(SysvMessageQueue.create(1));
        return {
          failures: [
            await failureOf(() => queue.set({ maxBytes: 1001 })),
            await failureOf(() => SysvMessageQueue.create(2, { maxBytes: 1001 })),
            await failureOf(() => SysvMessageQueue.openOrCreate(2, { maxBytes: 1001 })),
          ],
          maxBytes: queue.stat().maxBytes,
          listed: SysvMessageQueue.list().length,
        };
      },
    );
    expect(maxBytes).toBe(1000);
    expect(listed).toBe(1);
    for (const failure of failures) {
      expect(failure).toEqual(systemError('EPERM', 'msgctl'));
      expect(failure?.message).toMatch(/\b1000\b.*kernel\.msgmnb|kernel\.msgmnb.*\b1000\b/);
      expect(failure?.message).toContain('sysctl');
    }
  });

  it('msgsnd EINVAL: a message above kernel.msgmax, which the error names', async () => {
    const failures = await they.run(async ({ assert, failureOf, removing, SysvMessageQueue }) => {
      const queue = removing(SysvMessageQueue.create(1));
      assert.equal(queue.trySend(1, Buffer.alloc(100)), true);
      return [
        await failureOf(() => queue.trySend(1, Buffer.alloc(101))),
        await failureOf(() => queue.send(1, Buffer.alloc(101))),
        await failureOf(() => queue.sendSync(1, Buffer.alloc(101))),
      ];
    });
    for (const failure of failures) {
      expect(failure).toEqual(systemError('EINVAL', 'msgsnd'));
      expect(failure?.message).toMatch(/\b100\b.*kernel\.msgmax|kernel\.msgmax.*\b100\b/);
      expect(failure?.message).toContain('sysctl');
    }
  });
});

describe.skipIf(!canSetIpcLimits)('System V sets of semaphores', () => {
  // Of one set, of all, operations at once, sets.
  const they = party(ordinary, { wrapper: settings({ 'kernel.sem': '10 15 5 3' }) });

  it('semget EINVAL: with more semaphores than SEMMSL, which the error names', async () => {
    const { failures, listed } = await they.run(async ({ failureOf, SysvSemaphoreSet }) => ({
      failures: [
        await failureOf(() => SysvSemaphoreSet.create(1, { count: 11 })),
        await failureOf(() => SysvSemaphoreSet.openOrCreate(1, { count: 11 })),
      ],
      listed: SysvSemaphoreSet.list().length,
    }));
    for (const failure of failures) {
      expect(failure).toEqual(systemError('EINVAL', 'semget'));
      expect(failure?.message).toMatch(/\b10\b.*kernel\.sem|kernel\.sem.*\b10\b/);
      expect(failure?.message).toContain('sysctl');
    }
    expect(listed).toBe(0);
  });

  it.each([
    ['semaphores of all sets', [10], 6, 15],
    ['sets', [1, 1, 1], 1, 3],
  ])('semget ENOSPC: above the number of %s, which the error names', async (_, counts, count, most) => {
    const failure = await they.run(
      async ({ failureOf, removing, SysvSemaphoreSet }, counts, count) => {
        for (const count of counts) removing(SysvSemaphoreSet.create(null, { count }));
        return failureOf(() => SysvSemaphoreSet.create(9, { count }));
      },
      counts,
      count,
    );
    expect(failure).toEqual(systemError('ENOSPC', 'semget', '0x00000009'));
    expect(failure?.message).toMatch(new RegExp(`\\b${most}\\b`));
    expect(failure?.message).toContain('kernel.sem');
    expect(failure?.message).toContain('sysctl');
  });

  it('semop E2BIG: more operations at once than SEMOPM, which the error names', async () => {
    const failure = await they.run(({ assert, failureOf, removing, SysvSemaphoreSet }) => {
      const set = removing(SysvSemaphoreSet.create(1, { count: 6 }));
      const ops = [0, 1, 2, 3, 4, 5].map((index) => ({ index, delta: 1 }));
      assert.equal(set.tryOp(ops.slice(1)), true);
      return failureOf(() => set.tryOp(ops));
    });
    expect(failure).toEqual(systemError('E2BIG', 'semop'));
    expect(failure?.message).toMatch(/\b5\b.*kernel\.sem|kernel\.sem.*\b5\b/);
    expect(failure?.message).toContain('sysctl');
  });
});
