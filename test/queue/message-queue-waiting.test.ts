/** Calls that wait: their order, timeouts, aborts in every state, and that no message is lost where both come at once. */
import { getEventListeners } from 'node:events';
import { MessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../support/failures.js';
import { collectGarbage } from '../support/leaks.js';
import { drain, fill, makeQueue, openAgain, turn } from '../support/message-queues.js';
import { queueName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { seeded } from '../support/random.js';

leavesNothingOpen();

const timedOut = (syscall: string) =>
  expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT', syscall });
const aborted = (cause: unknown) => expect.objectContaining({ name: 'AbortError', code: 'ABORT_ERR', cause });
const closed = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });
const busy = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_BUSY' });

const outcomes = async (calls: Promise<unknown>[]) =>
  (await Promise.allSettled(calls)).map((each) =>
    each.status === 'fulfilled'
      ? String((each.value as { data?: Buffer } | undefined)?.data ?? 'sent')
      : (each.reason as { code: string }).code,
  );

describe('receives that wait', () => {
  it('are served in the order of the calls, and one that ends early harms no other', async () => {
    const queue = makeQueue();
    const abort = new AbortController();
    const moved = new Uint8Array(8);
    const waiting = outcomes([
      queue.receive(),
      queue.receive({ signal: abort.signal }),
      queue.receive({ timeout: 50_000 }),
      queue.receive({ timeout: 0 }),
      queue.receive({ into: moved }),
      queue.receive(),
    ]);
    structuredClone(moved, { transfer: [moved.buffer] });
    expect(queue.tryReceive()).toBeNull();
    expect(() => queue.receiveSync()).toThrow(busy);
    expect(() => queue.receiveSync({ timeout: 0 })).toThrow(busy);
    abort.abort();
    for (const text of ['1', '2', '3']) queue.trySend(text);
    // It is theirs, though nobody has told them yet.
    expect(queue.tryReceive()).toBeNull();
    expect(await waiting).toEqual(['1', 'ABORT_ERR', '2', 'ETIMEDOUT', 'ERR_INVALID_ARG_VALUE', '3']);
    expect(queue.trySend('4')).toBe(true);
    expect(String(queue.receiveSync().data)).toBe('4');
  });

  it('of several handles share what comes, each message once', async () => {
    const queue = makeQueue();
    const handles = [queue, openAgain(queue), openAgain(queue)];
    const waiting = outcomes(handles.flatMap((handle) => [handle.receive(), handle.receive()]));
    const sender = openAgain(queue);
    for (let count = 0; count < 6; count++) await sender.send(`${count}`);
    expect((await waiting).sort()).toEqual(['0', '1', '2', '3', '4', '5']);
  });

  it('may be followed by a call from what the first one leads to', async () => {
    const queue = makeQueue();
    const got: string[] = [];
    const loop = async (name: string) => {
      for (let count = 0; count < 3; count++) got.push(`${name}${(await queue.receive()).data}`);
    };
    const loops = Promise.all([loop('a'), loop('b')]);
    for (let count = 0; count < 6; count++) await queue.send(`${count}`);
    await loops;
    // Whoever got one stands behind the other.
    expect(got).toEqual(['a0', 'b1', 'a2', 'b3', 'a4', 'b5']);
  });

  it('end where the first one that is served closes the queue', async () => {
    const queue = makeQueue();
    const first = queue.receive().then(() => queue.close());
    const rest = outcomes([queue.receive(), queue.receive({ timeout: 50_000 })]);
    const other = openAgain(queue);
    other.trySend('1');
    await first;
    expect(await rest).toEqual(['ERR_INTERPROC_CLOSED', 'ERR_INTERPROC_CLOSED']);
    for (const text of ['2', '3']) other.trySend(text);
    expect(drain(other)).toEqual(['2', '3']);
  });
});

