/** What callers give as data, where its own properties lie, run code, or its memory is gone. */
import { createContext, runInContext } from 'node:vm';
import { Channel, type Receiver, type Sender } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';

function pair(capacity = 4096): { channel: Channel; sender: Sender; receiver: Receiver } {
  const channel = Channel.anonymous({ capacity });
  onTestFinished(() => channel.close());
  return { channel, sender: channel.sender(), receiver: channel.receiver() };
}

/** As every form of sending takes it. */
const forms: [string, (sender: Sender, data: Wrong) => unknown][] = [
  ['trySend', (sender, data) => sender.trySend(data)],
  ['send', (sender, data) => sender.send(data)],
  ['sendSync', (sender, data) => sender.sendSync(data)],
  ['trySendMany', (sender, data) => sender.trySendMany([data])],
  ['sendMany', (sender, data) => sender.sendMany([data])],
  ['sendManySync', (sender, data) => sender.sendManySync([data])],
];

describe.each(forms)('%s', (_, send) => {
  it('takes the length that data really has, whatever its properties say', async () => {
    const { sender, receiver } = pair();
    class Liar extends Uint8Array {
      override get byteLength(): number {
        return 40;
      }
      override get length(): number {
        return -1;
      }
      override get byteOffset(): number {
        return 2 ** 40;
      }
    }
    for (let round = 0; round < 20; round++) {
      for (const length of [0, 16, 1000]) {
        await send(sender, new Liar(length).fill(7));
        sender.flush();
        expect(receiver.tryReceive()).toEqual(Buffer.alloc(length, 7));
      }
    }
    const short = Object.defineProperty(new Int32Array([1, 2]), 'byteLength', { value: 4 });
    await send(sender, short);
    sender.flush();
    expect(receiver.tryReceive()).toEqual(Buffer.from([1, 0, 0, 0, 2, 0, 0, 0]));
  });

  it('runs no code of the data in the middle of a message', async () => {
    const { sender, receiver } = pair();
    let ran = 0;
    class Evil extends Int32Array {
      override get buffer(): ArrayBuffer {
        ran++;
        sender.trySend('inner');
        return super.buffer;
      }
    }
    await send(sender, new Evil([5]));
    await send(sender, 'after');
    sender.flush();
    expect(receiver.tryReceiveMany(9)?.map((each) => each.toString('latin1'))).toEqual([
      '\x05\0\0\0',
      'after',
    ]);
    expect(ran).toBe(0);
  });

  it('refuses data whose memory was moved away or made smaller', async () => {
    const { sender, receiver } = pair();
    const moved = new Uint8Array(16);
    structuredClone(moved.buffer, { transfer: [moved.buffer] });
    const resizable = new (ArrayBuffer as Wrong)(16, { maxByteLength: 64 });
    const outside = [
      new Uint8Array(resizable, 8, 8),
      new DataView(resizable, 8, 8),
      new Int16Array(resizable, 8),
    ];
    resizable.resize(4);
    for (const data of [moved, moved.buffer, new DataView(new ArrayBuffer(8)), ...outside]) {
      if (data instanceof DataView && data.buffer.byteLength === 8) {
        structuredClone(data.buffer, { transfer: [data.buffer as ArrayBuffer] });
      }
      expect(await failureOf(() => send(sender, data))).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_VALUE', 'moved away'),
      );
    }
    sender.flush();
    expect(receiver.tryReceive()).toBeNull();
    expect(sender.sent).toBe(0);
  });

  it('refuses what only looks like data', async () => {
    const { sender } = pair();
    const fakes = [
      Object.create(ArrayBuffer.prototype),
      Object.create(Uint8Array.prototype),
      new Proxy(new ArrayBuffer(8), {}),
      new Proxy(new Uint8Array(8), {}),
      { byteLength: 8 },
      null,
      undefined,
      8,
    ];
    for (const fake of fakes) {
      expect(await failureOf(() => send(sender, fake))).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'data'),
      );
    }
    expect(sender.sent).toBe(0);
  });

  it('takes buffers of another realm, and of shared memory that grows', async () => {
    const { sender, receiver } = pair();
    const realm = createContext({});
    const growable = new (SharedArrayBuffer as Wrong)(100, { maxByteLength: 4096 });
    const tracking = new Uint8Array(growable).fill(3);
    for (const data of [
      runInContext('new Uint8Array([1, 2, 3]).buffer', realm),
      runInContext('new Uint8Array([1, 2, 3])', realm),
      runInContext('new DataView(new Uint8Array([1, 2, 3]).buffer)', realm),
    ]) {
      await send(sender, data);
      sender.flush();
      expect(receiver.tryReceive()).toEqual(Buffer.from([1, 2, 3]));
    }
    await send(sender, tracking);
    growable.grow(200);
    await send(sender, tracking);
    sender.flush();
    expect(receiver.tryReceiveMany(2)?.map(({ length }) => length)).toEqual([100, 200]);
  });
});

describe('a slot', () => {
  it('commits what was claimed, whatever was written into its properties', () => {
    const { sender, receiver } = pair();
    const slot: Wrong = sender.tryClaim(8);
    slot.length = 2000;
    slot.byteOffset = -8;
    slot.commit();
    expect(() => (sender.tryClaim(8) as Wrong).commit(9)).toThrow(
      misuse('RangeError', 'ERR_OUT_OF_RANGE', 'length'),
    );
    sender.flush();
    expect(receiver.tryReceive()).toHaveLength(8);
  });
});

describe('what errors of many messages tell', () => {
  const huge = Buffer.alloc(5000);

  it('.sent is 0 where one is refused, and none was sent', async () => {
    const { sender } = pair();
    for (const list of [['a', huge], ['a', 5], 5, null, { length: 1 }] as Wrong[]) {
      const failures = [
        await failureOf(() => sender.trySendMany(list)),
        await failureOf(() => sender.sendMany(list)),
        await failureOf(() => sender.sendManySync(list)),
      ];
      for (const failure of failures) {
        expect(failure).toMatchObject({
          code: list?.[1] === huge ? 'ERR_OUT_OF_RANGE' : 'ERR_INVALID_ARG_TYPE',
          sent: 0,
        });
      }
    }
    expect(sender.sent).toBe(0);
    sender.close();
    expect(await failureOf(() => sender.sendMany(['a']))).toMatchObject({
      code: 'ERR_INTERPROC_CLOSED',
      sent: 0,
    });
  });

  it('an error of the iterable comes through as it is, also where nothing can be added to it', async () => {
    const { sender } = pair();
    for (const error of [Object.freeze(new Error('frozen')), 'text', null]) {
      const list = () =>
        (function* () {
          yield 'a';
          throw error;
        })();
      for (const call of [
        () => sender.trySendMany(list()),
        () => sender.sendMany(list()),
        () => sender.sendManySync(list()),
      ]) {
        let caught: unknown = 'nothing';
        try {
          await call();
        } catch (thrown) {
          caught = thrown;
        }
        expect(caught).toBe(error);
      }
    }
  });

  it('each call has an error of its own', async () => {
    const { sender, channel } = pair(64);
    while (sender.trySend('12345678'));
    const waiting = [['a', 'b'], ['c']].map(
      (list) => failureOf(() => sender.sendMany(list)) as Promise<Wrong>,
    );
    await expect.poll(() => channel.stats().timesSlept.sender).toBe(1);
    sender.close();
    const [first, second] = await Promise.all(waiting);
    expect([first.code, second.code]).toEqual(['ERR_INTERPROC_CLOSED', 'ERR_INTERPROC_CLOSED']);
    expect(first).not.toBe(second);
  });
});
