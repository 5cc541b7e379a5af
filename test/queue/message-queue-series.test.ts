/** `for await` over a queue: messages as they come, and what ends the loop. */
import { MessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { drain, makeQueue, openAgain, turn } from '../support/message-queues.js';
import { leavesNothingOpen } from '../support/pipes.js';

leavesNothingOpen();

const end = { done: true, value: undefined };

describe('a loop over a queue', () => {
  it('gets messages as they come, with their priorities', async () => {
    const queue = makeQueue();
    queue.trySend('2');
    queue.trySend('1', { priority: 9 });
    const sending = (async () => {
      for (let count = 3; count <= 20; count++) await queue.send(`${count}`);
    })();
    const got: string[] = [];
    for await (const { data, priority } of queue) {
      got.push(`${data}:${priority}`);
      if (got.length === 20) break;
    }
    await sending;
    expect(got).toEqual(['1:9', ...Array.from({ length: 19 }, (_, index) => `${index + 2}:0`)]);
  });

  it('that is left takes no further message and closes nothing', async () => {
    const queue = makeQueue();
    for (const text of ['1', '2', '3']) queue.trySend(text);
    for await (const { data } of queue) {
      expect(String(data)).toBe('1');
      break;
    }
    await expect(
      (async () => {
        for await (const _ of queue) throw new Error('enough');
      })(),
    ).rejects.toThrow('enough');
    await turn();
    expect(queue.closed).toBe(false);
    expect(drain(queue)).toEqual(['3']);
  });

  it('ends quietly when the queue is closed, while it waits and between', async () => {
    const queue = makeQueue();
    const waiting = (async () => {
      for await (const _ of queue) expect.fail('nothing was sent');
    })();
    await turn();
    queue.close();
    await waiting;
    const other = makeQueue();
    other.trySend('1');
    other.trySend('2');
    let rounds = 0;
    for await (const _ of other) {
      rounds++;
      other.close();
    }
    expect(rounds).toBe(1);
    for await (const _ of other) expect.fail('it is closed');
  });

  it('shares the messages with another one, each once', async () => {
    const queue = makeQueue();
    const got: string[] = [];
    const loop = async () => {
      for await (const { data } of queue) {
        if (String(data) === 'end') break;
        got.push(String(data));
      }
    };
    const loops = [loop(), loop(), loop()];
    for (let count = 0; count < 100; count++) await queue.send(`${count}`);
    for (const _ of loops) await queue.send('end');
    await Promise.all(loops);
    expect(got).toEqual(Array.from({ length: 100 }, (_, index) => `${index}`));
  });

  it('throws what goes wrong, and is over then', async () => {
    const queue = makeQueue();
    const sender = MessageQueue.open(queue.name as string, { writeOnly: true });
    const series = sender[Symbol.asyncIterator]();
    await expect(series.next()).rejects.toMatchObject({ code: 'EBADF', syscall: 'mq_receive' });
    expect(await series.next()).toEqual(end);
    sender.close();
  });
});

describe('its iterator', () => {
  it('serves several next() in their order', async () => {
    const queue = makeQueue();
    const series = queue[Symbol.asyncIterator]();
    const waiting = [series.next(), series.next(), series.next()];
    for (const text of ['1', '2', '3']) queue.trySend(text);
    const got = (await Promise.all(waiting)).map(({ value }) => String(value?.data));
    expect(got).toEqual(['1', '2', '3']);
  });

  it('is over after return(), and a next() that waited before gets its message', async () => {
    const queue = makeQueue();
    const series = queue[Symbol.asyncIterator]();
    const waiting = series.next();
    expect(await series.return?.()).toEqual(end);
    queue.trySend('1');
    queue.trySend('2');
    expect(String((await waiting).value?.data)).toBe('1');
    expect(await series.next()).toEqual(end);
    expect(drain(queue)).toEqual(['2']);
  });

  it('ends all next() that wait when the queue is closed', async () => {
    const queue = makeQueue();
    const other = openAgain(queue);
    const series = queue[Symbol.asyncIterator]();
    const waiting = [series.next(), series.next()];
    queue.close();
    expect(await Promise.all(waiting)).toEqual([end, end]);
    other.trySend('kept');
    expect(drain(other)).toEqual(['kept']);
  });
});
