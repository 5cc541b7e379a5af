/** What a drain handler may do, and what becomes of the message. */
import { Channel, type DrainHandler } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../support/failures.js';

function filled(...texts: string[]) {
  const channel = Channel.anonymous({ capacity: 4096 });
  onTestFinished(() => channel.close());
  const sender = channel.sender();
  sender.sendManySync(texts);
  return { channel, sender, receiver: channel.receiver() };
}

type Drain = (
  receiver: ReturnType<typeof filled>['receiver'],
  handler: DrainHandler,
  limit?: number,
) => unknown;
const forms: [string, Drain][] = [
  ['tryDrain', (receiver, handler, limit) => receiver.tryDrain(handler, limit)],
  ['drain', (receiver, handler, limit) => receiver.drain(handler, limit)],
  ['drainSync', (receiver, handler, limit) => receiver.drainSync(handler, limit)],
];

describe.each(forms)('%s', (_, drain) => {
  it('handles up to its limit, in order', async () => {
    const { receiver } = filled('a', 'b', 'c', 'd', 'e');
    const seen: string[] = [];
    const handler: DrainHandler = (message) => void seen.push(`${message}`);
    expect(await drain(receiver, handler, 2)).toBe(2);
    expect(await drain(receiver, handler)).toBe(3);
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('passes on what the handler throws: that message stays unread, those before are finished', async () => {
    const { receiver } = filled('a', 'b', 'c');
    const error = new Error('handler');
    const failing: DrainHandler = (message) => {
      if (message.toString() === 'b') throw error;
    };
    expect(await failureOf(() => drain(receiver, failing))).toBe(error);
    expect(receiver.received).toBe(1);
    expect(await failureOf(() => drain(receiver, failing))).toBe(error);
    expect(receiver.tryReceiveMany(9)?.map(String)).toEqual(['b', 'c']);
    expect(receiver.redelivered).toBe(0); // nobody died
  });

  it('refuses an async handler, before or after the fact, and loses nothing', async () => {
    const { receiver } = filled('a', 'b');
    const refused = expect.objectContaining({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: expect.stringContaining('must not be async'),
    });
    let called = 0;
    expect(await failureOf(() => drain(receiver, (async () => void called++) as any))).toEqual(refused);
    expect(called).toBe(0);
    expect(await failureOf(() => drain(receiver, (() => Promise.resolve(called++)) as any))).toEqual(refused);
    expect(called).toBe(1);
    expect(receiver.tryReceiveMany(9)?.map(String)).toEqual(['a', 'b']);
  });

  it('refuses to be entered again, but for what waits', async () => {
    const { receiver, sender } = filled('a', 'b', 'c');
    const busy = expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' });
    let later: Promise<Buffer | undefined> | undefined;
    const drained = await drain(
      receiver,
      (message) => {
        if (message.toString() !== 'a') return;
        expect(() => receiver.tryReceive()).toThrow(busy);
        expect(() => receiver.tryReceiveMany(1)).toThrow(busy);
        expect(() => receiver.receiveSync()).toThrow(busy);
        expect(() => receiver.tryDrain(() => {})).toThrow(busy);
        expect(() => receiver.drainSync(() => {})).toThrow(busy);
        later = receiver.receive();
        sender.sendSync('d'); // the other side is another matter
        expect(message.toString()).toBe('a');
      },
      2,
    );
    expect(drained).toBe(2);
    expect((await later)?.toString()).toBe('c');
    expect((await receiver.receive())?.toString()).toBe('d');
  });

  it('may be closed by its handler: the message counts as finished, and it is the last', async () => {
    for (const closed of ['receiver', 'channel'] as const) {
      const all = filled('a', 'b', 'c');
      const seen: string[] = [];
      const pending: unknown[] = [];
      const drained = await drain(all.receiver, (message) => {
        seen.push(`${message}`);
        if (closed === 'receiver') pending.push(failureOf(() => all.receiver.receive()));
        if (seen.length === 2) all[closed].close();
      });
      expect(drained).toBe(2);
      expect(seen).toEqual(['a', 'b']);
      for (const each of pending) expect(await each).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
      if (closed === 'receiver') expect(all.channel.receiver().tryReceive()?.toString()).toBe('c');
    }
  });
});

describe('a drain that waits', () => {
  it('may be closed by its handler, or throw from it', async () => {
    const { sender, receiver, channel } = filled();
    const first = failureOf(() =>
      receiver.drain(() => {
        throw new Error('handler');
      }),
    );
    const second = receiver.drain((message) => {
      expect(message.toString()).toBe('x');
      receiver.close();
    });
    const third = failureOf(() => receiver.receive());
    await expect.poll(() => channel.stats().timesSlept.receiver).toBeGreaterThan(0);
    sender.sendSync('x');
    expect(await first).toMatchObject({ message: 'handler' });
    expect(await second).toBe(1);
    expect(await third).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('handler');
      },
      { message: 'handler' },
    ],
    ['returns a promise', () => Promise.resolve(), { code: 'ERR_INVALID_ARG_TYPE' }],
  ])('settles also when its handler closes and then %s', async (_, then, expected) => {
    const { sender, receiver, channel } = filled();
    const drained = failureOf(() =>
      receiver.drain(() => {
        receiver.close();
        return then() as never;
      }),
    );
    await expect.poll(() => channel.stats().timesSlept.receiver).toBeGreaterThan(0);
    sender.sendSync('x');
    expect(await drained).toMatchObject(expected);
  });

  it('has its outcome also when its handler aborts it: what was handled is told', async () => {
    for (const asleep of [true, false]) {
      const { sender, receiver, channel } = filled();
      const controller = new AbortController();
      if (!asleep) sender.sendManySync(['x', 'y']);
      const drained = receiver.drain(() => controller.abort(), 9, { signal: controller.signal });
      if (asleep) {
        await expect.poll(() => channel.stats().timesSlept.receiver).toBeGreaterThan(0);
        sender.sendManySync(['x', 'y']);
      }
      expect(await drained).toBe(2);
      expect(receiver.received).toBe(2);
    }
  });

  it("whose handler throws puts its message back: closed then, it is nobody's redelivery", () => {
    const { receiver, channel } = filled('a');
    expect(() =>
      receiver.tryDrain(() => {
        throw new Error('handler');
      }),
    ).toThrow('handler');
    receiver.close();
    const successor = channel.receiver();
    expect(successor.tryReceive()?.toString()).toBe('a');
    expect(successor.redelivered).toBe(0);
  });

  it('ends, however fast the sender is: with what was there when it began', async () => {
    const { sender, receiver } = filled('a');
    let count = 0;
    const endless: DrainHandler = () => {
      count++;
      sender.sendSync('more');
    };
    expect(receiver.tryDrain(endless)).toBe(1);
    expect(receiver.tryDrain(endless)).toBe(1);
    expect(count).toBe(2);
  });
});

describe('in the hand of for await', () => {
  it('leaving the loop closes nothing, and the next loop goes on', async () => {
    const { receiver, sender } = filled('a', 'b', 'c');
    for await (const message of receiver) {
      expect(message.toString()).toBe('a');
      break;
    }
    const seen: string[] = [];
    sender.close();
    for await (const message of receiver) seen.push(`${message}`);
    expect(seen).toEqual(['b', 'c']);
  });

  it('closing ends the loop quietly', async () => {
    const { receiver } = filled('a', 'b');
    const seen: string[] = [];
    for await (const message of receiver) {
      seen.push(`${message}`);
      receiver.close();
    }
    expect(seen).toEqual(['a']);
  });
});
