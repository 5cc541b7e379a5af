/** What goes through a message queue: data of all kinds, in the order of priorities, by each form of the calls. */
import { Buffer } from 'node:buffer';
import type { MessageQueue, PriorityMessage } from 'interproc';
import { describe, expect, it } from 'vitest';
import { drain, makeQueue, openAgain, small } from '../support/message-queues.js';
import { leavesNothingOpen } from '../support/pipes.js';
import { seeded } from '../support/random.js';

leavesNothingOpen();

type Data = Parameters<MessageQueue['send']>[0];
type Send = (queue: MessageQueue, data: Data, options?: { priority?: number }) => unknown;
type Receive = (queue: MessageQueue) => PriorityMessage | null | Promise<PriorityMessage>;

const sends: Record<string, Send> = {
  trySend: (queue, data, options) => expect(queue.trySend(data, options)).toBe(true),
  send: (queue, data, options) => queue.send(data, options),
  'send with a timeout': (queue, data, options) => queue.send(data, { ...options, timeout: 50_000 }),
  sendSync: (queue, data, options) => queue.sendSync(data, options),
};
const receives: Record<string, Receive> = {
  tryReceive: (queue) => queue.tryReceive(),
  receive: (queue) => queue.receive(),
  'receive with a timeout': (queue) => queue.receive({ timeout: 50_000 }),
  receiveSync: (queue) => queue.receiveSync(),
};
const pairs = Object.keys(sends).flatMap((send) =>
  Object.keys(receives).map((receive): [string, string] => [send, receive]),
);

describe.each(pairs)('%s and %s', (sending, receiving) => {
  const send = sends[sending] as Send;
  const receive = receives[receiving] as Receive;

  it('move a message with its priority from one handle to another', async () => {
    const queue = makeQueue();
    const other = openAgain(queue);
    await send(queue, 'für', { priority: 32_767 });
    await send(queue, '');
    const first = await receive(other);
    expect(first).toEqual({ data: Buffer.from('für'), priority: 32_767 });
    expect(Buffer.isBuffer(first?.data)).toBe(true);
    // An empty message is one: null would be none.
    expect(await receive(other)).toEqual({ data: Buffer.alloc(0), priority: 0 });
    expect(other.tryReceive()).toBeNull();
  });

  it('move messages as long as they may be', async () => {
    const queue = makeQueue();
    const long = Buffer.alloc(small.messageSize, 0xa5);
    await send(queue, long);
    expect((await receive(queue))?.data).toEqual(long);
  });
});

const bytes = Uint8Array.from({ length: 32 }, (_, index) => 255 - index);
const shared = new SharedArrayBuffer(32);
new Uint8Array(shared).set(bytes);
class Lying extends Uint8Array {
  override get length() {
    return 1_000_000;
  }
  override get byteLength() {
    return 1_000_000;
  }
}
const kinds: Record<string, [data: Data, expected: Uint8Array]> = {
  'a Buffer': [Buffer.from(bytes), bytes],
  'a Buffer within a pool': [Buffer.from(Buffer.from(bytes)).subarray(3, 9), bytes.subarray(3, 9)],
  'a Uint8Array from an offset on': [bytes.subarray(5, 20), bytes.subarray(5, 20)],
  'a Uint16Array': [new Uint16Array(bytes.buffer, 2, 4), bytes.subarray(2, 10)],
  'a BigInt64Array': [new BigInt64Array(bytes.buffer, 8, 2), bytes.subarray(8, 24)],
  'a Float32Array': [new Float32Array(bytes.buffer, 4, 1), bytes.subarray(4, 8)],
  'a DataView': [new DataView(bytes.buffer, 7, 5), bytes.subarray(7, 12)],
  'an ArrayBuffer': [bytes.buffer as ArrayBuffer, bytes],
  'a SharedArrayBuffer': [shared, bytes],
  'a view of a SharedArrayBuffer': [new Uint8Array(shared, 9, 3), bytes.subarray(9, 12)],
  'a subclass that lies about its length': [new Lying(bytes), bytes],
  text: ['žluťoučký kůň 🐎', Buffer.from('žluťoučký kůň 🐎')],
  'a lone surrogate, as UTF-8 has it': ['\ud800', Buffer.from('\ufffd')],
  'text with null bytes': ['a\0b', Buffer.from('a\0b')],
  'no bytes': [new Uint8Array(0), Buffer.alloc(0)],
};

describe('the data of a message', () => {
  it.each(Object.entries(kinds))('may be %s', async (_, [data, expected]) => {
    const queue = makeQueue();
    for (const send of Object.values(sends)) {
      await send(queue, data);
      expect(queue.tryReceive()?.data).toEqual(Buffer.from(expected));
    }
  });

  it('is that of the moment in which it went', async () => {
    const queue = makeQueue();
    const data = Buffer.from('1');
    for (const send of Object.values(sends)) {
      data.write('1');
      await send(queue, data);
      data.write('2');
    }
    expect(drain(queue)).toEqual(['1', '1', '1', '1']);
  });

  it('that was received is in memory of its own', async () => {
    const queue = makeQueue();
    const got: Buffer[] = [];
    for (const [index, receive] of Object.values(receives).entries()) {
      queue.trySend(`${index}`.repeat(40));
      got.push((await receive(queue))?.data as Buffer);
      // Whoever writes past what is his would hit the others.
      for (const other of got.slice(0, -1)) other.fill(0x2e);
    }
    expect(got.map(String)).toEqual(['.'.repeat(40), '.'.repeat(40), '.'.repeat(40), '3'.repeat(40)]);
  });
});

it.each([1, 2, 3])('messages come by priority, and those of one priority in their order: seed %i', (seed) => {
  const random = seeded(seed);
  const queue = makeQueue({ maxMessages: 10, messageSize: 8 });
  const expected: { text: string; priority: number }[] = [];
  for (let step = 0; step < 2000; step++) {
    if (random(2) === 0) {
      const priority = random(4) === 0 ? random(32_768) : random(3);
      const sent = queue.trySend(`${step}`, { priority });
      expect(sent).toBe(expected.length < 10);
      if (!sent) continue;
      const behind = expected.findIndex((each) => each.priority < priority);
      expected.splice(behind < 0 ? expected.length : behind, 0, { text: `${step}`, priority });
    } else {
      const got = queue.tryReceive();
      const first = expected.shift();
      expect(got && { text: String(got.data), priority: got.priority }).toEqual(first ?? null);
    }
  }
  expect(queue.attributes().messages).toBe(expected.length);
});
