/** Every type of socket between two processes, on event loops and blocking: nothing is lost, torn or out of order. */
import { UnixDatagram, UnixStream } from 'interproc';
import { describe, expect, it } from 'vitest';
import { clean, startPeer } from '../support/peer.js';
import { abstractName, closing, connecting, pairOf, types } from '../support/sockets.js';

const rounds = 20_000;

/** Runs in the peer: it gives back what comes, until the end or an empty message. */
const echo = {
  async: `
    for (;;) {
      const message = await socket.receive();
      if (message === undefined || message.data.length === 0) break;
      await (socket instanceof UnixStream ? socket.write(message.data) : socket.send(message.data));
    }`,
  sync: `
    for (;;) {
      const message = socket.receiveSync();
      if (message === undefined || message.data.length === 0) break;
      socket instanceof UnixStream ? socket.writeSync(message.data) : socket.sendSync(message.data);
    }`,
};

const fromFd =
  'const socket = { datagram: UnixDatagram, seqpacket: UnixSeqpacket, stream: UnixStream }[args[0]].fromFd(4);';

describe.each(types)('%s sockets', (type) => {
  it(`play ping-pong ${rounds} times between two event loops`, async () => {
    const [ours, theirs] = pairOf(type);
    const peer = startPeer(fromFd + echo.async, { args: [type], fds: [theirs.fd] });
    theirs.close();
    const ball = Buffer.alloc(64);
    for (let i = 0; i < rounds; i++) {
      ball.writeInt32LE(i);
      await (ours instanceof UnixStream ? ours.write(ball) : ours.send(ball));
      const { data } = (await ours.receive()) as { data: Buffer };
      if (!data.equals(ball)) expect.fail(`round ${i} came back as another`);
    }
    if (ours instanceof UnixDatagram) ours.sendSync('');
    ours.close();
    expect(await peer.exited).toMatchObject(clean);
  });

  it(`play ping-pong ${rounds} times between two threads that block`, async () => {
    const [ours, theirs] = pairOf(type);
    const peer = startPeer(fromFd + echo.sync, { args: [type], fds: [theirs.fd] });
    theirs.close();
    const ball = Buffer.alloc(64);
    for (let i = 0; i < rounds; i++) {
      ball.writeInt32LE(i);
      ours instanceof UnixStream ? ours.writeSync(ball) : ours.sendSync(ball);
      const { data } = ours.receiveSync() as { data: Buffer };
      if (!data.equals(ball)) expect.fail(`round ${i} came back as another`);
    }
    if (ours instanceof UnixDatagram) ours.sendSync('');
    ours.close();
    expect(await peer.exited).toMatchObject(clean);
  });

  it(`carry ${rounds} messages one way, whoever is slower`, async () => {
    for (const way of ['async', 'sync']) {
      const [ours, theirs] = pairOf(type);
      const source = `${fromFd}
        const sync = args[1] === 'sync';
        const data = Buffer.alloc(100);
        for (let i = 0; i < args[2]; i++) {
          data.writeInt32LE(i);
          if (sync) socket instanceof UnixStream ? socket.writeSync(data) : socket.sendSync(data);
          else await (socket instanceof UnixStream ? socket.write(data) : socket.send(data));
        }`;
      const peer = startPeer(source, { args: [type, way, rounds], fds: [theirs.fd] });
      theirs.close();
      const data = Buffer.alloc(100);
      let rest: Buffer = Buffer.alloc(0);
      for (let i = 0; i < rounds; ) {
        const message = await ours.receive();
        rest = Buffer.concat([rest, (message as { data: Buffer }).data]);
        for (; rest.length >= 100; rest = rest.subarray(100), i++) {
          data.writeInt32LE(i);
          if (!rest.subarray(0, 100).equals(data)) expect.fail(`message ${i} is another`);
        }
      }
      expect(await peer.exited).toMatchObject(clean);
      if (!(ours instanceof UnixDatagram)) expect(await ours.receive()).toBeUndefined();
    }
  });
});

describe.each(connecting)('many clients of a server of $type sockets', ({ Server, Socket }) => {
  it('are served at the same time, in two processes', async () => {
    const address = abstractName();
    const peer = startPeer(
      `const server = ${Server.name}.listen(args[0]);
       await send('there');
       const serve = async (socket) => { ${echo.async} socket.close(); };
       const served = [];
       for await (const socket of server) if (served.push(serve(socket)) === 50) break;
       await Promise.all(served);
       server.close();`,
      { args: [address] },
    );
    await peer.next();
    const clients = Array.from({ length: 50 }, async (_, i) => {
      const socket = closing(await Socket.connect(address));
      for (let round = 0; round < 100; round++) {
        const text = `${i} ${round}`;
        await (socket instanceof UnixStream ? socket.write(text) : socket.send(text));
        expect(String(await socket.receive())).toBe(text);
      }
      socket.close();
    });
    await Promise.all(clients);
    expect(await peer.exited).toMatchObject(clean);
  });
});
