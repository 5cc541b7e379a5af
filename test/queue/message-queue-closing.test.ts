/** What closing, detaching and dropping a queue do to calls that wait, to messages and to descriptors. */
import { closeSync } from 'node:fs';
import { MessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../support/failures.js';
import { openDescriptors } from '../support/leaks.js';
import { drain, fill, makeQueue, openAgain, small, turn } from '../support/message-queues.js';
import { queueName } from '../support/names.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { closing } from '../support/sockets.js';

leavesNothingOpen();

const closed = expect.objectContaining({
  name: 'IpcError',
  code: 'ERR_INTERPROC_CLOSED',
  message: expect.stringMatching(/^The message queue '.*' is closed$/),
});

const closers: Record<string, (queue: MessageQueue) => void> = {
  close: (queue) => queue.close(),
  'Symbol.dispose': (queue) => queue[Symbol.dispose](),
  detach: (queue) => closeSync(queue.detach()),
};

describe.each(Object.entries(closers))('%s', (_, close) => {
  it('rejects the calls that wait, and takes and sends nothing', async () => {
    const queue = makeQueue();
    const other = openAgain(queue);
    const receives = [queue.receive(), queue.receive({ timeout: 50_000 }), queue.receive()];
    await turn();
    // Here already, but for nobody who still waits.
    other.trySend('kept');
    close(queue);
    for (const each of receives) await expect(each).rejects.toEqual(closed);
    expect(drain(other)).toEqual(['kept']);

    const full = openAgain(other);
    const sends = [full.send('1'), full.send('2'), full.send('3'), full.send('4')];
    await Promise.all(sends);
    const signal = new AbortController().signal;
    const waiting = [full.send('5'), full.send('6', { timeout: 50_000 }), full.send('7', { signal })];
    await turn();
    close(full);
    for (const each of waiting) await expect(each).rejects.toEqual(closed);
    expect(drain(other)).toEqual(['1', '2', '3', '4']);
  });

  it('leaves the queue and its messages to others, and to who opens it later', async () => {
    const queue = makeQueue();
    queue.trySend('kept', { priority: 7 });
    close(queue);
    const later = closing(MessageQueue.open(queue.name as string));
    expect(later.tryReceive()).toEqual({ data: Buffer.from('kept'), priority: 7 });
    expect(later.attributes()).toMatchObject(small);
  });

  it('gives back its descriptor', async () => {
    const before = await openDescriptors();
    const queue = MessageQueue.create(queueName(), small);
    const notices = queue.notifications();
    const waiting = [queue.receive(), notices.next()];
    await turn();
    close(queue);
    await Promise.allSettled(waiting);
    expect(await openDescriptors()).toEqual(before);
  });
});

describe('a closed queue', () => {
  /** Of the class itself and of the one below it, but for what says nothing of the queue. */
  function everyCall(queue: MessageQueue): [string, () => unknown][] {
    const spared =
      /^(constructor|close|closed|name|created|ref|unref|kept|timers|what|checkOpen|busyError|sleep|on[A-Z].*|reading|writing|watch|descriptor)$/;
    const calls: [string, () => unknown][] = [];
    for (let at: object = queue; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      for (const [key, { get, set, value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
        if (spared.test(key)) continue;
        if (get) calls.push([`get ${key}`, () => Reflect.get(queue, key)]);
        if (set) calls.push([`set ${key}`, () => Reflect.set(queue, key, true)]);
        if (typeof value === 'function') {
          calls.push([key, () => value.apply(queue, /send/i.test(key) ? ['x'] : [])]);
        }
      }
    }
    return calls;
  }

  it.each(Object.entries(closers))('says so in every method: after %s', async (_, close) => {
    const queue = makeQueue();
    close(queue);
    expect(queue.closed).toBe(true);
    const calls = everyCall(queue);
    const names = calls.map(([name]) => name);
    for (const name of [
      'trySend',
      'send',
      'sendSync',
      'tryReceive',
      'receive',
      'receiveSync',
      'attributes',
    ]) {
      expect(names).toContain(name);
    }
    for (const name of [
      'get nonBlocking',
      'set nonBlocking',
      'stat',
      'get linked',
      'unlink',
      'notifications',
    ]) {
      expect(names).toContain(name);
    }
    for (const [title, call] of calls) expect(await failureOf(call), title).toEqual(closed);
  });

  it('is closed again without effect, and keeps its name', () => {
    const queue = makeQueue();
    const { name } = queue;
    queue.close();
    queue.close();
    queue[Symbol.dispose]();
    queue.ref().unref();
    expect([queue.name, queue.created, queue.closed]).toEqual([name, true, true]);
  });

  it('that has come as a descriptor is named otherwise', () => {
    const queue = MessageQueue.fromFd(makeQueue().fd);
    queue.close();
    expect(() => queue.attributes()).toThrow('The message queue is closed');
  });
});

describe('a detached queue', () => {
  it('leaves its descriptor open, which serves another object', async () => {
    const queue = makeQueue();
    const waiting = queue.receive();
    const fd = queue.detach();
    await expect(waiting).rejects.toEqual(closed);
    const again = closing(MessageQueue.fromFd(fd));
    const receiving = again.receive();
    again.trySend('still there');
    expect(String((await receiving).data)).toBe('still there');
    closeSync(fd);
    expect(fill(again)).toBe(4);
  });
});

describe('queues that nobody can reach any more', () => {
  it('are closed, whatever they had waited for', async () => {
    const names = Array.from({ length: 20 }, queueName);
    const before = await openDescriptors();
    const drop = async (name: string) => {
      const queue = MessageQueue.create(name, small);
      await queue.receive({ timeout: 0 }).catch(() => {});
      const received = queue.receive();
      const abort = new AbortController();
      const late = queue.receive({ signal: abort.signal });
      queue.trySend('x');
      await received;
      abort.abort();
      // What an assertion of a rejection keeps, keeps this call and its queue, too.
      expect(await late.catch(({ code }) => code)).toBe('ABORT_ERR');
      fill(queue);
      await queue.send('x', { timeout: 1 }).catch(() => {});
      for await (const _ of queue.notifications()) break;
      for await (const _ of queue) break;
    };
    for (const name of names) await drop(name);
    expect(await openDescriptors()).toEqual(before);
  });

  it('are closed with the iterators over them', async () => {
    const names = Array.from({ length: 20 }, queueName);
    const before = await openDescriptors();
    const drop = async (name: string) => {
      const queue = MessageQueue.create(name, small);
      queue.trySend('x');
      await queue[Symbol.asyncIterator]().next();
      queue.trySend('x');
      await queue.notifications().next();
    };
    for (const name of names) await drop(name);
    expect(await openDescriptors()).toEqual(before);
  });
});
