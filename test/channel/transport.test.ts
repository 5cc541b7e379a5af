import { once } from 'node:events';
import { Channel, type Message, type Receiver, type Sender } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf } from '../support/failures.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { seeded } from '../support/random.js';

/** Both sides here: the ring is the same, whoever holds them. */
function pair(capacity = 4096): { channel: Channel; sender: Sender; receiver: Receiver } {
  const channel = Channel.anonymous({ capacity });
  onTestFinished(() => channel.close());
  return { channel, sender: channel.sender(), receiver: channel.receiver() };
}

describe('a message', () => {
  it.each<[string, Parameters<Sender['send']>[0], Buffer]>([
    ['a Buffer', Buffer.from('abc'), Buffer.from('abc')],
    ['text, as UTF-8', 'grüße €', Buffer.from('grüße €')],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer, Buffer.from([1, 2, 3])],
    ['a SharedArrayBuffer', new SharedArrayBuffer(3), Buffer.alloc(3)],
    ['a Float64Array', new Float64Array([1.5]), Buffer.from(new Float64Array([1.5]).buffer)],
    ['a part of an Int16Array', new Int16Array([1, 2, 3]).subarray(1), Buffer.from([2, 0, 3, 0])],
    ['a DataView', new DataView(new Uint8Array([9, 8, 7]).buffer, 1), Buffer.from([8, 7])],
    ['zero bytes', Buffer.alloc(0), Buffer.alloc(0)],
    ['no text', '', Buffer.alloc(0)],
    ['hundreds of bytes', Buffer.alloc(777, 'x'), Buffer.alloc(777, 'x')],
  ])('may be %s', async (_, data, expected) => {
    const { sender, receiver } = pair();
    for (let time = 0; time < 3; time++) {
      expect(sender.trySend(data)).toBe(true);
      await sender.send(data);
      sender.sendSync(data);
      expect(await sender.sendMany([data, data])).toBe(2);
      sender.flush();
      for (let each = 0; each < 5; each++) expect(receiver.tryReceive()).toEqual(expected);
      expect(receiver.tryReceive()).toBeNull();
    }
  });

  it('is owned by who received it: later messages change nothing in it', () => {
    const { sender, receiver } = pair(64);
    sender.sendSync('first message');
    const first = receiver.tryReceive();
    for (let each = 0; each < 50; each++) {
      expect(receiver.tryReceive()).toBeNull(); // finishes the one before
      sender.sendSync(`message ${each}`);
      expect(receiver.tryReceive()?.toString()).toBe(`message ${each}`);
    }
    expect(first?.toString()).toBe('first message');
  });

  it('can not be moved away with those that share its memory, and costs no other message when it was', () => {
    const { sender, receiver } = pair();
    sender.sendManySync(Array.from({ length: 10 }, (_, at) => `message ${at}`));
    const [first, second] = [receiver.tryReceive() as Buffer, receiver.tryReceive() as Buffer];
    expect(second.buffer).toBe(first.buffer);
    const { transfer } = ArrayBuffer.prototype as { transfer?: (this: ArrayBufferLike) => ArrayBuffer };
    for (const move of [
      () => structuredClone(second, { transfer: [second.buffer as ArrayBuffer] }),
      () => transfer?.call(second.buffer), // from Node 22 on
    ]) {
      try {
        move(); // Node 20 copies, later ones throw
      } catch (error) {
        expect(`${error}`).toMatch(/DataCloneError|not detachable/);
      }
    }
    expect(`${first} ${second}`).toBe('message 0 message 1');
    expect(receiver.tryReceiveMany(9)?.map(String)).toEqual(
      Array.from({ length: 8 }, (_, at) => `message ${at + 2}`),
    );
  });

  it('is not lost when the one behind it can not be copied for want of memory', () => {
    const { sender, receiver } = pair(1 << 16);
    for (const letter of 'abcd') sender.trySend(letter.repeat(5000));
    sender.flush();
    let left = 2;
    const { allocUnsafe } = Buffer;
    Buffer.allocUnsafe = (size) => {
      if (left-- === 0) throw new RangeError('Array buffer allocation failed');
      return allocUnsafe(size);
    };
    onTestFinished(() => {
      Buffer.allocUnsafe = allocUnsafe;
    });
    const letters = (list: Buffer[] | null | undefined) => list?.map((each) => each.toString('latin1', 0, 1));
    expect(letters(receiver.tryReceiveMany(9))).toEqual(['a', 'b']);
    expect(letters(receiver.tryReceiveMany(9))).toEqual(['c', 'd']);
  });

  it('may be as long as half the ring less 8, wherever the end of the ring is; a longer one is refused with the limit', async () => {
    for (const capacity of [64, 128, 4096]) {
      const { channel, sender, receiver } = pair(capacity);
      const longest = capacity / 2 - 8;
      expect([channel.maxMessageSize, sender.maxMessageSize]).toEqual([longest, longest]);
      const limit = expect.objectContaining({
        name: 'RangeError',
        code: 'ERR_OUT_OF_RANGE',
        message: expect.stringContaining(
          `<= ${longest}, the longest message of a channel of ${capacity} bytes`,
        ),
      });
      const data = Buffer.alloc(longest, 7);
      const tooLong = Buffer.alloc(longest + 1);
      for (let shift = 0; shift < capacity; shift += 8) {
        sender.sendSync(data);
        expect(receiver.tryReceive()).toEqual(data);
        expect(receiver.tryReceive()).toBeNull(); // finishes it, so that there is room
        sender.sendSync('');
        receiver.tryReceive();
        expect(receiver.tryReceive()).toBeNull();
      }
      expect(() => sender.trySend(tooLong)).toThrow(limit);
      expect(() => sender.sendSync(tooLong)).toThrow(limit);
      expect(() => sender.tryClaim(longest + 1)).toThrow(limit);
      expect(() => sender.claimSync(longest + 1)).toThrow(limit);
      expect(() => sender.trySendMany([tooLong])).toThrow(limit);
      await expect(sender.send('ü'.repeat(longest))).rejects.toEqual(limit);
      await expect(sender.claim(longest + 1)).rejects.toEqual(limit);
      // None of them is sent where one can't be.
      await expect(sender.sendMany(['a', tooLong])).rejects.toEqual(limit);
      expect(() => sender.sendManySync(['a', tooLong])).toThrow(limit);
      expect(receiver.tryReceive()).toBeNull();
      channel.close();
    }
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'comes through every ring from the smallest on, whatever the sizes: seed %i',
    (seed) => {
      const random = seeded(seed);
      for (let capacity = 64; capacity <= 1 << 18; capacity *= 2) {
        const { channel, sender, receiver } = pair(capacity);
        const expected: Buffer[] = [];
        const check = (message: Buffer) => {
          if (!message.equals(expected.shift() as Buffer))
            expect.fail(`capacity ${capacity}: another message`);
        };
        let bytes = 0;
        for (let step = 0; step < 2000; step++) {
          const data = Buffer.alloc(random(channel.maxMessageSize + 1), random(256));
          if (random(2) === 0 && sender.trySend(data)) {
            expected.push(data);
            bytes += data.length;
          } else if (random(3) === 0) {
            sender.flush();
          } else {
            for (const each of receiver.tryReceiveMany(1 + random(4)) ?? []) check(each);
          }
        }
        sender.flush();
        for (let each = receiver.tryReceive(); each; each = receiver.tryReceive()) check(each);
        expect(expected).toEqual([]);
        const stats = channel.stats();
        expect(stats).toMatchObject({ bytes, used: 0, sent: stats.published, received: stats.published });
        channel.close();
      }
    },
  );
});

