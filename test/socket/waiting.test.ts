/** Waiting on sockets: timeouts, aborts, closing, order, and what it does to the process. */
import { type SocketMessage, socketPair, UnixStream } from 'interproc';
import { describe, expect, it } from 'vitest';
import { collectGarbage, openDescriptors } from '../support/leaks.js';
import { clean, runPeer } from '../support/peer.js';
import { pairOf, trySend, types } from '../support/sockets.js';

const timedOut = (syscall: string) =>
  expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT', syscall });
const aborted = (cause: unknown) => expect.objectContaining({ name: 'AbortError', code: 'ABORT_ERR', cause });
const closed = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' });
const busy = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_BUSY' });

describe.each(types)('a receive of a %s socket', (type) => {
  it('that times out or is aborted takes nothing', async () => {
    const [first, second] = pairOf(type);
    for (const timeout of [0, 0.5, 1]) {
      await expect(second.receive({ timeout })).rejects.toEqual(timedOut('receive'));
      expect(() => second.receiveSync({ timeout })).toThrow(timedOut('receive'));
    }
    const reason = new Error('enough');
    await expect(second.receive({ signal: AbortSignal.abort(reason) })).rejects.toEqual(aborted(reason));
    const abort = new AbortController();
    const waiting = second.receive({ signal: abort.signal });
    abort.abort(reason);
    await expect(waiting).rejects.toEqual(aborted(reason));
    trySend(first, 'kept');
    await expect(second.receive({ signal: AbortSignal.abort(reason) })).rejects.toEqual(aborted(reason));
    expect(String(await second.receive({ timeout: 0 }))).toBe('kept');
    trySend(first, 'kept');
    expect(String(second.receiveSync({ timeout: 0 }))).toBe('kept');
    expect(second.tryReceive()).toBeNull();
  });

  it('that is aborted in the turn in which its message comes loses none', async () => {
    const [first, second] = pairOf(type);
    let fulfilled = 0;
    for (let i = 0; i < 300; i++) {
      const abort = new AbortController();
      const settled = Promise.allSettled([second.receive({ signal: abort.signal })]);
      const [before, after] = i % 2 === 0 ? ['send', 'abort'] : ['abort', 'send'];
      for (const each of [before, i % 3 === 0 ? 'turn' : 'none', after]) {
        if (each === 'send') trySend(first, `${i}`);
        if (each === 'abort') abort.abort();
        if (each === 'turn') await new Promise(setImmediate);
      }
      const [result] = await settled;
      const message = result?.status === 'fulfilled' ? result.value : second.tryReceive();
      if (result?.status === 'fulfilled') fulfilled++;
      expect(String(message)).toBe(`${i}`);
      expect(second.tryReceive()).toBeNull();
    }
    expect(fulfilled).toBeGreaterThan(0);
    expect(fulfilled).toBeLessThan(300);
  });

  it('is served in the order of the calls, and one that ends early harms no other', async () => {
    const [first, second] = pairOf(type);
    const abort = new AbortController();
    const size = type === 'stream' ? { size: 1 } : {};
    const waiting = [
      second.receive(size),
      second.receive({ ...size, signal: abort.signal }),
      second.receive(size),
      second.receive({ ...size, timeout: 0 }),
      second.receive(size),
    ];
    const settled = Promise.allSettled(waiting);
    expect(second.tryReceive()).toBeNull();
    expect(() => second.receiveSync()).toThrow(busy);
    abort.abort();
    for (const text of ['1', '2', '3']) trySend(first, text);
    const texts = (await settled).map((each) =>
      each.status === 'fulfilled' ? String(each.value) : (each.reason as { code: string }).code,
    );
    expect(texts).toEqual(['1', 'ABORT_ERR', '2', 'ETIMEDOUT', '3']);
  });

  it('rejects when its socket closes, and every call afterwards', async () => {
    const [, second] = pairOf(type);
    const waiting = [second.receive(), second.receive({ timeout: 10_000 })];
    second.close();
    second.close();
    for (const each of waiting) await expect(each).rejects.toEqual(closed);
    await expect(second.receive()).rejects.toEqual(closed);
    expect(() => second.receiveSync()).toThrow(closed);
    expect(() => second.tryReceive()).toThrow(closed);
    for await (const _ of second) expect.fail('it is closed');
  });

  it('is closed by the getter of an option, and says so', () => {
    const [, second] = pairOf(type);
    const options = {
      get timeout() {
        second.close();
        return 0;
      },
    };
    expect(() => second.receiveSync(options)).toThrow(closed);
  });

  it('keeps its socket from being collected', async () => {
    const receive = () => {
      const [first, second] = socketPair(type);
      return { first, message: second.receive() };
    };
    const { first, message } = receive();
    await collectGarbage();
    trySend(first, 'still there');
    expect(String(await message)).toBe('still there');
    first.close();
  });

  it('of a socket that nobody can reach any more leaves no descriptor', async () => {
    const before = await openDescriptors();
    const drop = async () => {
      const [first, second] = socketPair(type);
      await second.receive({ timeout: 0 }).catch(() => {});
      const pending = second.receive();
      trySend(first, 'x');
      await pending;
    };
    for (let i = 0; i < 20; i++) await drop();
    expect(await openDescriptors()).toEqual(before);
  });

  it('takes turns with timers and other I/O, however many messages come', async () => {
    const [first, second] = pairOf(type);
    let over = false;
    let received = 0;
    const sending = (async () => {
      for (; !over; ) {
        await (first instanceof UnixStream ? first.write('x') : first.send('x'));
      }
    })();
    const receiving = (async () => {
      for (; !over; received++) {
        await (second instanceof UnixStream ? second.receive({ size: 1 }) : second.receive());
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    over = true;
    trySend(first, 'last');
    await sending;
    await receiving;
    expect(received).toBeGreaterThan(0);
  });
});

describe('a process', () => {
  const head = `
    import { once } from 'node:events';
    const pairs = ['datagram', 'seqpacket', 'stream'].map((type) => socketPair(type));
    const server = UnixStreamServer.listen('\\0' + process.pid, { backlog: 1 });
    while (UnixStream.tryConnect('\\0' + process.pid)) {}
    const full = UnixDatagram.bind();
    const sender = UnixDatagram.create();
    while (sender.trySendTo('x', full.address)) {}
    const waitAll = () => {
      const waits = pairs.map(([first]) => first.receive());
      waits.push(UnixSeqpacketServer.listen('\\0seq' + process.pid).accept());
      waits.push(UnixStream.connect('\\0' + process.pid));
      waits.push(sender.sendTo('x', full.address));
      for (const each of waits) each.catch(() => {});
    };`;

  it('ends by itself when nothing is pending, whatever sockets it has open', async () => {
    const source = `${head}
      const receives = pairs.map(([first]) => first.receive());
      pairs[0][1].trySend('x');
      pairs[1][1].trySend('x');
      pairs[2][1].tryWrite('x');
      await Promise.all(receives);
      (await server.accept()).close();
      await assert.rejects(pairs[0][0].receive({ signal: AbortSignal.timeout(1) }), { code: 'ABORT_ERR' });
      for (const [, second] of pairs) second.receive().catch(() => {});
      for (const [, second] of pairs) second.close();`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('ends at once by process.exit() while calls of all kinds wait', async () => {
    const source = `${head} waitAll(); setImmediate(() => process.exit(7));`;
    expect(await runPeer(source)).toMatchObject({ ...clean, code: 7 });
  });

  it('is kept alive by what waits, and not by what is unref()ed', async () => {
    const source = `${head}
      for (const [first] of pairs) first.unref().receive({ timeout: 100_000 }).catch(() => {});
      server.unref();
      const other = UnixSeqpacketServer.listen('\\0other' + process.pid);
      other.accept().catch(() => {});
      other.unref();
      sender.unref();
      sender.sendTo('x', full.address);
      pairs[1][1].receive().then(() => process.exitCode = 7);
      setTimeout(() => pairs[1][0].trySend('x'), 20).unref();`;
    expect(await runPeer(source)).toMatchObject({ ...clean, code: 7 });
  });

  it('is kept alive again by ref()', async () => {
    const source = `${head}
      const [first, second] = pairs[0];
      first.unref();
      first.receive().then(() => (process.exitCode = 7));
      first.ref();
      setTimeout(() => second.trySend('x'), 20).unref();`;
    expect(await runPeer(source)).toMatchObject({ ...clean, code: 7 });
  });

  it("has libuv's threads for itself while 64 sockets wait", async () => {
    const source = `
      import { readFile } from 'node:fs/promises';
      import { lookup } from 'node:dns/promises';
      import { pbkdf2 } from 'node:crypto';
      import { promisify } from 'node:util';
      import { readdirSync } from 'node:fs';
      const name = '\\0' + process.pid;
      const server = UnixStreamServer.listen(name, { backlog: 1 });
      while (UnixStream.tryConnect(name)) {}
      const waits = [];
      for (let i = 0; i < 64; i++) {
        const [first, second] = socketPair(['datagram', 'seqpacket', 'stream'][i % 3]);
        waits.push({ second, received: first.receive() });
      }
      const connecting = Array.from({ length: 8 }, () => UnixStream.connect(name));
      for (const each of connecting) each.catch(() => {});
      await readFile('/proc/self/status');
      await lookup('localhost');
      await promisify(pbkdf2)('a', 'b', 10, 10, 'sha1');
      for (const { second } of waits) second instanceof UnixStream ? second.tryWrite('x') : second.trySend('x');
      for (const { received } of waits) assert.equal(String(await received), 'x');
      server.close();
      await Promise.allSettled(connecting);`;
    expect(await runPeer(source)).toMatchObject(clean);
  });
});

describe('sockets of a process that waits for many', () => {
  it('are each told of their own', async () => {
    const pairs = Array.from({ length: 64 }, () => pairOf('seqpacket'));
    const waiting = pairs.map(([first]) => first.receive());
    for (const [i, [, second]] of pairs.entries()) if (i % 2 === 0) second.sendSync(`${i}`);
    for (const [i, [, second]] of pairs.entries()) if (i % 2 === 1) second.sendSync(`${i}`);
    const got = (await Promise.all(waiting)) as SocketMessage[];
    expect(got.map(String)).toEqual(pairs.map((_, i) => `${i}`));
  });
});
