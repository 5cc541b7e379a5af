/**
 * What POSIX says of mq_send, mq_receive and their timed forms, of mq_getattr and mq_setattr, as processes see it. The
 * numbers are those of the assertions that docs/conformance.md lists.
 */
import { describe, expect, it } from 'vitest';
import { misuse, systemError } from '../support/failures.js';
import { queueName } from '../support/names.js';
import { party, users, type World } from './party.js';

const timedOut = (syscall: string) =>
  expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT', syscall });

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);
  const third = party(user);

  /** `mine.queue` in both, of 4 messages of 64 bytes. */
  async function openInBoth(): Promise<string> {
    const name = queueName();
    await one.run(({ closing, MessageQueue, mine, small }, name) => {
      mine.queue = closing(MessageQueue.create(name, small));
    }, name);
    await open(other, name);
    return name;
  }

  const open = (where: typeof one, name: string) =>
    where.run(({ closing, MessageQueue, mine }, name) => {
      mine.queue = closing(MessageQueue.open(name));
    }, name);

  describe('sending', () => {
    it('mq_send 1, 8, mq_timedsend 1, 8: puts into the queue the bytes as they are', async () => {
      await openInBoth();
      await one.run(async ({ assert, mine }) => {
        for (const data of [Buffer.from([0, 255, 10]), Buffer.alloc(64, 7), Buffer.alloc(0), 'für']) {
          assert.equal(await mine.queue.send(data), undefined);
        }
        mine.queue.tryReceive();
        assert.equal(await mine.queue.send(new Uint16Array([1, 2]), { timeout: 50_000 }), undefined);
      });
      const got = await other.run(({ mine }) => [1, 2, 3, 4].map(() => mine.queue.tryReceive().data));
      expect(got).toEqual([
        Buffer.alloc(64, 7),
        Buffer.alloc(0),
        Buffer.from('für'),
        Buffer.from([1, 0, 2, 0]),
      ]);
    });

    it('mq_send 2, 14, mq_timedsend 2, 14: more than the size of a message is EMSGSIZE, which names it', async () => {
      const name = await openInBoth();
      const failures = await one.run(async ({ assert, failureOf, mine }) => {
        const long = Buffer.alloc(65);
        const { queue } = mine;
        const failures = [
          await failureOf(() => queue.trySend(long)),
          await failureOf(() => queue.send(long)),
          await failureOf(() => queue.send(long, { timeout: 50_000 })),
          await failureOf(() => queue.sendSync(long)),
        ];
        assert.equal(queue.attributes().messages, 0);
        return failures;
      });
      for (const failure of failures) {
        expect(failure).toEqual(systemError('EMSGSIZE', 'mq_send', name));
        expect(failure?.message).toMatch(/\b64\b/);
      }
    });

    it('mq_send 3, mq_timedsend 3: a higher priority goes before a lower one, and equal ones in their order', async () => {
      await openInBoth();
      await one.run(async ({ mine }) => {
        await mine.queue.send('low 1', { priority: 1 });
        await mine.queue.send('high 1', { priority: 2, timeout: 50_000 });
        await mine.queue.send('low 2', { priority: 1, timeout: 50_000 });
        await mine.queue.send('high 2', { priority: 2 });
      });
      const got = await other.run(({ mine }) => [1, 2, 3, 4].map(() => String(mine.queue.tryReceive().data)));
      expect(got).toEqual(['high 1', 'high 2', 'low 1', 'low 2']);
    });

    it('mq_send 4, 13, mq_timedsend 4, 13: a priority is one of 0 to 32767, all others are misuse', async () => {
      await openInBoth();
      const failures = await one.run(async ({ failureOf, mine }) => {
        const { queue } = mine;
        queue.trySend('lowest', { priority: 0 });
        queue.trySend('highest', { priority: 32_767 });
        const failures = [];
        for (const priority of [-1, 32_768, 1.5, Number.NaN]) {
          failures.push(
            await failureOf(() => queue.trySend('x', { priority })),
            await failureOf(() => queue.send('x', { priority })),
            await failureOf(() => queue.send('x', { priority, timeout: 50_000 })),
            await failureOf(() => queue.sendSync('x', { priority })),
          );
        }
        return failures;
      });
      expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'priority')));
      const got = await other.run(({ mine }) => [1, 2, 3].map(() => mine.queue.tryReceive()?.priority));
      expect(got).toEqual([32_767, 0, undefined]);
    });

    it('mq_send 5, mq_timedsend 5: waits while the queue is full, until there is room', async () => {
      await openInBoth();
      for (const wait of [{}, { timeout: 50_000 }]) {
        const sent = one.run(async ({ mine }, wait) => {
          for (const text of ['1', '2', '3', '4']) mine.queue.trySend(text);
          await mine.queue.send('5', wait);
          return mine.queue.attributes().messages;
        }, wait);
        // It runs only once the call above waits.
        expect(await one.run(({ mine }) => mine.queue.attributes().messages)).toBe(4);
        expect(String((await other.run(({ mine }) => mine.queue.tryReceive())).data)).toBe('1');
        expect(await sent).toBe(4);
        const rest = await other.run(({ mine }) =>
          [2, 3, 4, 5].map(() => String(mine.queue.tryReceive().data)),
        );
        expect(rest).toEqual(['2', '3', '4', '5']);
      }
    });

    it('mq_send 6, mq_timedsend 6: of several that wait for room each puts its message there once', async () => {
      const name = await openInBoth();
      await open(third, name);
      await one.run(({ mine }) => {
        for (const text of ['1', '2', '3', '4']) mine.queue.trySend(text);
      });
      const sending = [one, other].map((party, who) =>
        party.run(async ({ mine }, who) => {
          await Promise.all(
            [0, 1, 2].map((i) => mine.queue.send(`${who}-${i}`, i === 1 ? { timeout: 50_000 } : {})),
          );
        }, who),
      );
      await Promise.all([one.run(() => {}), other.run(() => {})]);
      const got = await third.run(async ({ mine }) => {
        const texts = [];
        while (texts.length < 10) texts.push(String((await mine.queue.receive()).data));
        return texts;
      });
      await Promise.all(sending);
      expect(got.slice(0, 4)).toEqual(['1', '2', '3', '4']);
      expect(got.slice(4).sort()).toEqual(['0-0', '0-1', '0-2', '1-0', '1-1', '1-2']);
      expect(await third.run(({ mine }) => mine.queue.tryReceive())).toBeNull();
    });

    it('mq_send 7, 10, mq_timedsend 7, 10: what may not wait tells that it is full, and sends nothing', async () => {
      const name = await openInBoth();
      await one.run(({ assert, closing, MessageQueue, mine }, name) => {
        for (const text of ['1', '2', '3', '4']) mine.queue.trySend(text);
        assert.equal(mine.queue.trySend('5'), false);
        // Ours is the way to wait, whatever the descriptor says: see mq_setattr 1.
        const other = closing(MessageQueue.open(name, { nonBlocking: true }));
        assert.equal(other.trySend('5'), false);
      }, name);
      const got = await other.run(({ mine }) => {
        const texts = [];
        for (let next = mine.queue.tryReceive(); next; next = mine.queue.tryReceive())
          texts.push(String(next.data));
        return texts;
      });
      expect(got).toEqual(['1', '2', '3', '4']);
    });

    it('mq_send 9, mq_timedsend 9, 15, 20: a send that times out, at once or later, or is aborted sends nothing', async () => {
      await openInBoth();
      const failures = await one.run(async ({ failureOf, mine }) => {
        const { queue } = mine;
        for (const text of ['1', '2', '3', '4']) queue.trySend(text);
        const abort = new AbortController();
        const aborted = failureOf(() => queue.send('a', { signal: abort.signal }));
        abort.abort();
        return [
          await failureOf(() => queue.send('b', { timeout: 0 })),
          await failureOf(() => queue.send('c', { timeout: 1.5 })),
          await failureOf(() => queue.sendSync('d', { timeout: 0 })),
          await failureOf(() => queue.sendSync('e', { timeout: 1.5 })),
          await aborted,
        ];
      });
      expect(failures.slice(0, 4)).toEqual([1, 2, 3, 4].map(() => timedOut('mq_send')));
      expect(failures[4]).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      const got = await other.run(({ mine }) => {
        const texts = [];
        for (let next = mine.queue.tryReceive(); next; next = mine.queue.tryReceive())
          texts.push(String(next.data));
        return texts;
      });
      expect(got).toEqual(['1', '2', '3', '4']);
    });

    it('mq_send 11, mq_timedsend 11: a descriptor that is open for receiving only is EBADF', async () => {
      const name = await openInBoth();
      const failures = await one.run(async ({ closing, failureOf, MessageQueue }, name) => {
        const queue = closing(MessageQueue.open(name, { readOnly: true }));
        return [
          await failureOf(() => queue.trySend('x')),
          await failureOf(() => queue.send('x')),
          await failureOf(() => queue.send('x', { timeout: 50_000 })),
          await failureOf(() => queue.sendSync('x')),
        ];
      }, name);
      expect(failures).toEqual(failures.map(() => systemError('EBADF', 'mq_send', name)));
    });

    it('mq_send 12, mq_timedsend 12: a signal ends no wait, and the message goes once', async () => {
      await openInBoth();
      for (const timeout of [Number.POSITIVE_INFINITY, 50_000]) {
        const sent = one.run(async ({ mine, tell }, timeout) => {
          let signals = 0;
          process.on('SIGUSR1', () => signals++);
          for (const text of ['1', '2', '3', '4']) mine.queue.trySend(text);
          await tell();
          mine.queue.sendSync('5', { timeout });
          while (signals === 0) await new Promise(setImmediate);
        }, timeout);
        await one.told();
        for (let i = 0; i < 10; i++) {
          await one.asleep();
          process.kill(one.pid, 'SIGUSR1');
        }
        await one.asleep();
        const got = await other.run(async ({ mine }) => {
          const texts = [];
          while (texts.length < 5) texts.push(String((await mine.queue.receive()).data));
          return texts;
        });
        await sent;
        expect(got).toEqual(['1', '2', '3', '4', '5']);
        expect(await other.run(({ mine }) => mine.queue.tryReceive())).toBeNull();
      }
    });

    it('mq_timedsend 18: where there is room no timeout is too short', async () => {
      await openInBoth();
      await one.run(async ({ mine }) => {
        await mine.queue.send('1', { timeout: 0 });
        await mine.queue.send('2', { timeout: Number.MIN_VALUE });
        mine.queue.sendSync('3', { timeout: 0 });
      });
      const got = await other.run(({ mine }) => [1, 2, 3].map(() => String(mine.queue.tryReceive().data)));
      expect(got).toEqual(['1', '2', '3']);
    });

    it('mq_timedsend 19, mq_timedreceive 17: a timeout that is none is misuse', async () => {
      await openInBoth();
      const failures = await one.run(async ({ failureOf, mine }) => {
        const failures = [];
        for (const timeout of [-1, Number.NaN, Number.NEGATIVE_INFINITY]) {
          for (const call of ['receive', 'receiveSync'])
            failures.push(await failureOf(() => mine.queue[call]({ timeout })));
          for (const call of ['send', 'sendSync']) {
            failures.push(await failureOf(() => mine.queue[call]('x', { timeout })));
          }
        }
        return failures;
      });
      expect(failures).toEqual(failures.map(() => misuse('RangeError', 'ERR_OUT_OF_RANGE', 'timeout')));
    });

    it('one that is killed while it waits for room sends nothing, and holds up nobody', async () => {
      await openInBoth();
      const killed = one.run(({ mine }) => {
        for (const text of ['1', '2', '3', '4']) mine.queue.trySend(text);
        return mine.queue.send('of the dead');
      });
      await one.run(() => {});
      await one.kill();
      await expect(killed).rejects.toThrow('SIGKILL');
      const got = await other.run(async ({ mine }) => {
        const waiting = mine.queue.send('5');
        const texts = [String(mine.queue.tryReceive().data)];
        await waiting;
        for (let next = mine.queue.tryReceive(); next; next = mine.queue.tryReceive())
          texts.push(String(next.data));
        return texts;
      });
      expect(got).toEqual(['1', '2', '3', '4', '5']);
    });
  });

  describe('receiving', () => {
    it('mq_receive 1, 8, mq_timedreceive 1, 11: takes the oldest of the highest priority, whole, and out of the queue', async () => {
      await openInBoth();
      await one.run(({ mine }) => {
        mine.queue.trySend('second', { priority: 5 });
        mine.queue.trySend('first', { priority: 9 });
        mine.queue.trySend('third', { priority: 5 });
        mine.queue.trySend('', { priority: 0 });
      });
      const got = await other.run(async ({ mine }) => {
        const texts = [];
        for (const wait of [{}, { timeout: 50_000 }, {}, { timeout: 50_000 }]) {
          const { data } = await mine.queue.receive(wait);
          texts.push([String(data), mine.queue.attributes().messages]);
        }
        return texts;
      });
      expect(got).toEqual([
        ['first', 3],
        ['second', 2],
        ['third', 1],
        ['', 0],
      ]);
    });

    it('mq_receive 2, 12, mq_timedreceive 2, 15: a place too small is no error, as the message comes whole', async () => {
      await openInBoth();
      await one.run(({ mine }) => {
        for (let i = 0; i < 4; i++) mine.queue.trySend(`a message of some length ${i}`);
      });
      await other.run(async ({ assert, mine }) => {
        const into = Buffer.alloc(4);
        const got = [
          mine.queue.tryReceive({ into }),
          await mine.queue.receive({ into }),
          await mine.queue.receive({ into, timeout: 50_000 }),
          mine.queue.receiveSync({ into }),
        ];
        assert.deepEqual(
          got.map(({ data }) => String(data)),
          [0, 1, 2, 3].map((i) => `a message of some length ${i}`),
        );
        assert.ok(got.every(({ data }) => data.buffer !== into.buffer));
      });
    });

    it('mq_receive 4, mq_timedreceive 4: tells the priority', async () => {
      await openInBoth();
      const priorities = [32_767, 1000, 1, 0];
      await one.run(({ mine }, priorities) => {
        for (const priority of priorities) mine.queue.trySend('x', { priority });
      }, priorities);
      const got = await other.run(async ({ mine }) => [
        (await mine.queue.receive()).priority,
        (await mine.queue.receive({ timeout: 50_000 })).priority,
        mine.queue.receiveSync().priority,
        mine.queue.tryReceive().priority,
      ]);
      expect(got).toEqual(priorities);
    });

    it('mq_receive 5, mq_timedreceive 5: waits while the queue is empty, until a message is there', async () => {
      await openInBoth();
      for (const wait of [{}, { timeout: 50_000 }]) {
        const received = other.run(({ mine }, wait) => mine.queue.receive(wait), wait);
        await other.run(() => {}); // so it waits by now
        await one.run(({ mine }) => mine.queue.trySend('here', { priority: 4 }));
        expect(await received).toEqual({ data: Buffer.from('here'), priority: 4 });
      }
    });

    it('mq_receive 6, mq_timedreceive 6: of several that wait each message goes to one', async () => {
      const name = await openInBoth();
      await open(third, name);
      const receiving = [one, other].map((party) =>
        party.run(({ mine }) =>
          Promise.all(
            [{}, { timeout: 50_000 }, {}].map(async (wait) => String((await mine.queue.receive(wait)).data)),
          ),
        ),
      );
      await Promise.all([one.run(() => {}), other.run(() => {})]);
      await third.run(async ({ mine }) => {
        for (let i = 0; i < 6; i++) await mine.queue.send(`${i}`);
      });
      expect((await Promise.all(receiving)).flat().sort()).toEqual(['0', '1', '2', '3', '4', '5']);
      expect(await third.run(({ mine }) => mine.queue.tryReceive())).toBeNull();
    });

    it('mq_receive 7, 10, mq_timedreceive 7, 13: what may not wait gives null where the queue is empty', async () => {
      const name = await openInBoth();
      const got = await other.run(
        ({ closing, MessageQueue, mine }, name) => [
          mine.queue.tryReceive(),
          closing(MessageQueue.open(name, { nonBlocking: true })).tryReceive(),
        ],
        name,
      );
      expect(got).toEqual([null, null]);
    });

    it('mq_receive 9, mq_timedreceive 12, 18: one that times out, at once or later, or is aborted takes nothing', async () => {
      await openInBoth();
      const failures = await other.run(async ({ failureOf, mine }) => {
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
      expect(failures.slice(0, 4)).toEqual([1, 2, 3, 4].map(() => timedOut('mq_receive')));
      expect(failures[4]).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      await one.run(({ mine }) => mine.queue.trySend('kept'));
      const got = await other.run(async ({ failureOf, mine }) => {
        await failureOf(() => mine.queue.receive({ signal: AbortSignal.abort() }));
        return String(mine.queue.tryReceive()?.data);
      });
      expect(got).toBe('kept');
    });

    it('mq_receive 11, mq_timedreceive 14: a descriptor that is open for sending only is EBADF', async () => {
      const name = await openInBoth();
      const failures = await one.run(async ({ closing, failureOf, MessageQueue }, name) => {
        const queue = closing(MessageQueue.open(name, { writeOnly: true }));
        return [
          await failureOf(() => queue.tryReceive()),
          await failureOf(() => queue.receive()),
          await failureOf(() => queue.receive({ timeout: 50_000 })),
          await failureOf(() => queue.receiveSync()),
        ];
      }, name);
      expect(failures).toEqual(failures.map(() => systemError('EBADF', 'mq_receive', name)));
    });

    it('mq_receive 13, mq_timedreceive 16: a signal ends no wait', async () => {
      await openInBoth();
      for (const timeout of [Number.POSITIVE_INFINITY, 50_000]) {
        const received = other.run(async ({ mine, tell }, timeout) => {
          let signals = 0;
          process.on('SIGUSR1', () => signals++);
          await tell();
          const message = mine.queue.receiveSync({ timeout });
          while (signals === 0) await new Promise(setImmediate);
          return message;
        }, timeout);
        await other.told();
        for (let i = 0; i < 10; i++) {
          await other.asleep();
          process.kill(other.pid, 'SIGUSR1');
        }
        await other.asleep();
        await one.run(({ mine }) => mine.queue.trySend('here'));
        expect(String((await received).data)).toBe('here');
      }
    });

    it('mq_timedreceive 10: where a message is there no timeout is too short', async () => {
      await openInBoth();
      await one.run(({ mine }) => {
        for (const text of ['1', '2', '3']) mine.queue.trySend(text);
      });
      const got = await other.run(async ({ mine }) => [
        String((await mine.queue.receive({ timeout: 0 })).data),
        String((await mine.queue.receive({ timeout: Number.MIN_VALUE })).data),
        String(mine.queue.receiveSync({ timeout: 0 }).data),
      ]);
      expect(got).toEqual(['1', '2', '3']);
    });

    it.each(['receive', 'receiveSync'])('one that is killed in %s takes no message with it', async (call) => {
      await openInBoth();
      const killed = one.run(async ({ mine, tell }, call) => {
        await tell();
        return mine.queue[call]();
      }, call);
      await one.told();
      await one.asleep();
      await one.kill();
      await expect(killed).rejects.toThrow('SIGKILL');
      const got = await other.run(({ mine }) => {
        mine.queue.trySend('for the living');
        return mine.queue.tryReceive();
      });
      expect(String(got?.data)).toBe('for the living');
    });
  });

  describe('attributes', () => {
    it('mq_getattr 1, 3, 5: they are those that it was made with, for everybody', async () => {
      await openInBoth();
      for (const party of [one, other]) {
        const attributes = await party.run(({ mine }) => mine.queue.attributes());
        expect(attributes).toEqual({ maxMessages: 4, messageSize: 64, messages: 0, nonBlocking: false });
      }
    });

    it('mq_getattr 2, mq_setattr 1, 3: only O_NONBLOCK can be set, and is told then', async () => {
      await openInBoth();
      const seen = await one.run(({ mine }) => {
        const { queue } = mine;
        const seen = [];
        for (const value of [true, true, false]) {
          queue.nonBlocking = value;
          seen.push({ ...queue.attributes(), said: queue.nonBlocking });
        }
        return seen;
      });
      expect(seen).toEqual(
        [true, true, false].map((value) => ({
          maxMessages: 4,
          messageSize: 64,
          messages: 0,
          nonBlocking: value,
          said: value,
        })),
      );
    });

    it('mq_setattr 1: it is set for all who share the descriptor, and for nobody else', async () => {
      const name = await openInBoth();
      const { shared, apart } = await one.run(({ assert, closing, MessageQueue, mine }, name) => {
        const shared = closing(MessageQueue.fromFd(mine.queue.fd));
        const apart = closing(MessageQueue.open(name));
        mine.queue.nonBlocking = true;
        assert.equal(mine.queue.tryReceive(), null);
        return { shared: shared.nonBlocking, apart: apart.nonBlocking };
      }, name);
      expect({ shared, apart }).toEqual({ shared: true, apart: false });
      expect(await other.run(({ mine }) => mine.queue.nonBlocking)).toBe(false);
    });

    it('mq_setattr 1: our own calls wait as they are asked to, also where O_NONBLOCK is set', async () => {
      await openInBoth();
      const received = one.run(({ mine }) => {
        mine.queue.nonBlocking = true;
        return mine.queue.receive();
      });
      await one.run(() => {});
      await other.run(({ mine }) => mine.queue.trySend('late'));
      expect(String((await received).data)).toBe('late');
      const sync = one.run(async ({ mine, tell }) => {
        await tell();
        return mine.queue.receiveSync();
      });
      await one.told();
      await one.asleep();
      await other.run(({ mine }) => mine.queue.trySend('late'));
      expect(String((await sync).data)).toBe('late');
    });

    it('mq_getattr 4: the number of messages is that of now', async () => {
      await openInBoth();
      const count = ({ mine }: World) => mine.queue.attributes().messages;
      for (const [act, messages] of [
        [({ mine }: World) => mine.queue.trySend('1'), 1],
        [({ mine }: World) => mine.queue.trySend('2'), 2],
        [({ mine }: World) => mine.queue.tryReceive(), 1],
        [({ mine }: World) => mine.queue.trySend('3'), 2],
      ] as const) {
        await one.run(act);
        expect([await one.run(count), await other.run(count)]).toEqual([messages, messages]);
      }
    });

    it('mq_getattr 7: a descriptor of something else is no queue', async () => {
      const failures = await one.run(async ({ failureOf, fs, MessageQueue }) => {
        const fd = fs.openSync('/dev/null', 'r');
        const failures = [await failureOf(() => MessageQueue.fromFd(fd))];
        fs.closeSync(fd);
        return [...failures, await failureOf(() => MessageQueue.fromFd(fd))];
      });
      expect(failures[0]).toEqual(systemError('EBADF', 'mq_getattr'));
      expect(failures[1]).toMatchObject({ name: 'IpcError', code: 'EBADF' });
    });
  });
});