describe('sends that wait', () => {
  it('go in the order of the calls as room comes, and one that ends early harms no other', async () => {
    const queue = makeQueue({ maxMessages: 2 });
    expect(fill(queue)).toBe(2);
    const abort = new AbortController();
    const waiting = outcomes([
      queue.send('3'),
      queue.send('never', { signal: abort.signal, priority: 5 }),
      queue.send('4', { timeout: 50_000 }),
      queue.send('never', { timeout: 0 }),
      queue.send('5'),
    ]);
    expect(() => queue.sendSync('never')).toThrow(busy);
    abort.abort();
    const other = openAgain(queue);
    expect(String(other.tryReceive()?.data)).toBe('1');
    // The room is theirs, though nobody has told them yet.
    expect(queue.trySend('never')).toBe(false);
    const rest: string[] = [];
    while (rest.length < 4) rest.push(String((await other.receive()).data));
    expect(await waiting).toEqual(['sent', 'ABORT_ERR', 'sent', 'ETIMEDOUT', 'sent']);
    expect(rest).toEqual(['2', '3', '4', '5']);
    expect(other.tryReceive()).toBeNull();
    queue.sendSync('6');
  });

  it('hold up their sender until somebody receives, and never more than the queue holds is on its way', async () => {
    const queue = makeQueue({ maxMessages: 3 });
    const receiver = openAgain(queue);
    let sent = 0;
    const sending = (async () => {
      for (; sent < 20; sent++) await queue.send(`${sent}`);
    })();
    for (let received = 0; received < 20; received++) {
      // As far as it goes without us.
      while (sent < Math.min(20, received + 3)) await turn();
      await turn();
      expect(sent - received).toBe(Math.min(3, 20 - received));
      expect(String(receiver.tryReceive()?.data)).toBe(`${received}`);
    }
    await sending;
  });

  it('and receives wait side by side: each has its own line', async () => {
    const queue = makeQueue({ maxMessages: 1 });
    const receiving = outcomes([queue.receive(), queue.receive(), queue.receive()]);
    const sending = outcomes([queue.send('1'), queue.send('2'), queue.send('3')]);
    expect(await receiving).toEqual(['1', '2', '3']);
    expect(await sending).toEqual(['sent', 'sent', 'sent']);
  });

  it('too long for the queue are refused, whoever waits before them', async () => {
    const queue = makeQueue({ maxMessages: 1 });
    queue.trySend('1');
    const waiting = outcomes([queue.send('2'), queue.send(Buffer.alloc(65)), queue.send('3')]);
    const got = [await queue.receive(), await queue.receive(), await queue.receive()];
    expect(got.map(({ data }) => String(data))).toEqual(['1', '2', '3']);
    expect(await waiting).toEqual(['sent', 'EMSGSIZE', 'sent']);
  });
});

describe('a timeout', () => {
  it('ends a receive, which takes nothing', async () => {
    const queue = makeQueue();
    for (const timeout of [0, 0.001, 0.5, 1, Number.MIN_VALUE]) {
      await expect(queue.receive({ timeout })).rejects.toEqual(timedOut('mq_receive'));
      expect(() => queue.receiveSync({ timeout })).toThrow(timedOut('mq_receive'));
    }
    queue.trySend('kept');
    expect(String(queue.tryReceive()?.data)).toBe('kept');
  });

  it('ends a send, which sends nothing', async () => {
    const queue = makeQueue();
    fill(queue);
    for (const timeout of [0, 0.001, 0.5, 1]) {
      await expect(queue.send('never', { timeout })).rejects.toEqual(timedOut('mq_send'));
      expect(() => queue.sendSync('never', { timeout })).toThrow(timedOut('mq_send'));
    }
    expect(drain(queue)).toEqual(['1', '2', '3', '4']);
  });

  it('of 0 is one try', async () => {
    const queue = makeQueue({ maxMessages: 1 });
    await queue.send('1', { timeout: 0 });
    expect(String((await queue.receive({ timeout: 0 })).data)).toBe('1');
    queue.sendSync('2', { timeout: 0 });
    expect(String(queue.receiveSync({ timeout: 0 }).data)).toBe('2');
  });

  it('that ends as a message is there gives the message', async () => {
    const queue = makeQueue();
    // After the immediates of a turn come the timers of the next: before anybody can tell us of the message.
    await turn();
    const waiting = queue.receive({ timeout: 1 });
    queue.trySend('just in time');
    for (const end = performance.now() + 5; performance.now() < end; );
    expect(String((await waiting).data)).toBe('just in time');
  });

  it('of Infinity is none, and so is one that no timer can be', async () => {
    const queue = makeQueue();
    const waiting = outcomes([
      queue.receive({ timeout: Number.POSITIVE_INFINITY }),
      queue.receive({ timeout: 2 ** 31 }),
      queue.receive({ timeout: Number.MAX_VALUE }),
    ]);
    await turn();
    for (const text of ['1', '2', '3']) queue.trySend(text);
    expect(await waiting).toEqual(['1', '2', '3']);
  });

  it.each([1, 2])(
    'that races with another process loses no message and doubles none: seed %i',
    async (seed) => {
      const queue = makeQueue();
      const source = `
      const queue = MessageQueue.open(args[0]);
      for (let n = 0; n < args[1]; n++) {
        await queue.send(String(n));
        for (let turns = (n * 7) % 5; turns > 0; turns--) await new Promise(setImmediate);
      }`;
      const count = 1500;
      const peer = startPeer(source, { args: [queue.name, count] });
      const random = seeded(seed);
      for (let next = 0, early = 0; next < count || early === 0; ) {
        const timeout = random(4) === 0 ? 0 : random(1000) / 1000;
        try {
          const { data } =
            random(3) === 0 ? queue.receiveSync({ timeout }) : await queue.receive({ timeout });
          expect(String(data)).toBe(`${next++}`);
        } catch (error) {
          expect(error).toEqual(timedOut('mq_receive'));
          early++;
          await turn();
        }
      }
      expect(await peer.exited).toMatchObject(clean);
      expect(queue.tryReceive()).toBeNull();
    },
  );
});

