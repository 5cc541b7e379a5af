/** Which messages a receive of a System V queue gets, in which order, and where they land. */
import type { SysvMessage, SysvReceiveOptions } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { canSetIpcLimits, inNamespaces } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';
import { until } from '../support/pipes.js';
import { drain, makeQueue, sleepers } from '../support/sysv.js';

const textOf = ({ type, data }: SysvMessage<number | bigint>) => `${type} ${data}`;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A queue with one message of each of these types, whose text is their place. */
function queueOf(...types: (number | bigint)[]) {
  const queue = makeQueue();
  for (const [at, type] of types.entries()) queue.sendSync(type, `${at}`);
  return queue;
}

describe('a selector', () => {
  const cases: [title: string, wanted: SysvReceiveOptions, ...got: string[]][] = [
    ['none: the oldest', {}, '3 0', '1 1', '2 2', '1 3'],
    ['a type: the oldest of that type', { type: 1 }, '1 1', '1 3'],
    ['a type as bigint', { type: 2n }, '2 2'],
    ['a negative type: of the lowest up to it', { type: -2 }, '1 1', '1 3', '2 2'],
    ['a negative bigint', { type: -1n }, '1 1', '1 3'],
    ['except: the oldest of all others', { type: 1, except: true }, '3 0', '2 2'],
  ];

  it.each(cases)('takes its messages and leaves the rest, without waiting: %s', (_, wanted, ...got) => {
    const queue = queueOf(3, 1, 2, 1);
    for (const each of got) expect(textOf(queue.tryReceive(wanted) as SysvMessage)).toBe(each);
    expect(queue.tryReceive(wanted)).toBeNull();
    expect(queue.stat().messages).toBe(4 - got.length);
  });

  it.each(cases)('waits for its messages only: %s', async (_, wanted, ...got) => {
    const queue = makeQueue();
    const waits = got.map(() => queue.receive(wanted));
    await turn();
    for (const [at, type] of [3, 1, 2, 1].entries()) queue.sendSync(type, `${at}`);
    // Of those that come one after the other each goes to who waits, so the lowest type is not always first.
    const texts = (await Promise.all(waits)).map(textOf);
    expect(texts.sort()).toEqual([...got].sort());
    expect(queue.stat().messages).toBe(4 - got.length);
  });

  it('blocks the thread for its messages only', () => {
    const queue = queueOf(5, 6, 7);
    expect(textOf(queue.receiveSync({ type: 7 }))).toBe('7 2');
    expect(textOf(queue.receiveSync({ type: -6, timeout: 1000 }))).toBe('5 0');
    expect(() => queue.receiveSync({ type: 6, except: true, timeout: 1 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT', syscall: 'msgrcv' }),
    );
    expect(drain(queue)).toEqual(['6 1']);
  });

  it('waits beside others that differ, and each gets its own, whichever comes first', async () => {
    const queue = makeQueue();
    const waits = [1, 2, 3, 2 ** 40].map((type) => queue.receive({ type }));
    const except = queue.receive({ type: 3, except: true, timeout: 50_000 });
    const settled: string[] = [];
    for (const each of waits) each.then((message) => settled.push(textOf(message)));
    await turn();
    queue.sendSync(3, 'c');
    await waits[2];
    expect(settled).toEqual(['3 c']);
    queue.sendSync(2 ** 40, 'd');
    // Two may have it: the one that asks for it, and the one that asks for all but 3.
    await Promise.race([waits[3], except]);
    queue.sendSync(2 ** 40, 'd');
    await Promise.all([waits[3], except]);
    queue.sendSync(1, 'a');
    queue.sendSync(2, 'b');
    expect(textOf(await (waits[1] as Promise<SysvMessage>))).toBe('2 b');
    expect(textOf(await (waits[0] as Promise<SysvMessage>))).toBe('1 a');
  });

  it('gives those who ask for the same the messages in the order in which they asked', async () => {
    const queue = makeQueue();
    const order: number[] = [];
    const waits = Array.from({ length: 50 }, (_, at) =>
      queue.receive({ type: 7 }).then(({ data }) => {
        order.push(at);
        return Number(data);
      }),
    );
    for (let number = 0; number < 25; number++) queue.sendSync(7, `${number}`);
    expect(queue.tryReceive({ type: 7 })).toBeNull(); // others were first
    await turn();
    for (let number = 25; number < 50; number++) queue.sendSync(7, `${number}`);
    const inOrder = Array.from({ length: 50 }, (_, at) => at);
    expect(await Promise.all(waits)).toEqual(inOrder);
    expect(order).toEqual(inOrder);
  });

  it('that was aborted in the middle of a line leaves the order of the others as it is', async () => {
    const queue = makeQueue();
    const controller = new AbortController();
    const waits = Array.from({ length: 9 }, (_, at) =>
      queue.receive(at % 3 === 0 ? { signal: controller.signal } : {}).then(
        ({ data }) => String(data),
        ({ code }) => code,
      ),
    );
    await turn();
    controller.abort();
    for (let number = 0; number < 6; number++) queue.sendSync(1, `${number}`);
    const given = 'ABORT_ERR';
    expect(await Promise.all(waits)).toEqual([given, '0', '1', given, '2', '3', given, '4', '5']);
  });
});

describe('a type', () => {
  const exact = [1n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 53n + 1n, 2n ** 63n - 1n];

  it('comes as a bigint where that is asked for, exactly: at once, waiting and blocking', async () => {
    const queue = makeQueue();
    for (const type of exact) {
      for (let times = 0; times < 3; times++) queue.sendSync(type, '');
      expect(queue.peek(0, { bigint: true })?.type).toBe(type);
      expect(queue.tryReceive({ bigint: true })?.type).toBe(type);
      expect(queue.receiveSync({ bigint: true, type }).type).toBe(type);
      expect((await queue.receive({ bigint: true })).type).toBe(type);
      const waits = queue.receive({ bigint: true });
      await turn();
      await queue.send(type, '');
      expect((await waits).type).toBe(type);
    }
  });

  it('comes as a number else, which is exact up to 2 ** 53', () => {
    const queue = queueOf(...exact);
    expect(exact.map(() => queue.tryReceive()?.type)).toEqual(exact.map(Number));
  });
});

describe('size and truncate', () => {
  it('a longer message is E2BIG and stays, for every way to receive', async () => {
    const queue = queueOf(1);
    queue.tryReceive();
    queue.sendSync(1, '0123456789');
    const failure = systemError('E2BIG', 'msgrcv');
    expect(() => queue.tryReceive({ size: 9 })).toThrow(failure);
    expect(() => queue.receiveSync({ size: 0 })).toThrow(failure);
    await expect(queue.receive({ size: 9 })).rejects.toEqual(failure);
    expect(drain(queue)).toEqual(['1 0123456789']);
    // Also one that comes while it waits; those behind go on.
    const waits = [queue.receive({ size: 5 }), queue.receive({ size: 100 })] as const;
    await turn();
    queue.sendSync(1, '0123456789');
    await expect(waits[0]).rejects.toEqual(failure);
    expect(textOf(await waits[1])).toBe('1 0123456789');
  });

  it('with truncate the rest is lost, for every way to receive', async () => {
    const queue = makeQueue();
    const wanted = { size: 4, truncate: true };
    const waits = queue.receive(wanted);
    await turn();
    for (let times = 0; times < 4; times++) queue.sendSync(1, '0123456789');
    const all = [
      await waits,
      queue.tryReceive(wanted),
      queue.receiveSync(wanted),
      await queue.receive(wanted),
    ];
    expect(all.map((each) => String(each?.data))).toEqual(Array(4).fill('0123'));
    expect(queue.stat().messages).toBe(0);
    queue.sendSync(1, '0123456789');
    expect(queue.tryReceive({ size: 0, truncate: true })?.data.length).toBe(0);
    queue.sendSync(1, '0123');
    expect(String(queue.tryReceive(wanted)?.data)).toBe('0123');
  });

  it('cut at the memory, too, whichever is shorter', async () => {
    const queue = makeQueue();
    const into = Buffer.alloc(6);
    for (const [size, length] of [
      [undefined, 6],
      [100, 6],
      [4, 4],
    ] as const) {
      const wanted = { into, truncate: true, ...(size === undefined ? {} : { size }) };
      const waits = queue.receive(wanted);
      await turn();
      queue.sendSync(1, '0123456789');
      const waited = await waits;
      expect([String(waited.data), waited.data.buffer]).toEqual(['0123456789'.slice(0, length), into.buffer]);
      queue.sendSync(1, 'abcdefghij');
      const { data } = queue.tryReceive(wanted) as SysvMessage;
      expect([String(data), data.buffer]).toEqual(['abcdefghij'.slice(0, length), into.buffer]);
    }
  });
});

describe('into', () => {
  it('is where a message lands, and the rest of it stays as it was', async () => {
    const queue = makeQueue();
    const memory = new ArrayBuffer(16);
    const kinds = [
      memory,
      new Uint8Array(memory, 4, 8),
      new Uint16Array(memory, 2, 4),
      new DataView(memory, 1, 9),
      new SharedArrayBuffer(16),
    ];
    for (const into of kinds) {
      const [buffer, offset] = ArrayBuffer.isView(into) ? [into.buffer, into.byteOffset] : [into, 0];
      const all = new Uint8Array(buffer);
      const expectThere = ({ data }: SysvMessage, text: string) => {
        expect([String(data), data.buffer, data.byteOffset]).toEqual([text, buffer, offset]);
        expect(all[offset + 5]).toBe(0xff);
      };
      all.fill(0xff);
      const waits = queue.receive({ into });
      await turn();
      queue.sendSync(1, 'first');
      expectThere(await waits, 'first');
      queue.sendSync(1, 'again');
      expectThere(queue.tryReceive({ into }) as SysvMessage, 'again');
      queue.sendSync(1, 'block');
      expectThere(queue.receiveSync({ into }), 'block');
    }
  });

  it('that is too small leaves the message whole, in memory of its own', async () => {
    const queue = makeQueue();
    const into = Buffer.alloc(3, 1);
    const waits = queue.receive({ into });
    await turn();
    for (let times = 0; times < 3; times++) queue.sendSync(1, 'longer');
    const all = [await waits, queue.receiveSync({ into }), queue.tryReceive({ into }) as SysvMessage];
    for (const { data } of all)
      expect([String(data), data.buffer === into.buffer]).toEqual(['longer', false]);
    expect(into).toEqual(Buffer.alloc(3, 1));
  });

  it('that was moved away is refused before, and loses no message while a receive waits', async () => {
    const queue = makeQueue();
    const into = new Uint8Array(8);
    const waits = [queue.receive({ into }), queue.receive({ into })] as const;
    waits[1].catch(() => {});
    await until(() => sleepers(/msgrcv/) === 1);
    structuredClone(into, { transfer: [into.buffer] });
    queue.sendSync(1, 'kept');
    expect(String((await waits[0]).data)).toBe('kept');
    // Its turn comes only now: it takes nothing.
    await expect(waits[1]).rejects.toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
    queue.sendSync(1, 'next');
    expect(() => queue.tryReceive({ into })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    );
  });

  it('of a message that is kept is not used again by later ones', async () => {
    const queue = makeQueue({ maxBytes: 16_000 });
    const kept = [];
    for (let number = 0; number < 60; number++) {
      const sent = Buffer.alloc(1 + ((number * 977) % 8000), number);
      queue.sendSync(1, sent);
      const message = number % 2 === 0 ? queue.tryReceive() : await queue.receive();
      kept.push({ sent, got: message?.data });
    }
    for (const { sent, got } of kept) expect(sent.equals(got as Buffer)).toBe(true);
  });
});

describe('a peek', () => {
  it('copies the message at a place, and leaves all as they are', () => {
    const queue = queueOf(4, 5, 6);
    expect([0, 1, 2, 3].map((at) => queue.peek(at))).toEqual([
      { type: 4, data: Buffer.from('0') },
      { type: 5, data: Buffer.from('1') },
      { type: 6, data: Buffer.from('2') },
      null,
    ]);
    expect(queue.peek()).toEqual(queue.peek(0));
    expect(queue.stat()).toMatchObject({ messages: 3, lastReceivePid: 0 });
    expect(drain(queue)).toEqual(['4 0', '5 1', '6 2']);
    expect(queue.peek()).toBeNull();
  });
});

describe('a loop', () => {
  it('gets messages of all types as they come, and closes nothing when it is left', async () => {
    const queue = makeQueue();
    const got: string[] = [];
    const looping = (async () => {
      for await (const message of queue) {
        got.push(textOf(message));
        if (got.length === 4) break;
      }
    })();
    for (let number = 1; number <= 5; number++) {
      queue.sendSync(number, `${number}`);
      if (number % 2 === 0) await turn();
    }
    await looping;
    expect(got).toEqual(['1 1', '2 2', '3 3', '4 4']);
    expect(drain(queue)).toEqual(['5 5']);
  });

  it('ends quietly when the queue is closed, and in EIDRM when it is removed', async () => {
    const loop = async (queue: ReturnType<typeof makeQueue>) => {
      const got = [];
      for await (const { data } of queue) got.push(String(data));
      return got;
    };
    const closed = makeQueue();
    const first = loop(closed);
    closed.sendSync(1, 'only');
    await turn();
    await turn();
    closed.close();
    expect(await first).toEqual(['only']);

    const removed = makeQueue();
    const second = loop(removed);
    await turn();
    removed.remove();
    await expect(second).rejects.toEqual(systemError('EIDRM', 'msgrcv'));
  });
});

describe('a long message', () => {
  it.skipIf(!canSetIpcLimits)('comes whole, however long kernel.msgmax lets it be', async () => {
    const source = `
      const queue = SysvMessageQueue.create(null, { maxBytes: 4_000_000 });
      const turn = () => new Promise(setImmediate);
      const bytes = (length) => Buffer.alloc(length, 'abcdefg' + length);
      const lengths = [8191, 8192, 8193, 16_384, 16_385, 65_536, 65_537, 200_000, 1_000_000, 10];
      for (const length of lengths) {
        const sent = bytes(length);
        const check = ({ type, data }) => assert.ok(type === 3 && data.equals(sent), String(length));
        for (const how of [{}, { into: Buffer.alloc(100) }, { into: Buffer.alloc(2_000_000) }, { truncate: true }]) {
          const waits = queue.receive(how);
          await turn();
          await queue.send(3, sent);
          check(await waits);
          queue.sendSync(3, sent);
          check(queue.receiveSync(how));
          assert.equal(queue.trySend(3, sent), true);
          check(queue.peek());
          check(queue.tryReceive(how));
          if (length === 10) continue;
          queue.trySend(3, sent);
          assert.throws(() => queue.tryReceive({ ...how, truncate: false, size: length - 1 }), { code: 'E2BIG' });
          const { data } = await queue.receive({ size: length - 1, truncate: true });
          assert.ok(data.equals(sent.subarray(0, length - 1)));
        }
        // Those that are kept are nobody else's.
        queue.trySend(3, sent);
        const kept = queue.tryReceive();
        queue.trySend(3, Buffer.alloc(length));
        queue.tryReceive();
        check(kept);
      }
      // One that waits for room is sent whole as well.
      while (queue.trySend(1, bytes(1_000_000)));
      const sending = queue.send(2, bytes(900_000));
      await turn();
      while (queue.tryReceive({ type: 1 }) !== null);
      await sending;
      assert.ok((await queue.receive({ type: 2 })).data.equals(bytes(900_000)));
      queue.remove();`;
    const wrapper = inNamespaces(
      ['--ipc'],
      'echo 1000000 > /proc/sys/kernel/msgmax; echo 4000000 > /proc/sys/kernel/msgmnb',
    );
    expect(await runPeer(source, { wrapper })).toMatchObject(clean);
  });
});
