/**
 * What the manual page msgop(2) says of msgsnd and msgrcv, as processes see it. A name begins with the call and, where
 * it is about an error, with its code: docs/conformance.md lists them.
 */
import { describe, expect, it } from 'vitest';
import { misuse, systemError } from '../support/failures.js';
import { messageKey } from '../support/names.js';
import { party, users, type World } from './party.js';

const timedOut = (syscall: string) =>
  expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT', syscall });

/** All that is there, in order. */
const drain = ({ mine }: World) => {
  const texts = [];
  for (let next = mine.queue.tryReceive(); next; next = mine.queue.tryReceive())
    texts.push(`${next.type} ${next.data}`);
  return texts;
};

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);
  const third = party(user);

  const open = (where: typeof one, key: number) =>
    where.run(({ closing, mine, SysvMessageQueue }, key) => {
      mine.queue = closing(SysvMessageQueue.open(key));
    }, key);

  /** `mine.queue` in all three; `maxBytes` small enough to fill. */
  async function openInAll(maxBytes = 1000): Promise<number> {
    const key = messageKey();
    await one.run(
      ({ closing, mine, SysvMessageQueue }, key, maxBytes) => {
        mine.queue = closing(SysvMessageQueue.create(key, { maxBytes }));
      },
      key,
      maxBytes,
    );
    await open(other, key);
    await open(third, key);
    return key;
  }

  describe('msgsnd', () => {
    it('msgsnd: puts a message at the end, its bytes as they are', async () => {
      await openInAll();
      await one.run(async ({ assert, mine }) => {
        const { queue } = mine;
        assert.equal(queue.trySend(1, Buffer.from([0, 255, 10])), true);
        assert.equal(await queue.send(2, Buffer.alloc(0)), undefined);
        assert.equal(queue.sendSync(3, 'für'), undefined);
        await queue.send(4, new Uint16Array([1, 2]), { timeout: 50_000 });
      });
      const got = await other.run(({ mine }) => [1, 2, 3, 4].map(() => mine.queue.tryReceive()));
      expect(got).toEqual([
        { type: 1, data: Buffer.from([0, 255, 10]) },
        { type: 2, data: Buffer.alloc(0) },
        { type: 3, data: Buffer.from('für') },
        { type: 4, data: Buffer.from([1, 0, 2, 0]) },
      ]);
    });

    it('msgsnd EINVAL: a type is above 0, all others are misuse', async () => {
      await openInAll();
      const failures = await one.run(async ({ failureOf, mine }) => {
        const failures = [];
        for (const type of [0, -1, 1.5, Number.NaN, 2 ** 63, 0n, -1n, 2n ** 63n]) {
          failures.push(await failureOf(() => mine.queue.trySend(type, 'x')));
          failures.push(await failureOf(() => mine.queue.send(type, 'x')));
          failures.push(await failureOf(() => mine.queue.sendSync(type, 'x')));
        }
        return failures;
      });
      expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'type')));
      expect(await one.run(({ mine }) => mine.queue.stat().messages)).toBe(0);
    });

    it('msgsnd: a type may be as large as the kernel takes it', async () => {
      await openInAll();
      await one.run(({ mine }) => {
        for (const type of [1, 2 ** 31, Number.MAX_SAFE_INTEGER, 2n ** 63n - 1n])
          mine.queue.trySend(type, 'x');
      });
      const got = await other.run(({ mine }) =>
        [1, 2, 3, 4].map(() => mine.queue.tryReceive({ bigint: true }).type as bigint),
      );
      expect(got).toEqual([1n, 2n ** 31n, BigInt(Number.MAX_SAFE_INTEGER), 2n ** 63n - 1n]);
    });

    it('msgsnd EINVAL: a message that never fits is refused at once (EMSGSIZE where the queue is too small), and the limit is named', async () => {
      await openInAll(100);
      const { failures, msgmax } = await one.run(
        async ({ failureOf, fs, mine, removing, SysvMessageQueue }) => {
          const msgmax = Number(fs.readFileSync('/proc/sys/kernel/msgmax', 'utf8'));
          const large = removing(SysvMessageQueue.create(null));
          large.trySend(1, Buffer.alloc(msgmax));
          const failures = [];
          for (const [queue, size] of [
            [mine.queue, 101],
            [large, msgmax + 1],
          ] as const) {
            failures.push([
              await failureOf(() => queue.trySend(1, Buffer.alloc(size))),
              await failureOf(() => queue.send(1, Buffer.alloc(size))),
              await failureOf(() => queue.sendSync(1, Buffer.alloc(size))),
            ]);
          }
          return { failures, msgmax };
        },
      );
      for (const failure of failures[0] ?? []) {
        expect(failure).toEqual(systemError('EMSGSIZE', 'msgsnd'));
        expect(failure?.message).toMatch(/\b100\b.*kernel\.msgmnb/);
      }
      for (const failure of failures[1] ?? []) {
        expect(failure).toEqual(systemError('EINVAL', 'msgsnd'));
        expect(failure?.message).toMatch(
          new RegExp(`\\b${msgmax}\\b.*kernel\\.msgmax|kernel\\.msgmax.*\\b${msgmax}\\b`),
        );
      }
      expect(await one.run(drain)).toEqual([]);
    });

    it('msgsnd EAGAIN: what may not wait tells that the bytes do not fit, and sends nothing', async () => {
      await openInAll(10);
      const sent = await one.run(({ mine }) => [
        mine.queue.trySend(1, '123456'),
        mine.queue.trySend(2, '12345'),
        mine.queue.trySend(3, '1234'),
        mine.queue.trySend(4, '1'),
      ]);
      expect(sent).toEqual([true, false, true, false]);
      expect(await other.run(drain)).toEqual(['1 123456', '3 1234']);
    });

    it('msgsnd EAGAIN: empty messages fill a queue, too', async () => {
      await openInAll(3);
      const sent = await one.run(({ mine }) => [1, 2, 3, 4].map((type) => mine.queue.trySend(type, '')));
      expect(sent).toEqual([true, true, true, false]);
    });

    it.each([
      ['a receiver makes it', ({ mine }: World) => void mine.queue.tryReceive()],
      ['msg_qbytes grows', ({ mine }: World) => void mine.queue.set({ maxBytes: 20 })],
    ])('msgsnd: waits until there is room: %s', async (_, act) => {
      await openInAll(10);
      for (const call of ['send', 'sendSync']) {
        const sent = one.run(async ({ mine, tell }, call) => {
          mine.queue.set({ maxBytes: 10 });
          mine.queue.trySend(1, '1234567890');
          await tell();
          await mine.queue[call](2, '1234567890');
        }, call);
        await one.told();
        await one.asleep();
        await other.run(act);
        await sent;
        const texts = await other.run(drain);
        expect(texts.at(-1)).toBe('2 1234567890');
      }
    });

    it('msgsnd: one that times out, at once or later, or is aborted sends nothing', async () => {
      await openInAll(4);
      const failures = await one.run(async ({ failureOf, mine }) => {
        const { queue } = mine;
        queue.trySend(1, 'full');
        const abort = new AbortController();
        const aborted = failureOf(() => queue.send(2, 'a', { signal: abort.signal }));
        abort.abort();
        return [
          await failureOf(() => queue.send(2, 'b', { timeout: 0 })),
          await failureOf(() => queue.send(2, 'c', { timeout: 1.5 })),
          await failureOf(() => queue.sendSync(2, 'd', { timeout: 0 })),
          await failureOf(() => queue.sendSync(2, 'e', { timeout: 1.5 })),
          await aborted,
        ];
      });
      expect(failures.slice(0, 4)).toEqual([1, 2, 3, 4].map(() => timedOut('msgsnd')));
      expect(failures[4]).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(await other.run(drain)).toEqual(['1 full']);
      await one.run(({ mine }) => mine.queue.send(3, 'room', { timeout: 0 }));
      expect(await other.run(drain)).toEqual(['3 room']);
    });

    it('msgsnd EIDRM: a queue that is removed ends the wait', async () => {
      for (const call of ['send', 'sendSync']) {
        await openInAll(4);
        const failed = one.run(async ({ failureOf, mine, tell }, call) => {
          mine.queue.trySend(1, 'full');
          await tell();
          return failureOf(() => mine.queue[call](2, 'more'));
        }, call);
        await one.told();
        await one.asleep();
        await other.run(({ mine }) => mine.queue.remove());
        expect(await failed).toEqual(systemError('EIDRM', 'msgsnd'));
      }
    });

    it('msgsnd EINTR: a signal ends no wait, and the message goes once', async () => {
      await openInAll(4);
      const sent = one.run(async ({ mine, tell }) => {
        let signals = 0;
        process.on('SIGUSR1', () => signals++);
        mine.queue.trySend(1, 'full');
        await tell();
        mine.queue.sendSync(2, 'next');
        while (signals === 0) await new Promise(setImmediate);
      });
      await one.told();
      for (let i = 0; i < 10; i++) {
        await one.asleep();
        process.kill(one.pid, 'SIGUSR1');
      }
      await one.asleep();
      expect(await other.run(({ mine }) => String(mine.queue.tryReceive().data))).toBe('full');
      await sent;
      expect(await other.run(drain)).toEqual(['2 next']);
    });

    it.each(['send', 'sendSync'])(
      'msgsnd: one that is killed in %s sends nothing, and holds up nobody',
      async (call) => {
        await openInAll(4);
        const killed = one.run(async ({ mine, tell }, call) => {
          mine.queue.trySend(1, 'full');
          await tell();
          await mine.queue[call](2, 'dead');
        }, call);
        await one.told();
        await one.asleep();
        const sent = other.run(({ mine }) => mine.queue.send(3, 'next'));
        await other.run(() => {});
        await one.kill();
        await expect(killed).rejects.toThrow('SIGKILL');
        expect(await third.run(({ mine }) => String(mine.queue.tryReceive().data))).toBe('full');
        await sent;
        expect(await third.run(drain)).toEqual(['3 next']);
      },
    );
  });

  describe('msgrcv', () => {
    /** Types and texts, as they lie in the queue. */
    const filled = async (key?: number) => {
      key ??= await openInAll();
      await one.run(({ mine }) => {
        for (const [type, text] of [
          [3, 'a'],
          [1, 'b'],
          [2, 'c'],
          [3, 'd'],
          [1, 'e'],
        ]) {
          mine.queue.trySend(type, text);
        }
      });
      return key;
    };

    it('msgrcv: takes the message out of the queue, whole', async () => {
      await openInAll();
      await one.run(({ mine }) => mine.queue.trySend(9, Buffer.alloc(777, 5)));
      const got = await other.run(({ mine }) => [mine.queue.tryReceive(), mine.queue.tryReceive()]);
      expect(got).toEqual([{ type: 9, data: Buffer.alloc(777, 5) }, null]);
    });

    it.each([
      ['0: the first', {}, ['3 a', '1 b', '2 c', '3 d', '1 e']],
      ['0, said', { type: 0 }, ['3 a', '1 b', '2 c', '3 d', '1 e']],
      ['above 0: the first of that type', { type: 3 }, ['3 a', '3 d']],
      ['above 0, which nobody has sent', { type: 4 }, []],
      ['below 0: the first of the lowest type up to that', { type: -2 }, ['1 b', '1 e', '2 c']],
      ['below 0, all of them', { type: -100 }, ['1 b', '1 e', '2 c', '3 a', '3 d']],
      [
        'above 0, with MSG_EXCEPT: the first of another type',
        { type: 3, except: true },
        ['1 b', '2 c', '1 e'],
      ],
    ])('msgrcv: type %s', async (_, options, expected) => {
      for (const way of ['tryReceive', 'receive', 'receiveSync']) {
        await filled();
        const got = await other.run(
          async ({ mine }, options, way, count) => {
            const texts = [];
            for (let i = 0; i < count; i++) {
              const { type, data } = await mine.queue[way](options);
              texts.push(`${type} ${data}`);
            }
            return { texts, more: mine.queue.tryReceive(options) };
          },
          options,
          way,
          expected.length,
        );
        expect(got).toEqual({ texts: expected, more: null });
      }
    });

    it('msgrcv E2BIG: a message longer than the size that is asked for stays', async () => {
      await openInAll();
      await one.run(({ mine }) => mine.queue.trySend(1, '12345'));
      const failures = await other.run(async ({ failureOf, mine }) => [
        await failureOf(() => mine.queue.tryReceive({ size: 4 })),
        await failureOf(() => mine.queue.receive({ size: 4 })),
        await failureOf(() => mine.queue.receiveSync({ size: 0 })),
      ]);
      expect(failures).toEqual(failures.map(() => systemError('E2BIG', 'msgrcv')));
      const got = await other.run(({ mine }) => mine.queue.tryReceive({ size: 5 }));
      expect(String(got.data)).toBe('12345');
    });

    it('msgrcv: MSG_NOERROR cuts it, and the rest is lost', async () => {
      await openInAll();
      await one.run(({ mine }) => {
        for (let i = 0; i < 3; i++) mine.queue.trySend(1, '12345');
      });
      const got = await other.run(async ({ mine }) => [
        String(mine.queue.tryReceive({ size: 4, truncate: true }).data),
        String((await mine.queue.receive({ size: 0, truncate: true })).data),
        String(mine.queue.receiveSync({ size: 9, truncate: true }).data),
        mine.queue.tryReceive(),
      ]);
      expect(got).toEqual(['1234', '', '12345', null]);
    });

    it('msgrcv: without a size a message comes whole, however long', async () => {
      const most = await one.run(({ fs }) => Number(fs.readFileSync('/proc/sys/kernel/msgmax', 'utf8')));
      await openInAll(2 * most);
      await one.run(({ mine }, most) => {
        for (const size of [most, 0]) mine.queue.trySend(1, Buffer.alloc(size, 3));
      }, most);
      const got = await other.run(async ({ mine }) => [
        (await mine.queue.receive()).data.length,
        mine.queue.receiveSync().data.length,
      ]);
      expect(got).toEqual([most, 0]);
    });

    it('msgrcv ENOMSG: what may not wait gives null, where none is or none of that type', async () => {
      await openInAll();
      const got = await other.run(({ mine }) => [
        mine.queue.tryReceive(),
        mine.queue.trySend(2, 'x'),
        mine.queue.tryReceive({ type: 1 }),
        mine.queue.tryReceive({ type: -1 }),
        mine.queue.tryReceive({ type: 2, except: true }),
        mine.queue.stat().messages,
      ]);
      expect(got).toEqual([null, true, null, null, null, 1]);
    });

    it('msgrcv EINVAL: a size that is none is misuse, and so is MSG_EXCEPT of no type', async () => {
      await openInAll();
      const failures = await one.run(async ({ failureOf, mine }) => {
        mine.queue.trySend(1, 'kept');
        const failures = [];
        for (const options of [{ size: -1 }, { size: 1.5 }, { size: 2 ** 31 }, { except: true }]) {
          for (const way of ['tryReceive', 'receive', 'receiveSync']) {
            failures.push(await failureOf(() => mine.queue[way](options)));
          }
        }
        return failures;
      });
      for (const failure of failures) {
        expect(failure).toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
      }
      expect(await one.run(drain)).toEqual(['1 kept']);
    });

    it('msgrcv: waits for a message of its type, and lets all others lie', async () => {
      await openInAll();
      for (const call of ['receive', 'receiveSync']) {
        const received = one.run(async ({ mine, tell }, call) => {
          await tell();
          const { type, data } = await mine.queue[call]({ type: 2 });
          return `${type} ${data}`;
        }, call);
        await one.told();
        await one.asleep();
        await other.run(({ mine }) => {
          mine.queue.trySend(1, 'other');
          mine.queue.trySend(3, 'other');
          mine.queue.trySend(2, 'mine');
        });
        expect(await received).toBe('2 mine');
        expect(await other.run(drain)).toEqual(['1 other', '3 other']);
      }
    });

    it('msgrcv: of several that wait each message goes to one', async () => {
      await openInAll();
      const receiving = [one, other].map((party) =>
        party.run(({ mine }) =>
          Promise.all([1, 2, 3].map(async () => String((await mine.queue.receive()).data))),
        ),
      );
      await Promise.all([one.run(() => {}), other.run(() => {})]);
      await third.run(async ({ mine }) => {
        for (let i = 0; i < 6; i++) await mine.queue.send(1, `${i}`);
      });
      expect((await Promise.all(receiving)).flat().sort()).toEqual(['0', '1', '2', '3', '4', '5']);
      expect(await third.run(drain)).toEqual([]);
    });

    it('msgrcv: one that times out, at once or later, or is aborted takes nothing', async () => {
      await openInAll();
      const failures = await one.run(async ({ failureOf, mine }) => {
        const { queue } = mine;
        const abort = new AbortController();
        const aborted = failureOf(() => queue.receive({ signal: abort.signal }));
        abort.abort();
        return [
          await failureOf(() => queue.receive({ timeout: 0 })),
          await failureOf(() => queue.receive({ timeout: 1.5 })),
          await failureOf(() => queue.receiveSync({ timeout: 0 })),
          await failureOf(() => queue.receiveSync({ timeout: 1.5 })),
          await aborted,
        ];
      });
      expect(failures.slice(0, 4)).toEqual([1, 2, 3, 4].map(() => timedOut('msgrcv')));
      expect(failures[4]).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      await other.run(({ mine }) => mine.queue.trySend(1, 'kept'));
      expect(await other.run(drain)).toEqual(['1 kept']);
    });

    it('msgrcv EIDRM: a queue that is removed ends the wait', async () => {
      for (const call of ['receive', 'receiveSync']) {
        await openInAll();
        const failed = one.run(async ({ failureOf, mine, tell }, call) => {
          await tell();
          return failureOf(() => mine.queue[call]());
        }, call);
        await one.told();
        await one.asleep();
        await other.run(({ mine }) => mine.queue.remove());
        expect(await failed).toEqual(systemError('EIDRM', 'msgrcv'));
      }
    });

    it('msgrcv EIDRM, msgsnd EIDRM: also where it is removed in the turn in which the wait begins', async () => {
      const codes = await one.run(async ({ failureOf, removing, SysvMessageQueue }) => {
        const codes = [];
        for (let round = 0; round < 50; round++) {
          const queue = removing(SysvMessageQueue.create(null, { maxBytes: 4 }));
          const received = failureOf(() => queue.receive({ type: 2 }));
          queue.trySend(1, 'full');
          const sent = failureOf(() => queue.send(1, 'more'));
          queue.remove();
          codes.push((await received)?.code, (await sent)?.code);
        }
        return codes;
      });
      expect(codes).toEqual(codes.map(() => 'EIDRM'));
    });

    it('msgrcv EINTR: a signal ends no wait', async () => {
      await openInAll();
      const received = one.run(async ({ mine, tell }) => {
        let signals = 0;
        process.on('SIGUSR1', () => signals++);
        await tell();
        const message = mine.queue.receiveSync();
        while (signals === 0) await new Promise(setImmediate);
        return String(message.data);
      });
      await one.told();
      for (let i = 0; i < 10; i++) {
        await one.asleep();
        process.kill(one.pid, 'SIGUSR1');
      }
      await one.asleep();
      await other.run(({ mine }) => mine.queue.trySend(1, 'here'));
      expect(await received).toBe('here');
    });

    it.each(['receive', 'receiveSync'])(
      'msgrcv: one that is killed in %s takes no message with it',
      async (call) => {
        await openInAll();
        const killed = one.run(async ({ mine, tell }, call) => {
          await tell();
          return mine.queue[call]();
        }, call);
        await one.told();
        await one.asleep();
        await one.kill();
        await expect(killed).rejects.toThrow('SIGKILL');
        await other.run(({ mine }) => mine.queue.trySend(1, 'for the living'));
        expect(await other.run(drain)).toEqual(['1 for the living']);
      },
    );

    it('msgrcv: MSG_COPY shows the message at a place, and leaves it there', async () => {
      await filled();
      const got = await other.run(({ mine }) => {
        const peeked = [0, 1, 4, 5].map((index) => mine.queue.peek(index));
        return { first: mine.queue.peek(), peeked, messages: mine.queue.stat().messages };
      });
      expect(got).toEqual({
        first: { type: 3, data: Buffer.from('a') },
        peeked: [
          { type: 3, data: Buffer.from('a') },
          { type: 1, data: Buffer.from('b') },
          { type: 1, data: Buffer.from('e') },
          null,
        ],
        messages: 5,
      });
    });
  });
});