describe('an abort', () => {
  const reason = new Error('enough');

  it('that came before the call ends it, also where it could go at once', async () => {
    const queue = makeQueue({ maxMessages: 1 });
    const { signal } = new AbortController();
    const over = AbortSignal.abort(reason);
    await expect(queue.send('never', { signal: over })).rejects.toEqual(aborted(reason));
    expect(queue.attributes().messages).toBe(0);
    await queue.send('kept', { signal });
    await expect(queue.receive({ signal: over })).rejects.toEqual(aborted(reason));
    expect(String((await queue.receive({ signal })).data)).toBe('kept');
  });

  it('ends a call that waits, and one that came to its end it leaves alone', async () => {
    const queue = makeQueue({ maxMessages: 1 });
    const abort = new AbortController();
    const { signal } = abort;
    await queue.send('1', { signal, timeout: 50_000 });
    const received = queue.receive({ signal });
    const sent = queue.send('2', { signal });
    const waits = outcomes([
      queue.send('never', { signal }),
      queue.send('never', { signal, timeout: 50_000 }),
    ]);
    expect(getEventListeners(signal, 'abort')).toHaveLength(2);
    abort.abort(reason);
    abort.abort();
    expect(String((await received).data)).toBe('1');
    await sent;
    expect(await waits).toEqual(['ABORT_ERR', 'ABORT_ERR']);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    expect(drain(queue)).toEqual(['2']);
  });

  it('of all who wait leaves the next message to the next call', async () => {
    const queue = makeQueue();
    const abort = new AbortController();
    const waits = outcomes([1, 2, 3].map(() => queue.receive({ signal: abort.signal })));
    await turn();
    abort.abort();
    queue.trySend('kept');
    expect(await waits).toEqual(['ABORT_ERR', 'ABORT_ERR', 'ABORT_ERR']);
    expect(String(queue.receiveSync({ timeout: 0 }).data)).toBe('kept');
  });

  it('in the turn in which the message comes loses none', async () => {
    const queue = makeQueue();
    const other = openAgain(queue);
    let fulfilled = 0;
    for (let i = 0; i < 300; i++) {
      const abort = new AbortController();
      const settled = Promise.allSettled([queue.receive({ signal: abort.signal })]);
      const [before, after] = i % 2 === 0 ? ['send', 'abort'] : ['abort', 'send'];
      for (const each of [before, i % 3 === 0 ? 'turn' : 'none', after]) {
        if (each === 'send') other.trySend(`${i}`);
        if (each === 'abort') abort.abort();
        if (each === 'turn') await turn();
      }
      const [result] = await settled;
      const message = result?.status === 'fulfilled' ? result.value : queue.tryReceive();
      if (result?.status === 'fulfilled') fulfilled++;
      expect(String(message?.data)).toBe(`${i}`);
      expect(queue.tryReceive()).toBeNull();
    }
    expect(fulfilled).toBeGreaterThan(0);
    expect(fulfilled).toBeLessThan(300);
  });

  it('in the turn in which room comes sends all or nothing', async () => {
    const queue = makeQueue({ maxMessages: 1 });
    const other = openAgain(queue);
    let fulfilled = 0;
    for (let i = 0; i < 300; i++) {
      queue.trySend('full');
      const abort = new AbortController();
      const settled = Promise.allSettled([queue.send(`${i}`, { signal: abort.signal })]);
      const [before, after] = i % 2 === 0 ? ['take', 'abort'] : ['abort', 'take'];
      for (const each of [before, i % 3 === 0 ? 'turn' : 'none', after]) {
        if (each === 'take') expect(String(other.tryReceive()?.data)).toBe('full');
        if (each === 'abort') abort.abort();
        if (each === 'turn') await turn();
      }
      const [result] = await settled;
      if (result?.status === 'fulfilled') fulfilled++;
      expect(drain(other)).toEqual(result?.status === 'fulfilled' ? [`${i}`] : []);
    }
    expect(fulfilled).toBeGreaterThan(0);
    expect(fulfilled).toBeLessThan(300);
  });

  it('by what the caller runs in an option is an abort, too', async () => {
    const queue = makeQueue();
    const abort = new AbortController();
    const options = {
      signal: abort.signal,
      get into() {
        abort.abort(reason);
        return new Uint8Array(8);
      },
    };
    queue.trySend('kept');
    await expect(queue.receive(options)).rejects.toEqual(aborted(reason));
    expect(drain(queue)).toEqual(['kept']);
  });
});

