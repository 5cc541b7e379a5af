/** Stream sockets: bytes both ways, in order, and their end. As streams of Node and the web: duplex.test.ts. */
import { UnixStream } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { seeded } from '../support/random.js';
import { fill, pairOf } from '../support/sockets.js';

const torn = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_TORN' });
const bytes = (length: number, start = 0) => Buffer.from(Array.from({ length }, (_, i) => i * 31 + start));

/** Reads so many bytes. */
async function readAll(stream: UnixStream, length: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let got = 0; got < length; ) {
    const piece = await stream.read();
    if (piece === undefined) break;
    pieces.push(piece);
    got += piece.length;
  }
  return Buffer.concat(pieces);
}

describe('a stream socket', () => {
  it('reads what was written, in every form of waiting', async () => {
    const [first, second] = pairOf('stream');
    expect(second.tryRead()).toBeNull();
    const pending = second.read();
    await first.write('1');
    expect(String(await pending)).toBe('1');
    expect(first.tryWrite(new Float64Array(1))).toBe(8);
    expect(second.tryRead()).toEqual(Buffer.alloc(8));
    first.writeSync('héllo');
    expect(String(second.readSync())).toBe('héllo');
    await first.writev(['a', new Uint8Array([98]), new DataView(new ArrayBuffer(1)), '']);
    expect(String(second.tryRead())).toBe('ab\0');
    expect(first.tryWritev(['c', 'd'])).toBe(2);
    first.writevSync(['e', 'f']);
    expect(String(second.tryReceive())).toBe('cdef');
    expect(second.tryReceive()).toBeNull();
    const message = second.receive();
    await first.write('7');
    expect(String(await message)).toBe('7');
    expect(first.tryWrite('')).toBe(0);
    await first.write(new Uint8Array(0));
    expect(second.tryRead()).toBeNull();
  });

  it('reads at most as many bytes as are asked for, into what is given', async () => {
    const [first, second] = pairOf('stream');
    first.writeSync('0123456789');
    expect(String(second.tryRead({ size: 2 }))).toBe('01');
    const into = new Uint8Array(8);
    const view = second.tryRead({ into: into.subarray(1, 4) });
    expect([String(view), view?.buffer]).toEqual(['234', into.buffer]);
    expect(String(await second.receive({ into, size: 1 }))).toBe('5');
    expect(String(second.receiveSync({ size: 3 }))).toBe('678');
    expect(String(await second.read({ size: 100 }))).toBe('9');
  });

  it('writes and reads much more than fits, in both directions at once', async () => {
    const [first, second] = pairOf('stream');
    const [there, back] = [bytes(3_000_000), bytes(3_000_000, 7)];
    const writing = [first.write(there), second.writev([back.subarray(0, 5), back.subarray(5)])];
    const [a, b] = await Promise.all([readAll(second, there.length), readAll(first, back.length)]);
    await Promise.all(writing);
    expect(a.equals(there)).toBe(true);
    expect(b.equals(back)).toBe(true);
  });

  it('writes calls that wait one after the other, each wholly', async () => {
    const [first, second] = pairOf('stream');
    const random = seeded(3);
    const parts = Array.from({ length: 50 }, (_, i) => bytes(random(100_000), i));
    const writing = parts.map((part, i) => (i % 2 === 0 ? first.write(part) : first.writev([part])));
    expect(first.tryWrite('out of turn')).toBeNull();
    const whole = Buffer.concat(parts);
    expect((await readAll(second, whole.length)).equals(whole)).toBe(true);
    await Promise.all(writing);
    expect(second.tryRead()).toBeNull();
  });

  it('gives a loop chunks until the end', async () => {
    const [first, second] = pairOf('stream');
    const data = bytes(500_000);
    const writing = first.write(data).then(() => first.end());
    const pieces: Buffer[] = [];
    for await (const piece of second) pieces.push(piece);
    await writing;
    expect(Buffer.concat(pieces).equals(data)).toBe(true);
    expect(second.closed).toBe(false);
  });

  it('moves bytes between processes, by promises and blocking', async () => {
    for (const way of ['async', 'sync']) {
      const [ours, theirs] = pairOf('stream');
      const peer = startPeer(
        `const stream = UnixStream.fromFd(4);
         if (args[0] === 'sync') for (let each; (each = stream.readSync()) !== undefined; ) stream.writeSync(each);
         else for await (const each of stream) await stream.write(each);
         stream.close();`,
        { args: [way], fds: [theirs.fd] },
      );
      theirs.close();
      const data = bytes(2_000_000);
      const writing = ours.write(data).then(() => ours.end());
      expect((await readAll(ours, Number.POSITIVE_INFINITY)).equals(data), way).toBe(true);
      await writing;
      expect(await peer.exited).toMatchObject(clean);
    }
  });
});

