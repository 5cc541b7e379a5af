/** Where a received message lands: in the memory of the caller, or in some that nobody else has. */
import { Buffer } from 'node:buffer';
import { createPipe, type MessageQueue, type PriorityMessage } from 'interproc';
import { describe, expect, it } from 'vitest';
import { makeQueue, small, turn } from '../support/message-queues.js';
import { leavesNothingOpen, pattern } from '../support/pipes.js';
import { seeded } from '../support/random.js';
import { closing } from '../support/sockets.js';

leavesNothingOpen();

type Into = NonNullable<NonNullable<Parameters<MessageQueue['receive']>[0]>['into']>;
type Receive = (queue: MessageQueue, into: Into) => PriorityMessage | null | Promise<PriorityMessage>;

const receives: [string, Receive][] = [
  ['tryReceive', (queue, into) => queue.tryReceive({ into })],
  ['receive', (queue, into) => queue.receive({ into })],
  ['receive with a timeout', (queue, into) => queue.receive({ into, timeout: 50_000 })],
  ['receiveSync', (queue, into) => queue.receiveSync({ into })],
];

/** Memory of both kinds: where the kernel can put a message, and where that is too little for the longest one. */
const sizes = [small.messageSize, small.messageSize + 40, 24];
const kinds: Record<string, (size: number) => Into> = {
  'a Buffer': (size) => Buffer.alloc(size),
  'a Uint8Array from an offset on': (size) => new Uint8Array(new ArrayBuffer(size + 20), 8, size),
  'a Float64Array': (size) => new Float64Array(size / 8),
  'a DataView': (size) => new DataView(new ArrayBuffer(size + 20), 3, size),
  'an ArrayBuffer': (size) => new ArrayBuffer(size),
  'a SharedArrayBuffer': (size) => new SharedArrayBuffer(size),
  'a view of a SharedArrayBuffer': (size) => new Uint8Array(new SharedArrayBuffer(size + 20), 5, size),
};

const placeOf = (into: Into) =>
  ArrayBuffer.isView(into)
    ? { memory: into.buffer, offset: into.byteOffset, length: into.byteLength }
    : { memory: into, offset: 0, length: into.byteLength };

/** All of the memory of which `into` is a part. */
const around = (into: Into) => new Uint8Array(placeOf(into).memory);

describe.each(receives)('into: %s', (_, receive) => {
  it.each(Object.entries(kinds))(
    '%s has the message at its beginning, and is left alone behind it',
    async (_, make) => {
      const queue = makeQueue();
      for (const size of sizes) {
        const into = make(size);
        const { memory, offset, length } = placeOf(into);
        around(into).fill(0x2e);
        queue.trySend('hello', { priority: 5 });
        const got = (await receive(queue, into)) as PriorityMessage;
        expect(got.priority).toBe(5);
        expect(Buffer.isBuffer(got.data)).toBe(true);
        expect(String(got.data)).toBe('hello');
        expect(got.data.buffer).toBe(memory);
        expect([got.data.byteOffset, got.data.length]).toEqual([offset, 5]);
        const expected = Buffer.alloc(memory.byteLength, '.');
        expected.write('hello', offset);
        expect(Buffer.from(around(into))).toEqual(expected);
        expect(length).toBe(size);
      }
    },
  );

  it('a message that fits exactly lands there, and an empty one as well', async () => {
    const queue = makeQueue();
    for (const size of sizes) {
      const into = Buffer.alloc(size, '.');
      const longest = pattern(Math.min(size, small.messageSize));
      queue.trySend(longest);
      expect((await receive(queue, into))?.data.buffer).toBe(into.buffer);
      expect(into.subarray(0, longest.length)).toEqual(longest);
      queue.trySend('');
      const empty = await receive(queue, into);
      expect(empty?.data.length).toBe(0);
      expect(into.subarray(0, longest.length)).toEqual(longest);
    }
  });

  it('a message that is longer comes whole, in memory of its own', async () => {
    const queue = makeQueue();
    for (const size of [1, 24, small.messageSize - 1]) {
      const into = Buffer.alloc(size, '.');
      const sent = pattern(size + 1);
      queue.trySend(sent, { priority: 3 });
      const got = await receive(queue, into);
      expect(got).toEqual({ data: sent, priority: 3 });
      expect(got?.data.buffer).not.toBe(into.buffer);
      expect(into).toEqual(Buffer.alloc(size, '.'));
    }
  });
});

