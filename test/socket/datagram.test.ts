/** Datagram sockets: names, addresses, and messages that stay whole. Full receivers: back-pressure.test.ts. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type SocketMessage, UnixDatagram } from 'interproc';
import { describe, expect, it } from 'vitest';
import { systemError } from '../support/failures.js';
import { startPeer } from '../support/peer.js';
import { seeded } from '../support/random.js';
import { abstractName, closing, datagrams, pairOf, socketPath } from '../support/sockets.js';

function bound(address?: string | URL | Buffer): UnixDatagram {
  return closing(UnixDatagram.bind(address));
}

describe('a datagram socket', () => {
  it.each([
    ['a path', socketPath],
    ['an abstract name', abstractName],
  ])('is bound to %s, which its receivers are told as the address of what it sends', async (_, place) => {
    const [from, to] = [place(), place()];
    const sender = bound(from);
    const receiver = bound(to);
    expect(sender.address).toBe(from);
    expect(sender.remoteAddress).toBeNull();
    await sender.sendTo('hello', to);
    const message = await receiver.receive();
    expect(String(message)).toBe('hello');
    expect(message.address).toBe(from);
    await receiver.sendTo('back', message.address as string);
    expect(String(await sender.receive())).toBe('back');
  });

  it('without an address gets a name of its own from the kernel', () => {
    const names = [bound(), bound(), bound()].map(({ address }) => address as string);
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name).toMatch(/^\0[0-9a-f]{5}$/);
  });

  it('that has no name sends messages without an address', async () => {
    const receiver = bound();
    const sender = closing(UnixDatagram.create());
    expect(sender.address).toBeNull();
    sender.sendToSync('x', receiver.address as string);
    expect((await receiver.receive()).address).toBeNull();
  });

  it('is bound to the path of a URL, and to bytes that are no UTF-8, which are told as a Buffer', async () => {
    const path = socketPath();
    const byUrl = bound(pathToFileURL(path));
    expect(byUrl.address).toBe(path);
    const odd = Buffer.concat([Buffer.from(socketPath()), Buffer.from([0xff, 0x80])]);
    const sender = bound(odd);
    expect(sender.address).toEqual(odd);
    sender.sendToSync('x', byUrl.address as string);
    const { address } = await byUrl.receive();
    expect(address).toEqual(odd);
    await byUrl.sendTo('back', address as Buffer);
    expect(String(await sender.receive())).toBe('back');
    const abstract = Buffer.from([0, 0xff, 0, 0xfe]);
    expect(bound(abstract).address).toEqual(abstract);
  });

  it('receives in every form of waiting, each message as it was sent', async () => {
    const { sender, receiver } = datagrams();
    expect(receiver.tryReceive()).toBeNull();
    const pending = receiver.receive();
    expect(sender.trySend('1')).toBe(true);
    expect(String(await pending)).toBe('1');
    sender.sendSync('2');
    expect(String(receiver.receiveSync())).toBe('2');
    await sender.send(new Uint16Array([0x3333]));
    expect(String(receiver.tryReceive())).toBe('33');
    await sender.send('4');
    for await (const message of receiver) {
      expect(String(message)).toBe('4');
      break;
    }
    expect(receiver.closed).toBe(false);
    expect(receiver.tryReceive()).toBeNull();
  });

  it('ends a loop over its messages quietly when it is closed', async () => {
    const { sender, receiver } = datagrams();
    const got: string[] = [];
    const loop = (async () => {
      for await (const message of receiver) got.push(String(message));
    })();
    await sender.send('1');
    await sender.send('2');
    while (got.length < 2) await new Promise(setImmediate);
    receiver.close();
    await loop;
    expect(got).toEqual(['1', '2']);
  });

  it('that is connected receives only from its peer', async () => {
    const [first, second, receiver] = [bound(), bound(), bound()];
    receiver.connect(first.address as string);
    expect(receiver.remoteAddress).toBe(first.address);
    first.sendToSync('from the peer', receiver.address as string);
    expect(() => second.trySendTo('from another', receiver.address as string)).toThrow(
      systemError('EPERM', 'send'),
    );
    expect(String(await receiver.receive())).toBe('from the peer');
    expect(receiver.tryReceive()).toBeNull();
  });

  it('may be connected again, and then what it had not received from its old peer is gone', () => {
    const [first, second, socket] = [bound(), bound(), bound()];
    socket.connect(first.address as string).sendSync('1');
    first.sendToSync('unread', socket.address as string);
    socket.connect(second.address as string).sendSync('2');
    expect(socket.tryReceive()).toBeNull();
    expect(String(first.tryReceive())).toBe('1');
    expect(String(second.tryReceive())).toBe('2');
  });

  it('is told with ECONNRESET, once, that its peer has connected to another and not read all', async () => {
    const [first, second, third] = [bound(), bound(), bound()];
    const leave = () => {
      first.connect(second.address as string);
      second.connect(first.address as string).sendSync('unread');
      return () => first.connect(third.address as string);
    };
    leave()();
    expect(() => second.tryReceive()).toThrow(systemError('ECONNRESET', 'recv'));
    expect(second.tryReceive()).toBeNull();
    const left = leave();
    const pending = second.receive();
    left();
    await expect(pending).rejects.toEqual(systemError('ECONNRESET', 'recv'));
    left();
    expect(second.tryReceive()).toBeNull();
  });

  it('fails to send to nobody', async () => {
    const path = socketPath();
    const socket = closing(UnixDatagram.create());
    expect(() => socket.trySend('x')).toThrow(systemError('ENOTCONN', 'send'));
    await expect(socket.send('x')).rejects.toEqual(systemError('ENOTCONN', 'send'));
    expect(() => socket.sendSync('x')).toThrow(systemError('ENOTCONN', 'send'));
    expect(() => socket.trySendTo('x', path)).toThrow(systemError('ENOENT', 'send', path));
    await expect(socket.sendTo('x', path)).rejects.toEqual(systemError('ENOENT', 'send', path));
    expect(() => socket.connect(path)).toThrow(systemError('ENOENT', 'connect', path));
    expect(() => socket.sendToSync('x', '\0nobody here')).toThrow(
      systemError('ECONNREFUSED', 'send', '@nobody here'),
    );
  });

  it('whose peer is gone is told so by the next message, and never sends it', () => {
    const { sender, receiver } = datagrams();
    receiver.close();
    expect(() => sender.trySend('x')).toThrow(systemError('ECONNREFUSED', 'send'));
    expect(() => sender.trySend('x')).toThrow(systemError('ENOTCONN', 'send')); // the kernel has forgotten the peer
  });

  it('gives a message of a dead process, and what comes before it, whole', async () => {
    const receiver = bound();
    const peer = startPeer(
      `const socket = UnixDatagram.bind();
       for (let i = 0; i < 5; i++) await socket.sendTo(String(i).repeat(1000), args[0]);
       process.kill(process.pid, 'SIGKILL');`,
      { args: [receiver.address] },
    );
    await once(peer.process, 'exit');
    for (let i = 0; i < 5; i++) expect(String(receiver.tryReceive())).toBe(String(i).repeat(1000));
    expect(receiver.tryReceive()).toBeNull();
  });

  it('removes its file when it closes', () => {
    const path = socketPath();
    const socket = UnixDatagram.bind(path);
    expect(existsSync(path)).toBe(true);
    socket.close();
    expect(existsSync(path)).toBe(false);
  });
});

/** Types that keep messages apart. */
describe.each(['datagram', 'seqpacket'] as const)('messages of a %s socket', (type) => {
  it('keep their boundaries, whatever their sizes are', async () => {
    const [first, second] = pairOf(type);
    const random = seeded(5);
    const sent: Buffer[] = [];
    const sending = (async () => {
      for (let i = 0; i < 2000; i++) {
        const data = Buffer.alloc(random(8) === 0 ? random(60_000) : random(64), i);
        sent.push(data);
        await first.send(data);
      }
    })();
    for (let i = 0; i < 2000; i++) {
      const message = (await second.receive()) as SocketMessage;
      if (!message.data.equals(sent[i] as Buffer)) expect.fail(`message ${i} is another`);
    }
    await sending;
    expect(second.tryReceive()).toBeNull();
  });

  it('may be empty', async () => {
    const [first, second] = pairOf(type);
    first.sendSync('');
    first.trySend(new Uint8Array(0));
    await first.send(new ArrayBuffer(0));
    first.sendSync('end');
    const got = [second.tryReceive(), second.receiveSync(), await second.receive(), second.tryReceive()];
    expect(got.map(String)).toEqual(['', '', '', 'end']);
    first.sendSync('');
    expect(second.tryReceive({ into: new Uint8Array(8) })?.data).toEqual(Buffer.alloc(0));
    const pending = second.receive();
    first.sendSync('');
    expect((await pending)?.data.length).toBe(0);
    expect(second.tryReceive()).toBeNull();
  });

  it.each([1, 2047, 2048, 2049, 65_535, 65_536, 65_537, 100_000, 150_000])(
    'of %i bytes come whole',
    async (size) => {
      const [first, second] = pairOf(type);
      const data = Buffer.from(Array.from({ length: size }, (_, i) => i * 7));
      first.sendSync(data);
      expect(second.tryReceive()?.data.equals(data)).toBe(true);
      const pending = second.receive();
      first.sendSync(data);
      expect((await pending)?.data.equals(data)).toBe(true);
      first.sendSync(data);
      expect(second.receiveSync()?.data.equals(data)).toBe(true);
    },
  );

  it('go into the memory that is given, and whole into another where that is too short', async () => {
    const [first, second] = pairOf(type);
    const into = new Uint8Array(16).fill(1);
    first.sendSync('0123');
    const fits = second.tryReceive({ into: into.subarray(4) });
    expect(String(fits)).toBe('0123');
    expect(fits?.data.buffer).toBe(into.buffer);
    expect(String.fromCharCode(...into.subarray(4, 8))).toBe('0123');
    for (const size of [16, 17, 5000, 70_000, 140_000]) {
      const data = Buffer.from(Array.from({ length: size }, (_, i) => i * 3));
      first.sendSync(data);
      expect(second.tryReceive({ into })?.data.equals(data), String(size)).toBe(true);
      const pending = second.receive({ into });
      first.sendSync(data);
      expect((await pending)?.data.equals(data), String(size)).toBe(true);
    }
  });

  it("are the receiver's own: later ones change nothing in them", () => {
    const [first, second] = pairOf(type);
    const sizes = [10, 3000, 40_000, 70_000, 3000, 60_000];
    const got: Buffer[] = [];
    for (const [index, size] of sizes.entries()) {
      first.sendSync(Buffer.alloc(size, index + 1));
      got.push((second.tryReceive() as SocketMessage).data);
    }
    for (const [index, size] of sizes.entries()) {
      expect(got[index]?.equals(Buffer.alloc(size, index + 1)), String(size)).toBe(true);
    }
  });

  it('above the send buffer are EMSGSIZE, and nothing is sent', async () => {
    const [first, second] = pairOf(type);
    first.sendBufferSize = 10_000;
    const long = Buffer.alloc(first.sendBufferSize + 1);
    expect(() => first.trySend(long)).toThrow(systemError('EMSGSIZE', 'send'));
    expect(() => first.sendSync(long)).toThrow(/raise sendBufferSize/);
    await expect(first.send(long)).rejects.toEqual(systemError('EMSGSIZE', 'send'));
    expect(second.tryReceive()).toBeNull();
    first.sendBufferSize = 40_000;
    first.sendSync(long);
    expect(second.tryReceive()?.data.length).toBe(long.length);
  });

  it('that grow while receives wait and queue come whole and in order', async () => {
    const [first, second] = pairOf(type);
    first.sendBufferSize = 4_000_000;
    const pending = Array.from({ length: 12 }, () => second.receive({ into: new Uint8Array(10) }));
    for (let i = 0; i < 12; i++) await first.send(Buffer.alloc(2 ** i * 30, i));
    for (const [i, message] of (await Promise.all(pending)).entries()) {
      expect(message?.data.equals(Buffer.alloc(2 ** i * 30, i)), String(i)).toBe(true);
    }
  });
});

describe('a message that is longer than what its receiver has found', () => {
  it('is EMSGSIZE, and never silently cut, where another process receives from the same socket', async () => {
    // Both receive; lengths alternate. Whoever looks at a short one and gets a long one must say so.
    const { sender, receiver } = datagrams();
    const source = `
      const socket = UnixDatagram.fromFd(4);
      const into = new Uint8Array(8);
      let told = 0;
      for (;;) {
        try {
          const { data } = await socket.receive({ into });
          if (String(data) === 'over') break;
          if (data.length !== 8 && data.length !== 100_000) throw new Error('cut to ' + data.length);
        } catch (error) {
          if (error.code !== 'EMSGSIZE') throw error;
          told++;
        }
      }
      await send(told);`;
    const peers = [0, 1].map(() => startPeer(source, { fds: [receiver.fd] }));
    const [short, long] = [Buffer.alloc(8), Buffer.alloc(100_000)];
    for (let i = 0; i < 3000; i++) await sender.send(i % 2 === 0 ? short : long);
    for (const _ of peers) await sender.send('over');
    for (const peer of peers) {
      await peer.next();
      expect(await peer.exited).toMatchObject({ code: 0, stderr: '' });
    }
  });
});