describe('a queue', () => {
  const closers: [title: string, key: string, call: (queue: MessageQueue, options: object) => unknown][] = [
    ...['into', 'timeout', 'signal'].map((key): (typeof closers)[number] => [
      'receive',
      key,
      (queue, options) => queue.receive(options),
    ]),
    ...['into', 'timeout'].map((key): (typeof closers)[number] => [
      'receiveSync',
      key,
      (queue, options) => queue.receiveSync(options),
    ]),
    ['tryReceive', 'into', (queue, options) => queue.tryReceive(options)],
    ...['priority', 'timeout', 'signal'].map((key): (typeof closers)[number] => [
      'send',
      key,
      (queue, options) => queue.send('x', options),
    ]),
    ...['priority', 'timeout'].map((key): (typeof closers)[number] => [
      'sendSync',
      key,
      (queue, options) => queue.sendSync('x', options),
    ]),
    ['trySend', 'priority', (queue, options) => queue.trySend('x', options)],
  ];
  it.each(closers)('that the getter of an option closes says so: %s, options.%s', async (_, key, call) => {
    const queue = makeQueue();
    const options = Object.defineProperty({}, key, { get: () => void queue.close() });
    expect(await failureOf(() => call(queue, options))).toEqual(closed);
  });

  it('that somebody waits for is not collected', async () => {
    const name = queueName();
    const wait = () => MessageQueue.create(name, { maxMessages: 1, messageSize: 8 }).receive();
    const message = wait();
    await collectGarbage();
    const other = MessageQueue.open(name);
    other.trySend('there');
    expect(String((await message).data)).toBe('there');
    other.close();
  });

  it('that is never empty lets timers and other I/O have their turns', async () => {
    const queue = makeQueue();
    const other = openAgain(queue);
    let over = false;
    const sending = (async () => {
      while (!over) await queue.send('x');
    })();
    const receiving = (async () => {
      while (!over) await other.receive();
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    over = true;
    other.trySend('last');
    await sending;
    other.trySend('last');
    await receiving;
  });

  it('tells each of 64 that wait of their own', async () => {
    const queues = Array.from({ length: 64 }, () => makeQueue({ maxMessages: 1, messageSize: 8 }));
    const waiting = outcomes(queues.map((queue) => queue.receive()));
    for (const parity of [1, 0]) {
      for (const [index, queue] of queues.entries()) if (index % 2 === parity) queue.sendSync(`${index}`);
      await turn();
    }
    expect(await waiting).toEqual(queues.map((_, index) => `${index}`));
  });
});
