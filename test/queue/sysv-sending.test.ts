/** Sending on System V queues that are full, or too small; and what becomes of the bytes meanwhile. */
import { readFileSync } from 'node:fs';
import { SysvMessageQueue } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, systemError } from '../support/failures.js';
import { clean, startPeer } from '../support/peer.js';
import { drain, makeQueue } from '../support/sysv.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const msgmax = Number(readFileSync('/proc/sys/kernel/msgmax', 'utf8'));

/** A queue that holds one message of ten bytes, and has it. */
function fullQueue() {
  const queue = makeQueue({ maxBytes: 10 });
  queue.sendSync(1, 'ten bytes.');
  return queue;
}

describe('a queue that is full', () => {
  it('takes no message at once, and one as soon as there is room', async () => {
    const queue = fullQueue();
    expect(queue.trySend(2, 'x')).toBe(false);
    const sending = queue.send(2, 'waits');
    await turn();
    expect(queue.stat()).toMatchObject({ messages: 1, bytes: 10 });
    expect(String(queue.tryReceive()?.data)).toBe('ten bytes.');
    await sending;
    expect(drain(queue)).toEqual(['2 waits']);
    queue.sendSync(1, 'ten bytes.');
    expect(() => queue.sendSync(2, 'x', { timeout: 1 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT', syscall: 'msgsnd' }),
    );
    await expect(queue.send(2, 'x', { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(drain(queue)).toEqual(['1 ten bytes.']);
  });

  it('takes what waits in the order in which it was sent, whatever its length and type', async () => {
    const queue = fullQueue();
    const sent = Array.from({ length: 30 }, (_, at) => `${1 + (at % 5)} ${'x'.repeat(at % 7)}${at}`);
    const sends = sent.map((each) => queue.send(Number(each[0]), each.slice(2)));
    const got = [];
    await queue.receive();
    while (got.length < sent.length) {
      const { type, data } = await queue.receive();
      got.push(`${type} ${data}`);
    }
    expect(got).toEqual(sent);
    await Promise.all(sends);
  });

  it('takes nothing before what waits, though that be shorter', async () => {
    const queue = makeQueue({ maxBytes: 10 });
    queue.sendSync(1, 'nine char');
    const long = queue.send(1, 'also long');
    await turn();
    expect(queue.trySend(1, '')).toBe(false);
    expect(() => queue.sendSync(1, '', { timeout: 1000 })).toThrow(
      expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }),
    );
    await queue.receive();
    await long;
    expect(queue.trySend(1, '')).toBe(true);
    expect(drain(queue)).toEqual(['1 also long', '1 ']);
  });

  it('holds as many empty messages as it has bytes, and no more', async () => {
    const queue = makeQueue({ maxBytes: 5 });
    for (let count = 0; count < 5; count++) expect(queue.trySend(1, '')).toBe(true);
    expect(queue.trySend(1, '')).toBe(false);
    const sending = queue.send(2, '');
    await queue.receive();
    await sending;
    expect(drain(queue)).toEqual(['1 ', '1 ', '1 ', '1 ', '2 ']);
  });

  it('takes what waits when its limit is raised', async () => {
    const queue = fullQueue();
    const sending = queue.send(2, 'waits');
    await turn();
    queue.set({ maxBytes: 100 });
    await sending;
    expect(drain(queue)).toEqual(['1 ten bytes.', '2 waits']);
  });

  it('takes what a process sends that blocks, when another receives', async () => {
    const queue = fullQueue();
    const source = `
      const queue = SysvMessageQueue.fromId(args[0]);
      assert.equal(queue.trySend(1, 'x'), false);
      await send('full');
      for (let number = 0; number < 300; number++) queue.sendSync(2, String(number));`;
    const peer = startPeer(source, { args: [queue.id] });
    expect(await peer.next()).toBe('full');
    await queue.receive();
    for (let number = 0; number < 300; number++)
      expect(String((await queue.receive()).data)).toBe(`${number}`);
    expect(await peer.exited).toMatchObject(clean);
  });
});

describe('an abort', () => {
  it('of a send that waits sends nothing, and those behind it go on', async () => {
    const queue = fullQueue();
    const controller = new AbortController();
    const { signal } = controller;
    const sends = [
      queue.send(1, 'a', { signal }),
      queue.send(1, 'b'),
      queue.send(1, 'c', { signal }),
      queue.send(1, 'd'),
    ];
    const outcomes = sends.map((each) =>
      each.then(
        () => 'sent',
        ({ code }) => code,
      ),
    );
    await turn();
    controller.abort();
    await queue.receive();
    expect(await Promise.all(outcomes)).toEqual(['ABORT_ERR', 'sent', 'ABORT_ERR', 'sent']);
    expect(drain(queue)).toEqual(['1 b', '1 d']);
  });

  it('in the moment in which there is room has sent the message or not, and tells which', async () => {
    const queue = makeQueue({ maxBytes: 10 });
    for (let round = 0; round < 300; round++) {
      queue.sendSync(1, 'ten bytes.');
      const controller = new AbortController();
      const outcome = queue.send(2, `${round}`, { signal: controller.signal }).then(
        () => 'sent',
        ({ code }) => code,
      );
      for (let turns = round % 6; turns > 0; turns--) await turn();
      queue.tryReceive();
      if (round % 3 === 0) for (let spin = 0; spin < 20_000; spin++);
      controller.abort();
      const expected = (await outcome) === 'sent' ? [`2 ${round}`] : [];
      expect(drain(queue)).toEqual(expected);
    }
  });
});

describe('a message that never fits', () => {
  it('is refused at once by every way to send, and the error names the limit', async () => {
    const small = makeQueue({ maxBytes: 10 });
    const queue = makeQueue();
    const ways: ((queue: SysvMessageQueue, data: Buffer) => unknown)[] = [
      (queue, data) => queue.trySend(1, data),
      (queue, data) => queue.send(1, data),
      (queue, data) => queue.sendSync(1, data),
    ];
    for (const way of ways) {
      const tooLong = await failureOf(() => way(queue, Buffer.alloc(msgmax + 1)));
      expect(tooLong).toEqual(systemError('EINVAL', 'msgsnd'));
      expect(tooLong).toMatchObject({
        message: expect.stringMatching(`msgmax.*${msgmax}|${msgmax}.*msgmax`),
      });
      const tooMuch = await failureOf(() => way(small, Buffer.alloc(11)));
      expect(tooMuch).toEqual(systemError('EMSGSIZE', 'msgsnd', `id ${small.id}`));
      expect(tooMuch).toMatchObject({
        message: expect.stringContaining('has 11 bytes, and the queue holds 10'),
      });
    }
    expect([queue.stat().messages, small.stat().messages]).toEqual([0, 0]);
    queue.sendSync(1, Buffer.alloc(msgmax, 1));
    expect(queue.tryReceive()?.data.equals(Buffer.alloc(msgmax, 1))).toBe(true);
  });

  it('is refused in its turn, and those behind it go on', async () => {
    const queue = fullQueue();
    const sends = [queue.send(1, 'a'), queue.send(1, 'much too long'), queue.send(1, 'b')] as const;
    await turn();
    await queue.receive();
    await sends[0];
    await expect(sends[1]).rejects.toMatchObject({ code: 'EMSGSIZE' });
    await sends[2];
    expect(drain(queue)).toEqual(['1 a', '1 b']);
  });
});

describe('the bytes of a message', () => {
  it('are those of any view, of a buffer, or of a text as UTF-8', async () => {
    const queue = makeQueue();
    const memory = Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]);
    const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(9);
    const cases: [Parameters<SysvMessageQueue['trySend']>[1], number[]][] = [
      [memory.subarray(2, 5), [2, 3, 4]],
      [new Uint16Array(memory.buffer, 2, 2), [2, 3, 4, 5]],
      [new DataView(memory.buffer, 7), [7]],
      [memory.buffer, [...memory]],
      [shared, [9, 9, 9, 9]],
      [shared.buffer, [9, 9, 9, 9]],
      ['ü€\0', [0xc3, 0xbc, 0xe2, 0x82, 0xac, 0]],
      ['', []],
      [Buffer.alloc(0), []],
    ];
    for (const [data, bytes] of cases) {
      queue.trySend(1, data);
      queue.sendSync(1, data);
      await queue.send(1, data);
      for (let times = 0; times < 3; times++) expect([...(queue.tryReceive()?.data ?? [])]).toEqual(bytes);
    }
  });

  it('that were moved away while the send waited are misuse, and nothing is sent', async () => {
    const queue = fullQueue();
    const bytes = new Uint8Array(5);
    const sends = [queue.send(1, 'a'), queue.send(1, bytes), queue.send(1, 'b')] as const;
    await turn();
    structuredClone(bytes, { transfer: [bytes.buffer] });
    await queue.receive();
    await expect(sends[1]).rejects.toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
    await sends[2];
    expect(drain(queue)).toEqual(['1 a', '1 b']);
  });
});
