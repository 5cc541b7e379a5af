/** Stream sockets as streams of Node and of the web, and together with node:net. */
import { once } from 'node:events';
import { connect, createServer, Socket } from 'node:net';
import { type Duplex, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { socketPair, UnixStream, UnixStreamServer } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openDescriptors } from '../support/leaks.js';
import { closing, pairOf, socketPath } from '../support/sockets.js';

const big = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i * 17));
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

function destroying(duplex: Duplex): Duplex {
  onTestFinished(() => void duplex.on('error', () => {}).destroy());
  return duplex;
}

describe('toDuplex', () => {
  it('carries a pipeline both ways, and closes when both sides have ended', async () => {
    const [first, second] = pairOf('stream');
    const [one, two] = [first.toDuplex(), second.toDuplex()];
    two.pipe(two);
    // By its events: a loop would destroy it at the end of the reading.
    const got: Buffer[] = [];
    one.on('data', (piece) => got.push(piece));
    await pipeline(Readable.from([big.subarray(0, 1_000_000), big.subarray(1_000_000)]), one);
    await once(one, 'end');
    expect(Buffer.concat(got).equals(big)).toBe(true);
    if (!one.closed) await once(one, 'close');
    if (!two.closed) await once(two, 'close');
    expect([first.closed, second.closed]).toEqual([true, true]);
  });

  it('ends its writing and goes on reading', async () => {
    const [first, second] = pairOf('stream');
    const one = destroying(first.toDuplex());
    one.end('last');
    expect(await text(second)).toBe('last');
    expect(first.closed).toBe(false);
    await second.write('answer');
    second.end();
    expect(await text(one)).toBe('answer');
    if (!one.closed) await once(one, 'close');
    expect(first.closed).toBe(true);
  });

  it('sees the end of the other side, and writes on; unless half-open is not allowed', async () => {
    const [first, second] = pairOf('stream');
    const one = destroying(first.toDuplex());
    second.end();
    one.resume();
    await once(one, 'end');
    one.write('still');
    expect(String(await second.read())).toBe('still');
    one.end();
    expect(await second.read()).toBeUndefined();
    const [third, fourth] = pairOf('stream');
    const strict = destroying(third.toDuplex({ allowHalfOpen: false }));
    fourth.end();
    strict.resume();
    await once(strict, 'close');
    expect(third.closed).toBe(true);
    expect(await fourth.read()).toBeUndefined();
  });

  it('closes the socket when it is destroyed, with or without an error', async () => {
    for (const error of [undefined, new Error('enough')]) {
      const [first, second] = pairOf('stream');
      const one = first.toDuplex();
      one.on('data', () => {});
      const errors: Error[] = [];
      one.on('error', (each) => errors.push(each));
      await nextTurn();
      one.destroy(error);
      await once(one, 'close').catch(() => {});
      while (!one.closed) await nextTurn();
      expect(first.closed).toBe(true);
      expect(errors).toEqual(error === undefined ? [] : [error]);
      expect(await second.read()).toBeUndefined();
    }
  });

  it('is destroyed with the error of the socket', async () => {
    const [first, second] = pairOf('stream');
    const one = first.toDuplex();
    one.write('unread');
    await nextTurn();
    second.close();
    one.resume();
    const [error] = await once(one, 'error');
    expect(error).toMatchObject({ name: 'IpcError', code: 'ECONNRESET' });
    expect(first.closed).toBe(true);
    const [third, fourth] = pairOf('stream');
    fourth.close();
    const two = third.toDuplex();
    two.write('x');
    const [broken] = await once(two, 'error');
    expect(broken).toMatchObject({ name: 'IpcError', code: 'EPIPE' });
  });

  it('makes who writes to it wait for a slow reader', async () => {
    const [first, second] = pairOf('stream');
    const one = destroying(first.toDuplex());
    let written = 0;
    while (one.write(Buffer.alloc(65_536))) {
      written++;
      await nextTurn();
      expect(written).toBeLessThan(1000);
    }
    const drained = once(one, 'drain');
    for (let got = 0; got < (written + 1) * 65_536; ) got += ((await second.read()) as Buffer).length;
    await drained;
  });

  it('of a closed socket is refused, and leaves no descriptor when it is thrown away', async () => {
    const before = await openDescriptors();
    const [first, second] = socketPair('stream');
    first.close();
    expect(() => first.toDuplex()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
    expect(() => first.toWeb()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
    second.toDuplex().destroy();
    expect(await openDescriptors()).toEqual(before);
  });
});

describe('toWeb', () => {
  it('carries bytes both ways, and closes when both sides have ended', async () => {
    const [first, second] = pairOf('stream');
    const [one, two] = [first.toWeb(), second.toWeb()];
    const echo = two.readable.pipeTo(two.writable);
    const got = collect(one.readable as unknown as AsyncIterable<Uint8Array>);
    const writer = one.writable.getWriter();
    await writer.write(big);
    await writer.write('text');
    await writer.close();
    expect((await got).equals(Buffer.concat([big, Buffer.from('text')]))).toBe(true);
    await echo;
    expect([first.closed, second.closed]).toEqual([true, true]);
  });

  it('reads into the memory that its reader gives', async () => {
    const [first, second] = pairOf('stream');
    const { readable } = second.toWeb();
    const reader = readable.getReader({ mode: 'byob' });
    await first.write('0123456789');
    const { value } = await reader.read(new Uint8Array(4));
    expect(String.fromCharCode(...(value as Uint8Array))).toBe('0123');
    first.end();
    const rest = await reader.read(new Uint8Array(100));
    expect(rest.value?.length).toBe(6);
    expect((await reader.read(new Uint8Array(1))).done).toBe(true);
  });

  it('closes at once when it is cancelled, or aborted', async () => {
    const [first, second] = pairOf('stream');
    const { readable } = first.toWeb();
    const reader = readable.getReader();
    const pending = reader.read();
    await reader.cancel('enough');
    expect((await pending).done).toBe(true);
    expect(first.closed).toBe(true);
    expect(await second.read()).toBeUndefined();
    const [third, fourth] = pairOf('stream');
    await third.toWeb().writable.abort('enough');
    expect(third.closed).toBe(true);
    expect(await fourth.read()).toBeUndefined();
  });

  it('is in error with the socket', async () => {
    const [first, second] = pairOf('stream');
    const { readable, writable } = first.toWeb();
    second.close();
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    await expect(writer.write('x')).rejects.toMatchObject({ code: 'EPIPE' });
    await readable.cancel();
  });
});

describe('node:net', () => {
  it('serves and connects on the other side', async () => {
    const path = socketPath();
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(path);
    await once(server, 'listening');
    const client = await UnixStream.connect(path);
    const writing = client.write(big).then(() => client.end());
    expect((await collect(client)).equals(big)).toBe(true);
    await writing;
    client.close();
    server.close();
    await once(server, 'close');

    const own = closing(UnixStreamServer.listen(path));
    const theirs = connect({ path, allowHalfOpen: true });
    const accepted = closing(await own.accept());
    theirs.end(big);
    expect((await collect(accepted)).equals(big)).toBe(true);
    await accepted.write('answer');
    accepted.close();
    expect(await text(theirs)).toBe('answer');
  });

  it('goes on with a descriptor that a stream has let go of', async () => {
    const [first, second] = pairOf('stream');
    await second.write('read here ');
    expect(String(await first.read())).toBe('read here ');
    const pending = expect(first.read()).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    const socket = new Socket({ fd: first.detach() });
    await pending;
    expect(first.closed).toBe(true);
    socket.write('from net');
    expect(String(await second.read())).toBe('from net');
    const writing = second.write(big).then(() => second.end());
    expect((await collect(socket)).equals(big)).toBe(true);
    await writing;
  });

  it('has its server go on with a descriptor that a server has let go of', async () => {
    const path = socketPath();
    const fd = UnixStreamServer.listen(path).detach();
    const server = createServer((socket) => socket.end('hello')).listen({ fd });
    await once(server, 'listening');
    const client = closing(await UnixStream.connect(path));
    expect(await text(client)).toBe('hello');
    client.close();
    server.close();
    await once(server, 'close');
    UnixStreamServer.unlink(path);
  });

  it('shares a connection with a stream that duplicates its descriptor', async () => {
    const path = socketPath();
    const server = createServer().listen(path);
    await once(server, 'listening');
    const client = connect(path);
    const [accepted] = (await once(server, 'connection')) as [Socket & { _handle: { fd: number } }];
    const ours = closing(UnixStream.fromFd(accepted._handle.fd));
    expect(ours.address).toBe(path);
    const writing = ours.write(big);
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of client) {
      pieces.push(piece);
      length += piece.length;
      if (length === big.length) break;
    }
    await writing;
    expect(Buffer.concat(pieces).equals(big)).toBe(true);
    accepted.destroy();
    ours.close();
    server.close();
    await once(server, 'close');
  });
});
