/** Options whose getters do something else in the middle of a call, and memory that goes while a call waits. */
import { MessageQueue, SysvMessageQueue } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { queueName } from '../support/names.js';

function sysvQueue(): SysvMessageQueue {
  const queue = SysvMessageQueue.create(null);
  onTestFinished(() => {
    SysvMessageQueue.remove(queue.id);
    queue.close();
  });
  return queue;
}

const closed = expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' });

it('a message comes in memory of its own where that of its receiver was moved away while it waited', async () => {
  const queue = sysvQueue();
  const into = new Uint8Array(100);
  const waiting = queue.receive({ into });
  await new Promise((begun) => setTimeout(begun, 20));
  structuredClone(into.buffer, { transfer: [into.buffer] });
  queue.sendSync(1, 'hello');
  const { data } = await waiting;
  expect(String(data)).toBe('hello');
});

it('calls that the getter of an option makes for the same end with their queue, too', async () => {
  const queue = sysvQueue();
  const inner: Promise<unknown>[] = [];
  const outer = queue.receive({
    type: 1,
    get timeout() {
      inner.push(queue.receive({ type: 2 }), queue.receive({ type: 1 }));
      return 30_000;
    },
  });
  queue.close();
  await expect(outer).rejects.toEqual(closed);
  expect(inner.length).toBeGreaterThan(0);
  for (const each of inner) await expect(each).rejects.toEqual(closed);
});

it('a queue that the getter of an option closes takes and gives no message any more', () => {
  const queue = sysvQueue();
  queue.sendSync(1, 'stays');
  const receiving = () =>
    queue.tryReceive({
      get type() {
        queue.close();
        return 0;
      },
    });
  expect(receiving).toThrow(closed);
  expect(SysvMessageQueue.fromId(queue.id).stat().messages).toBe(1);

  const posix = MessageQueue.create(queueName());
  const sending = () =>
    posix.trySend('data', {
      get priority() {
        posix.close();
        return 0;
      },
    });
  expect(sending).toThrow(closed);
});