describe('an iterable of messages', () => {
  it('may close the sender, claim or send: that is seen before anything of it is sent', async () => {
    const channel = Channel.anonymous({ capacity: 4096 });
    onTestFinished(() => channel.close());
    const forms = ['trySendMany', 'sendMany', 'sendManySync'] as const;
    for (const form of forms) {
      const sender = channel.sender();
      const sending = function* () {
        yield 'second';
        sender.trySend('first');
        yield 'third';
      };
      expect(await sender[form](sending())).toBe(2);
      const closing = function* () {
        yield 'never';
        sender.close();
        yield 'never';
      };
      expect(await failureOf(() => sender[form](closing()))).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    }
    const texts = channel.receiver().tryReceiveMany(99)?.map(String);
    expect(texts).toEqual(forms.flatMap(() => ['first', 'second', 'third']));
  });
});

describe('in place', () => {
  it('a slot shows the same bytes as byte, int32 and float64', () => {
    const { sender, receiver } = pair();
    sender.sendSync('x'); // so that nothing begins at 0
    const slot = sender.tryClaim(24);
    if (slot === null) throw new Error('no room');
    expect(slot.length).toBe(24);
    expect(slot.byteOffset % 8).toBe(0);
    slot.bytes[slot.byteOffset] = 255;
    slot.int32[slot.int32Offset + 1] = -2;
    slot.float64[slot.float64Offset + 1] = Math.PI;
    slot.float64[slot.float64Offset + 2] = 0;
    slot.commit();
    receiver.tryReceive();
    sender.flush();
    let seen = 0;
    const handler = (message: Message) => {
      expect(message.length).toBe(24);
      expect(message.bytes[message.byteOffset]).toBe(255);
      expect(message.int32[message.int32Offset + 1]).toBe(-2);
      expect(message.float64[message.float64Offset + 1]).toBe(Math.PI);
      expect(message.copy()).toHaveLength(24);
      expect(message.redelivered).toBe(false);
      seen++;
    };
    expect(receiver.tryDrain(handler)).toBe(1);
    expect(seen).toBe(1);
    expect(receiver.tryDrain(handler)).toBe(0);
  });

  it('a claim may be committed shorter, or aborted, and then never was', async () => {
    const { channel, sender, receiver } = pair();
    const slot = sender.claimSync(100);
    slot.bytes.fill(65, slot.byteOffset, slot.byteOffset + 100);
    slot.commit(3);
    const aborted = await sender.claim(100);
    expect(aborted).toBe(slot); // the same object each time
    aborted.abort();
    sender.sendSync('next');
    expect(receiver.tryReceive()?.toString()).toBe('AAA');
    expect(receiver.tryReceive()?.toString()).toBe('next');
    expect(channel.stats()).toMatchObject({ published: 2, bytes: 7 });
  });

  it('a slot is of use only while its claim is open', () => {
    const { channel, sender } = pair();
    const notClaimed = expect.objectContaining({ code: 'ERR_INTERPROC_NOT_CLAIMED' });
    const slot = sender.claimSync(8);
    for (const length of [-1, 9, 1.5, Number.NaN])
      expect(() => slot.commit(length)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
    slot.commit();
    expect(() => slot.commit()).toThrow(notClaimed);
    expect(() => slot.abort()).toThrow(notClaimed);
    sender.claimSync(8).abort();
    expect(() => slot.commit()).toThrow(notClaimed);
    sender.claimSync(8);
    channel.close();
    expect(() => slot.commit()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
    slot.bytes[slot.byteOffset] = 1; // reaches nobody, and is no crash
  });

  it('while a claim is open, what can not wait is refused, and what can waits', async () => {
    const { sender, receiver } = pair();
    const busy = expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' });
    const slot = sender.claimSync(4);
    expect(() => sender.trySend('x')).toThrow(busy);
    expect(() => sender.sendSync('x')).toThrow(busy);
    expect(() => sender.tryClaim(1)).toThrow(busy);
    expect(() => sender.claimSync(1)).toThrow(busy);
    expect(() => sender.trySendMany(['x'])).toThrow(busy);
    const later = [sender.send('second'), sender.claim(5), sender.send('fourth')] as const;
    await expect(sender.send('never', { timeout: 20 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    Buffer.from('1st.').copy(slot.bytes, slot.byteOffset);
    slot.commit();
    await later[0];
    const third = await later[1];
    Buffer.from('third').copy(third.bytes, third.byteOffset);
    third.commit();
    await later[2];
    const texts = [];
    for (let each = 0; each < 4; each++) texts.push((await receiver.receive())?.toString());
    expect(texts).toEqual(['1st.', 'second', 'third', 'fourth']);
  });
});

describe('between processes', () => {
  it.each([
    ['receive', 'for (let m; (m = await receiver.receive()) !== undefined; ) got(m);'],
    ['receiveSync', 'for (let m; (m = receiver.receiveSync()) !== undefined; ) got(m);'],
    ['for await', 'for await (const m of receiver) got(m);'],
    [
      'receiveMany',
      'for (let list; (list = await receiver.receiveMany(10)) !== undefined; ) list.forEach(got);',
    ],
    [
      'receiveManySync',
      'for (let list; (list = receiver.receiveManySync(7)) !== undefined; ) list.forEach(got);',
    ],
    ['drain', 'while ((await receiver.drain((m) => got(m.copy()))) !== undefined);'],
    ['drainSync', 'while (receiver.drainSync((m) => got(m.copy()), 5) !== undefined);'],
    [
      'the try forms',
      `const turn = () => new Promise(setImmediate);
       for (let m; (m = receiver.tryReceive()) !== undefined; ) if (m) got(m); else await turn();`,
    ],
  ])('a child gets all that its parent sends, in order, by %s', async (_, loop) => {
    const channel = Channel.anonymous({ capacity: 1024 });
    const peer = startPeer(
      `const receiver = Channel.fromFd(4).receiver();
       let count = 0;
       const got = (m) => {
         assert.equal(m.toString('latin1'), String(count) + 'x'.repeat(count % 300));
         count++;
       };
       ${loop}
       receiver.close();
       await send(count);`,
      { fds: [channel.fd] },
    );
    const sender = channel.sender();
    const text = (index: number) => `${index}${'x'.repeat(index % 300)}`;
    let index = 0;
    for (; index < 1000; index++) await sender.send(text(index));
    await sender.sendMany(Array.from({ length: 500 }, (__, at) => text(index + at)));
    index += 500;
    for (; index < 2000; index++) {
      const data = Buffer.from(text(index));
      const slot = await sender.claim(data.length);
      slot.bytes.set(data, slot.byteOffset);
      slot.commit();
    }
    await sender.drained();
    expect(channel.stats()).toMatchObject({ published: 2000, used: 0 });
    channel.close();
    expect(await peer.next()).toBe(2000);
    expect(await peer.exited).toMatchObject(clean);
  });

  it.each([1, 2, 3, 4])('small rings do not deadlock, both sides random: seed %i', async (seed) => {
    const source = `
      const random = ((state) => (below) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below)(args[0]);
      const channels = [4, 5, 6].map((fd) => Channel.fromFd(fd));
      for (const channel of channels) {
        const side = args[1] === 'sender' ? channel.sender() : channel.receiver();
        const most = channel.maxMessageSize;
        const size = (index) => (Math.imul(index, 2654435761) >>> 5) % (most + 1);
        for (let index = 0; index < 4000; ) {
          if (args[1] === 'sender') {
            const data = Buffer.alloc(size(index), index & 255);
            const form = random(4);
            if (form === 0) await side.send(data);
            else if (form === 1) side.sendSync(data);
            else if (form === 2) { const slot = side.claimSync(data.length); slot.bytes.set(data, slot.byteOffset); slot.commit(); }
            else if (!side.trySend(data)) continue;
            index++;
          } else {
            const check = (m) => {
              assert.equal(m.length, size(index));
              assert(m.every((byte) => byte === (index & 255)));
              index++;
            };
            const form = random(4);
            if (form === 0) check(await side.receive());
            else if (form === 1) check(side.receiveSync());
            else if (form === 2) await side.drain((m) => check(m.copy()), 1 + random(3));
            else side.tryReceiveMany(2)?.forEach(check);
          }
        }
        if (args[1] === 'sender') await side.drained();
        side.close();
      }`;
    const channels = [64, 128, 512].map((capacity) => Channel.anonymous({ capacity }));
    const fds = channels.map(({ fd }) => fd);
    const both = ['sender', 'receiver'].map((side) => runPeer(source, { args: [seed, side], fds }));
    for (const exit of await Promise.all(both)) expect(exit).toMatchObject(clean);
    for (const channel of channels) channel.close();
  });

  it('two channels make a conversation, also with a worker', async () => {
    const { Worker } = await import('node:worker_threads');
    const there = Channel.anonymous({ capacity: 256 });
    const back = Channel.anonymous({ capacity: 256 });
    const worker = new Worker(
      `import { workerData } from 'node:worker_threads';
       import { Channel } from 'interproc';
       const [from, to] = workerData.map((fd) => Channel.fromFd(fd));
       const sender = to.sender();
       for await (const message of from.receiver()) sender.sendSync('re: ' + message);
       from.close();
       to.close();`,
      { eval: true, workerData: [there.fd, back.fd] },
    );
    const exited = once(worker, 'exit');
    const sender = there.sender();
    const receiver = back.receiver();
    for (let round = 0; round < 200; round++) {
      await sender.send(`${round}`);
      expect((await receiver.receive())?.toString()).toBe(`re: ${round}`);
    }
    sender.close();
    expect(await receiver.receive()).toBeUndefined();
    expect(await exited).toEqual([0]);
    there.close();
    back.close();
  });
});