describe('memory that is moved away while a receive waits', () => {
  const movedAway = expect.objectContaining({
    code: 'ERR_INVALID_ARG_VALUE',
    message: expect.stringContaining('"options.into" property must have its memory'),
  });

  it.each(sizes)('takes no message with it: %i bytes', async (size) => {
    const queue = makeQueue();
    const into = new Uint8Array(size);
    const receiving = queue.receive({ into });
    const next = queue.receive();
    structuredClone(into, { transfer: [into.buffer] });
    queue.trySend('kept');
    await expect(receiving).rejects.toEqual(movedAway);
    expect(String((await next).data)).toBe('kept');
  });

  it.each(sizes)('or made smaller is not written past its end: %i bytes', async (size) => {
    const queue = makeQueue();
    const memory = new (ArrayBuffer as any)(size, { maxByteLength: size });
    const receiving = queue.receive({ into: new Uint8Array(memory) });
    memory.resize(4);
    queue.trySend('kept');
    await expect(receiving).rejects.toEqual(movedAway);
    expect(String(queue.tryReceive()?.data)).toBe('kept');
  });

  it('and that of a message that waits for room sends nothing', async () => {
    const queue = makeQueue({ maxMessages: 1 });
    queue.trySend('first');
    const data = new Uint8Array(8);
    const sending = queue.send(data);
    const next = queue.send('next');
    structuredClone(data, { transfer: [data.buffer] });
    expect(String(queue.tryReceive()?.data)).toBe('first');
    await expect(sending).rejects.toEqual(
      expect.objectContaining({
        code: 'ERR_INVALID_ARG_VALUE',
        message: expect.stringContaining('"data" argument must have its memory'),
      }),
    );
    await next;
    expect(String(queue.tryReceive()?.data)).toBe('next');
    expect(queue.tryReceive()).toBeNull();
  });
});

it('receives that wait each fill the memory that they were given', async () => {
  const queue = makeQueue();
  const memory = Buffer.alloc(4 * small.messageSize, '.');
  const pieces = [0, 1, 2, 3].map((n) => memory.subarray(n * small.messageSize, (n + 1) * small.messageSize));
  const waiting = pieces.map((into) => queue.receive({ into }));
  await turn();
  for (const text of ['0', '11', '222', '']) queue.trySend(text);
  expect((await Promise.all(waiting)).map(({ data }) => String(data))).toEqual(['0', '11', '222', '']);
  for (const [index, piece] of pieces.entries()) {
    const text = index === 3 ? '' : `${index}`.repeat(index + 1);
    expect(String(piece)).toBe(text.padEnd(small.messageSize, '.'));
  }
});

describe('messages of all sizes', () => {
  // Short ones are copied and long ones keep the memory where they landed, which pipes use, too.
  it.each([1, 2])('keep their bytes, as no two lie in the same memory: seed %i', async (seed) => {
    const random = seeded(seed);
    const queue = makeQueue({ maxMessages: 2, messageSize: 8192 });
    const { reader, writer } = createPipe();
    closing(reader);
    closing(writer);
    const kept: { data: Buffer; seed: number }[] = [];
    const forms = [
      () => queue.tryReceive() as PriorityMessage,
      () => queue.receive(),
      () => queue.receive({ timeout: 50_000 }),
      () => queue.receiveSync(),
      () => queue.receive({ into: new Uint8Array(1) }),
    ];
    for (let count = 0; count < 3000; count++) {
      const length = random(2) === 0 ? random(8193) : random(3) === 0 ? 8192 - random(3) : 2046 + random(5);
      if (random(8) === 0) {
        writer.tryWrite(pattern(length + 1, count));
        kept.push({ data: (await reader.read()) as Buffer, seed: count });
        continue;
      }
      queue.trySend(pattern(length, count));
      const { data } = await (forms[random(forms.length)] as (typeof forms)[number])();
      expect(data.length).toBe(length);
      kept.push({ data, seed: count });
    }
    for (const { data, seed } of kept) {
      if (!data.equals(pattern(data.length, seed))) expect.fail(`message ${seed} has changed`);
    }
    // What is given away is the caller's: writing to one touches no other.
    const extents = kept
      .filter(({ data }) => data.length > 0)
      .map(({ data }) => ({
        memory: data.buffer,
        begin: data.byteOffset,
        end: data.byteOffset + data.length,
      }));
    const inMemory = new Map<unknown, typeof extents>();
    for (const extent of extents)
      inMemory.set(extent.memory, [...(inMemory.get(extent.memory) ?? []), extent]);
    for (const together of inMemory.values()) {
      together.sort((one, other) => one.begin - other.begin);
      for (const [index, { end }] of together.slice(0, -1).entries()) {
        expect(end).toBeLessThanOrEqual(together[index + 1]?.begin as number);
      }
    }
  });
});
