/** Who is at the other end, and who sent a message, as the kernel knows it; and the sizes of buffers. */
import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import { type SocketMessage, UnixDatagram, UnixSeqpacket } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failing, misuse, type Wrong } from '../support/failures.js';
import { isRoot } from '../support/namespaces.js';
import { clean, startPeer } from '../support/peer.js';
import { abstractName, closing, connecting, pairOf, socketPath, trySend, types } from '../support/sockets.js';

const own = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
const nobody = isRoot ? { uid: 65_534, gid: 65_534 } : { uid: own.uid, gid: own.gid };

describe('the credentials of a peer', () => {
  it.each(types)('of a %s pair are those of who made it', (type) => {
    const [first, second] = pairOf(type);
    expect(first.peerCredentials).toEqual(own);
    expect(second.peerCredentials).toEqual(own);
  });

  it('are unknown of a datagram socket that is no pair', () => {
    const receiver = closing(UnixDatagram.bind());
    expect(receiver.peerCredentials).toBeUndefined();
    const sender = closing(UnixDatagram.create()).connect(receiver.address as string);
    expect(sender.peerCredentials).toBeUndefined();
  });

  it.each(connecting)('are of who connected, and of who listens: $type', async ({ Server, Socket }) => {
    const path = socketPath();
    chmodSync(dirname(path), 0o755);
    const server = closing(Server.listen(path, { mode: 0o666 }));
    const peer = startPeer(
      `${failing}
       becomeNobody();
       const socket = await ${Socket.name}.connect(args[0]);
       assert.deepEqual(socket.peerCredentials, args[1]);
       await send('connected');
       await socket.receive();`,
      { args: [path, own] },
    );
    const accepted = closing(await server.accept());
    expect(accepted.peerCredentials).toEqual({ pid: peer.process.pid, ...nobody });
    await peer.next();
    accepted.close();
    expect(await peer.exited).toMatchObject(clean);
  });

  it('stay those of a process that is gone', async () => {
    const address = abstractName();
    const server = closing(connecting[0].Server.listen(address));
    const peer = startPeer('await UnixStream.connect(args[0]);', { args: [address] });
    const accepted = closing(await server.accept());
    await peer.exited;
    expect(accepted.peerCredentials).toEqual({ ...own, pid: peer.process.pid });
  });
});

describe('the credentials of a message', () => {
  it.each(types)("are its sender's, where they are asked for: %s", async (type) => {
    const [first, second] = pairOf(type, { credentials: true });
    trySend(first, 'x');
    expect((second.tryReceive() as SocketMessage).credentials).toEqual(own);
    const pending = second.receive();
    trySend(first, 'y', { fds: [first] });
    const message = (await pending) as SocketMessage;
    expect(message.credentials).toEqual(own);
    expect(message.fdsTruncated).toBe(true);
    const [plain, other] = pairOf(type);
    trySend(plain, 'x');
    expect((other.tryReceive() as SocketMessage).credentials).toBeNull();
  });

  it.each(types)('tell each process that sends over the same socket apart: %s', async (type) => {
    const [first, second] = pairOf(type, { credentials: true });
    const source = `${failing}
      const classes = { datagram: UnixDatagram, seqpacket: UnixSeqpacket, stream: UnixStream };
      const socket = classes[args[0]].fromFd(4);
      const say = (text) => (args[0] === 'stream' ? socket.writeSync(text) : socket.sendSync(text));
      say('before');
      becomeNobody();
      say('after');`;
    const peer = startPeer(source, { args: [type], fds: [first.fd] });
    expect(await peer.exited).toMatchObject(clean);
    trySend(first, 'own');
    const got: unknown[] = [];
    for (let message = second.tryReceive(); message; message = second.tryReceive()) {
      got.push([String(message), message.credentials]);
    }
    const { pid } = peer.process;
    expect(got).toEqual([
      ['before', { ...own, pid }],
      ['after', { pid, ...nobody }],
      ['own', own],
    ]);
  });

  it('come with what was sent before the connection was accepted', async () => {
    for (const { Server, Socket } of connecting) {
      const address = abstractName();
      const server = closing(Server.listen(address, { credentials: true, maxFds: 1 }));
      const client = closing(Socket.connectSync(address));
      trySend(client, 'early', { fds: [client] });
      const message = (await closing(await server.accept()).receive()) as SocketMessage;
      expect(message.credentials).toEqual(own);
      expect(message.fds).toHaveLength(1);
      message.close();
    }
  });

  it('come to a bound socket from senders without a name', async () => {
    const receiver = closing(UnixDatagram.bind(abstractName(), { credentials: true }));
    const peer = startPeer(
      `${failing}
       becomeNobody();
       UnixDatagram.create().sendToSync('x', args[0]);`,
      { args: [receiver.address] },
    );
    const message = await receiver.receive();
    expect(message.credentials).toEqual({ pid: peer.process.pid, ...nobody });
    expect(message.address).toBeNull();
    expect(await peer.exited).toMatchObject(clean);
  });

  it('come with 253 descriptors', () => {
    const [first, second] = pairOf('seqpacket', { credentials: true, maxFds: 253 });
    first.sendSync('', { fds: Array(253).fill(first) });
    const message = second.tryReceive() as SocketMessage;
    expect(message).toMatchObject({ credentials: own, fdsTruncated: false });
    expect(message.fds).toHaveLength(253);
    message.close();
  });

  it('come to a socket by its descriptor where that asks for them', () => {
    const [first, second] = pairOf('seqpacket');
    const again = closing(UnixSeqpacket.fromFd(second.fd, { credentials: true }));
    first.sendSync('x');
    expect(again.tryReceive()?.credentials).toEqual(own);
  });
});

describe('the buffers of a socket', () => {
  it.each(types)('are as large as they are set, which the kernel doubles: %s', (type) => {
    const [socket] = pairOf(type);
    for (const key of ['sendBufferSize', 'receiveBufferSize'] as const) {
      expect(socket[key]).toBeGreaterThan(4096);
      socket[key] = 50_000;
      expect(socket[key]).toBe(100_000);
      socket[key] = 1;
      expect(socket[key]).toBeLessThan(10_000);
      for (const wrong of ['1', null, undefined, {}, 1n] as Wrong[]) {
        expect(() => void (socket[key] = wrong)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', key));
      }
      for (const wrong of [0, -1, 0.5, Number.NaN, 2 ** 31]) {
        expect(() => void (socket[key] = wrong)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', key));
      }
    }
  });

  it('bound what is on its way', () => {
    const [small] = pairOf('stream');
    const [large] = pairOf('stream');
    small.sendBufferSize = 5000;
    large.sendBufferSize = 100_000;
    const data = Buffer.alloc(1_000_000);
    const [few, many] = [small.tryWrite(data) as number, large.tryWrite(data) as number];
    expect(few).toBeLessThan(many);
    expect(many).toBeLessThan(data.length);
  });
});
