/**
 * What POSIX says of mq_notify, as processes see it. The numbers are those of the assertions that docs/conformance.md
 * lists. That a receiver in C goes before a notification, and that one notification is all that a registration gives:
 * test/interop/queues.test.ts
 */
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { queueName } from '../support/names.js';
import { party, users } from './party.js';

describe.each(users)('as %s', (user) => {
  const one = party(user);
  const other = party(user);

  /** `mine.queue` in both. */
  async function openInBoth(): Promise<string> {
    const name = queueName();
    await one.run(({ closing, MessageQueue, mine, small }, name) => {
      mine.queue = closing(MessageQueue.create(name, small));
    }, name);
    await other.run(({ closing, MessageQueue, mine }, name) => {
      mine.queue = closing(MessageQueue.open(name));
    }, name);
    return name;
  }

  const register = (party: typeof one) =>
    party.run(({ mine }) => {
      mine.notices = mine.queue.notifications();
      mine.next = mine.notices.next();
      mine.next.catch(() => {});
    });
  const noticed = (party: typeof one) => party.run(async ({ mine }) => (await mine.next).value);
  const refusal = (party: typeof one) =>
    party.run(({ failureOf, mine }) => failureOf(() => mine.queue.notifications().next()));

  it('mq_notify 1, 6: a message that comes into the empty queue is told of, and no other', async () => {
    await openInBoth();
    await register(one);
    await other.run(({ mine }) => mine.queue.trySend('1'));
    expect(await noticed(one)).toBe(1);
    // It lies there: the next one comes into a queue that is not empty.
    await one.run(({ mine }) => {
      mine.next = mine.notices.next();
    });
    await other.run(({ mine }) => {
      mine.queue.trySend('2');
      mine.queue.trySend('3');
      for (let i = 0; i < 3; i++) mine.queue.tryReceive();
      mine.queue.trySend('4');
    });
    expect(await noticed(one)).toBe(1);
  });

  it('what is in the queue already is told of first', async () => {
    await openInBoth();
    await other.run(({ mine }) => {
      mine.queue.trySend('1');
      mine.queue.trySend('2');
    });
    await register(one);
    expect(await noticed(one)).toBe(2);
  });

  it('who empties the queue after each notice misses no message', async () => {
    await openInBoth();
    const count = 2000;
    const all = one.run(async ({ mine }, count) => {
      let next = 0;
      for await (const _ of mine.queue.notifications()) {
        for (let got = mine.queue.tryReceive(); got; got = mine.queue.tryReceive()) {
          if (String(got.data) !== `${next++}`) throw new Error(`${got.data} came for ${next - 1}`);
        }
        if (next === count) break;
      }
      return next;
    }, count);
    await other.run(async ({ mine }, count) => {
      for (let i = 0; i < count; i++) {
        await mine.queue.send(`${i}`);
        if (i % 7 === 0) await new Promise(setImmediate);
      }
    }, count);
    expect(await all).toBe(count);
  });

  it('mq_notify 2, 7, 9: one process at a time is told, every other one is EBUSY', async () => {
    const name = await openInBoth();
    await register(one);
    for (const party of [other, one]) {
      const failure = await refusal(party);
      expect(failure).toEqual(systemError('EBUSY', 'mq_notify', name));
    }
    // The refused ones harm nothing.
    await other.run(({ mine }) => mine.queue.trySend('x'));
    expect(await noticed(one)).toBe(1);
  });

  it('mq_notify 3: who gives it up is told no more, and another can be', async () => {
    await openInBoth();
    await register(one);
    await one.run(({ mine }) => mine.notices.return());
    expect(await one.run(async ({ mine }) => (await mine.next).done)).toBe(true);
    await register(other);
    await one.run(({ mine }) => mine.queue.trySend('x'));
    expect(await noticed(other)).toBe(1);
  });

  it('who leaves the loop, or is aborted, gives it up', async () => {
    await openInBoth();
    await one.run(async ({ assert, failureOf, mine }) => {
      mine.queue.trySend('x');
      for await (const count of mine.queue.notifications()) {
        assert.equal(count, 1);
        break;
      }
      mine.queue.tryReceive();
      const abort = new AbortController();
      const aborted = failureOf(() => mine.queue.notifications({ signal: abort.signal }).next());
      abort.abort();
      assert.equal((await aborted)?.code, 'ABORT_ERR');
    });
    await register(other);
    await one.run(({ mine }) => mine.queue.trySend('x'));
    expect(await noticed(other)).toBe(1);
  });

  it('mq_notify 8: a closed queue tells nobody', async () => {
    await openInBoth();
    const ended = await one.run(async ({ failureOf, mine }) => {
      const waiting = mine.queue.notifications().next();
      mine.queue.close();
      return { waiting: await waiting, later: await failureOf(() => mine.queue.notifications().next()) };
    });
    expect(ended.waiting).toEqual({ done: true, value: undefined });
    expect(ended.later?.code).toBe('ERR_INTERPROC_CLOSED');
  });

  it('mq_close 2: closing a queue gives its registration up', async () => {
    await openInBoth();
    await register(one);
    expect((await refusal(other))?.code).toBe('EBUSY');
    await one.run(({ mine }) => mine.queue.close());
    await register(other);
    await other.run(({ mine }) => mine.queue.trySend('x'));
    expect(await noticed(other)).toBe(1);
  });

  it('the registration of a process that is killed is free again', async () => {
    await openInBoth();
    await register(one);
    expect((await refusal(other))?.code).toBe('EBUSY');
    await one.kill();
    await register(other);
    await other.run(({ mine }) => mine.queue.trySend('x'));
    expect(await noticed(other)).toBe(1);
  });
});
