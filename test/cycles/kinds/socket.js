import { closeSync } from 'node:fs';
import {
  socketPair,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketServer,
  UnixStream,
  UnixStreamServer,
} from 'interproc';
import { aborted, close, closedInWait, timedOut, turn } from './place.js';

/** @template T @param {T | null | undefined} object @returns {T} */
function had(object) {
  if (object === null || object === undefined) throw new Error('nothing was there');
  return object;
}

/** @type {Record<string, import('./place.js').Kind>} */
export const socketKinds = {
  UnixDatagram:
    ({ path }) =>
    (drop) => {
      const receiver = UnixDatagram.bind(path);
      const sender = UnixDatagram.create();
      sender.connect(path).trySend('x');
      sender.trySendTo('y', path);
      had(receiver.tryReceive());
      if (drop) UnixDatagram.unlink(path);
      close(drop, receiver, sender);
    },
  UnixSeqpacket:
    ({ path }) =>
    (drop) => {
      const server = UnixSeqpacketServer.listen(path);
      const client = had(UnixSeqpacket.tryConnect(path));
      const accepted = had(server.tryAccept());
      client.trySend('x');
      had(accepted.tryReceive());
      if (drop) UnixSeqpacketServer.unlink(path);
      close(drop, server, client, accepted);
    },
  UnixStream:
    ({ path }) =>
    (drop) => {
      const server = UnixStreamServer.listen(path);
      const client = had(UnixStream.tryConnect(path));
      const accepted = had(server.tryAccept());
      client.tryWrite('x');
      had(accepted.tryRead());
      if (drop) UnixStreamServer.unlink(path);
      close(drop, server, client, accepted);
    },
  'servers that are waited for': ({ path }) => {
    const address = `\0${path}`;
    return async (drop) => {
      const server = UnixStreamServer.listen(address, { backlog: 1 });
      await aborted((options) => server.accept(options));
      const clients = [];
      for (let next = UnixStream.tryConnect(address); next !== null; next = UnixStream.tryConnect(address))
        clients.push(next);
      await aborted((options) => UnixStream.connect(address, options));
      const accepted = await server.accept();
      while (server.tryAccept() !== null);
      await closedInWait(server, () => server.accept());
      close(drop, accepted, ...clients);
    };
  },
  socketPair: () => (drop) => {
    for (const type of /** @type {const} */ (['datagram', 'seqpacket', 'stream'])) {
      const [one, other] = socketPair(type);
      if (one instanceof UnixStream) one.tryWrite('x');
      else one.trySend('x');
      had(other.tryReceive());
      close(drop, one, other);
    }
  },
  'sockets from descriptors': () => {
    const [datagram] = socketPair('datagram');
    const [stream] = socketPair('stream');
    const [seqpacket] = socketPair('seqpacket');
    return (drop) => {
      const opened = [
        UnixDatagram.fromFd(datagram.fd),
        UnixStream.fromFd(stream.fd),
        UnixSeqpacket.fromFd(seqpacket.fd),
      ];
      for (const each of opened) each.tryReceive();
      close(drop, ...opened);
    };
  },
  'sockets that are waited for': () => async (drop) => {
    const [one, other] = socketPair('stream');
    await aborted(
      (options) => one.read(options),
      (options) => one.receive(options),
      (options) => one.write(Buffer.alloc(1_000_000), options),
    );
    if (drop) await timedOut(() => one.read({ timeout: 0.01 }));
    await closedInWait(one, () => one.receive());
    close(drop, other);
    const [datagram, rest] = socketPair('datagram');
    await aborted((options) => datagram.receive(options));
    close(drop, datagram, rest);
  },
  'sockets as streams': () => async (drop) => {
    const [one, other] = socketPair('stream');
    const duplex = one.toDuplex().resume();
    duplex.write('x');
    const web = other.toWeb();
    await web.readable.getReader().read();
    duplex.destroy();
    if (!drop) await web.writable.close().catch(() => {});
    if (!drop) other.close();
    await turn();
  },
  ReceivedFd: () => {
    const [one, other] = socketPair('seqpacket', { maxFds: 2 });
    return (drop) => {
      one.trySend('x', { fds: [one, other] });
      const message = had(other.tryReceive());
      const [first] = message.fds;
      if (!drop) closeSync(had(first).detach());
      close(drop, message);
    };
  },
  'descriptors nobody receives': () => (drop) => {
    const [one, other] = socketPair('datagram');
    one.trySend('x', { fds: [one, other] });
    close(drop, one, other);
  },
};