describe('the end of a stream', () => {
  it('of one way leaves the other one open', async () => {
    const [first, second] = pairOf('stream');
    await first.write('last');
    first.end();
    expect(() => first.tryWrite('x')).toThrow(systemError('EPIPE', 'send'));
    await expect(first.write('x')).rejects.toMatchObject({ code: 'EPIPE', bytesWritten: 0 });
    expect(String(second.readSync())).toBe('last');
    expect(second.readSync()).toBeUndefined();
    expect(second.tryRead()).toBeUndefined();
    expect(await second.read()).toBeUndefined();
    expect(await second.receive()).toBeUndefined();
    expect(second.tryReceive()).toBeUndefined();
    expect(second.receiveSync()).toBeUndefined();
    await second.write('answer');
    second.close();
    expect(String(await first.read())).toBe('answer');
    expect(await first.read()).toBeUndefined();
  });

  it("comes to those who wait, and to a killed process's peer", async () => {
    const [first, second] = pairOf('stream');
    const waiting = [second.read(), second.receive(), second.read()];
    first.close();
    expect(await Promise.all(waiting)).toEqual([undefined, undefined, undefined]);
    const [ours, theirs] = pairOf('stream');
    const peer = startPeer(`await UnixStream.fromFd(4).write('there'); await next();`, { fds: [theirs.fd] });
    theirs.close();
    expect(String(await ours.read())).toBe('there');
    const pending = ours.read();
    peer.process.kill('SIGKILL');
    expect(await pending).toBeUndefined();
  });

  it('fails who writes with EPIPE, without a signal, and tells how far a write came', async () => {
    const source = `
      const [first, second] = socketPair('stream');
      const writing = first.write(Buffer.alloc(5_000_000));
      const read = (await second.read()).length;
      second.close();
      const error = await writing.then(() => assert.fail(), (error) => error);
      assert.ok(['EPIPE', 'ECONNRESET'].includes(error.code), error.message);
      assert.ok(error.bytesWritten >= read && error.bytesWritten < 5_000_000, error.bytesWritten);
      assert.throws(() => first.tryWrite('x'), { code: 'ERR_INTERPROC_TORN' });
      const [other, gone] = socketPair('stream');
      gone.close();
      for (let i = 0; i < 3; i++) assert.throws(() => other.writeSync('x'), { code: 'EPIPE', bytesWritten: 0 });`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('is ECONNRESET, once, where the other side closed without having read all', async () => {
    const [first, second] = pairOf('stream');
    await first.write('unread');
    await second.write('last words');
    second.close();
    expect(String(await first.read())).toBe('last words');
    await expect(first.read()).rejects.toEqual(systemError('ECONNRESET', 'recv'));
    expect(await first.read()).toBeUndefined();
  });
});

describe('a write that ends half-way', () => {
  const big = Buffer.alloc(4_000_000);

  async function expectTorn(socket: UnixStream): Promise<void> {
    expect(() => socket.tryWrite('x')).toThrow(torn);
    expect(() => socket.tryWritev(['x'])).toThrow(torn);
    expect(() => socket.writeSync('x')).toThrow(torn);
    await expect(socket.write('x')).rejects.toEqual(torn);
    await expect(socket.writev(['x'])).rejects.toEqual(torn);
    await expect(socket.write('x', { fds: [socket] })).rejects.toEqual(torn);
  }

  it('tells how far it came and lets nothing follow: by an abort', async () => {
    const [first, second] = pairOf('stream');
    const abort = new AbortController();
    const writing = first.write(big, { signal: abort.signal });
    const behind = first.write('behind');
    abort.abort();
    const error = await writing.catch((error) => error);
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    await expect(behind).rejects.toEqual(torn);
    await expectTorn(first);
    first.end();
    expect((await readAll(second, Number.POSITIVE_INFINITY)).length).toBe(error.bytesWritten);
    expect(error.bytesWritten).toBeGreaterThan(0);
  });

  it.each([
    ['by a timeout', (socket: UnixStream) => socket.write(big, { timeout: 1 })],
    ['by a timeout of 0', (socket: UnixStream) => socket.write(big, { timeout: 0 })],
    ['of several pieces', (socket: UnixStream) => socket.writev([big, big], { timeout: 1 })],
    ['with descriptors', (socket: UnixStream) => socket.write(big, { timeout: 1, fds: [socket] })],
    ['blocking', async (socket: UnixStream) => socket.writeSync(big, { timeout: 1 })],
    ['blocking, several pieces', async (socket: UnixStream) => socket.writevSync([big, big], { timeout: 1 })],
  ])('tells how far it came and lets nothing follow: %s', async (_, write) => {
    const [first, second] = pairOf('stream');
    const error = await write(first).catch((error) => error);
    expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'write' });
    await expectTorn(first);
    first.end();
    expect((await readAll(second, Number.POSITIVE_INFINITY)).length).toBe(error.bytesWritten);
    expect(error.bytesWritten).toBeGreaterThan(0);
    await second.write('the other way');
    expect(String(await first.read())).toBe('the other way');
  });

  it('is none where nothing was written', async () => {
    const [first, second] = pairOf('stream');
    const filled = fill(() => first.tryWrite(Buffer.alloc(4096)));
    expect(filled).toBeGreaterThan(0);
    await expect(first.write('x', { timeout: 1 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      bytesWritten: 0,
    });
    expect(() => first.writeSync('x', { timeout: 1 })).toThrow(expect.objectContaining({ bytesWritten: 0 }));
    const abort = new AbortController();
    const writing = first.write('x', { signal: abort.signal });
    abort.abort();
    await expect(writing).rejects.toMatchObject({ code: 'ABORT_ERR', bytesWritten: 0 });
    const more = first.write('more');
    for (let got = ''; !got.endsWith('more'); ) got = String(await second.read());
    await more;
  });

  it('and closes in the middle is told with what was written', async () => {
    const [first, second] = pairOf('stream');
    const writing = [first.write(big), first.write('behind')];
    first.close();
    const [one, two] = await Promise.allSettled(writing);
    const closed = { name: 'IpcError', code: 'ERR_INTERPROC_CLOSED' };
    const got = (await readAll(second, Number.POSITIVE_INFINITY)).length;
    expect(one).toMatchObject({ status: 'rejected', reason: { ...closed, bytesWritten: got } });
    expect(two).toMatchObject({ status: 'rejected', reason: { ...closed, bytesWritten: 0 } });
  });
});
