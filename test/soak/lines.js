/**
 * The transports of the soak: how each of its two sides opens a line to the other, over which messages of one size go
 * both ways. Who asks opens it when the one who answers is there.
 */
import { join } from 'node:path';
import {
  Fifo,
  PipeReader,
  PipeWriter,
  UnixDatagram,
  UnixSeqpacket,
  UnixSeqpacketServer,
  UnixStream,
  UnixStreamServer,
} from 'interproc';

export const messageSize = 64;
/** Of the first of two pipes that a side has inherited: the one that it reads. The other follows. */
export const inheritedFd = 4;

/**
 * @typedef {{ send(message: Uint8Array): Promise<void>, receive(): Promise<Uint8Array | undefined>, close(): void }} Line
 * @typedef {{ asks: boolean, folder: string, there: () => void }} Setup
 */

/**
 * What comes in pieces, a message at a time.
 *
 * @param {{ read(options: { into: Uint8Array }): Promise<Uint8Array | undefined> }} source
 * @returns {Line['receive']}
 */
function whole(source) {
  const message = new Uint8Array(messageSize);
  return async () => {
    for (let have = 0; have < messageSize; ) {
      const chunk = await source.read({ into: message.subarray(have) });
      if (chunk === undefined) return undefined;
      have += chunk.length;
    }
    return message;
  };
}

/** @param {{ receive(): Promise<{ data: Uint8Array } | undefined> }} source @returns {Line['receive']} */
const messages = (source) => async () => (await source.receive())?.data;

/** @param {PipeReader} reader @param {PipeWriter} writer @returns {Line} */
function overPipes(reader, writer) {
  return {
    send: (message) => writer.write(message),
    receive: whole(reader),
    close() {
      reader.close();
      writer.close();
    },
  };
}

/** @type {Record<string, (setup: Setup) => Line | Promise<Line>>} */
export const lines = {
  pipe({ there }) {
    there();
    return overPipes(PipeReader.fromFd(inheritedFd), PipeWriter.fromFd(inheritedFd + 1));
  },

  async fifo({ asks, folder, there }) {
    const [mine, others] = [asks ? 'answers' : 'questions', asks ? 'questions' : 'answers'];
    there();
    const [reader, writer] = await Promise.all([
      Fifo.openReader(join(folder, mine)),
      Fifo.openWriter(join(folder, others)),
    ]);
    return overPipes(reader, writer);
  },

  datagram({ asks, folder, there }) {
    const socket = UnixDatagram.bind(join(folder, asks ? 'asks' : 'answers'));
    const other = join(folder, asks ? 'answers' : 'asks');
    there();
    return {
      send: (message) => socket.sendTo(message, other),
      receive: messages(socket),
      close: () => socket.close(),
    };
  },

  async seqpacket({ asks, folder, there }) {
    const address = join(folder, 'server');
    const connect = () => UnixSeqpacket.connect(address);
    const socket = await (asks ? connect() : accepted(UnixSeqpacketServer.listen(address), there));
    return {
      send: (message) => socket.send(message),
      receive: messages(socket),
      close: () => socket.close(),
    };
  },

  async stream({ asks, folder, there }) {
    const address = join(folder, 'server');
    const connect = () => UnixStream.connect(address);
    const socket = await (asks ? connect() : accepted(UnixStreamServer.listen(address), there));
    return { send: (message) => socket.write(message), receive: whole(socket), close: () => socket.close() };
  },
};

/**
 * @template Socket
 * @param {{ accept(): Promise<Socket>, close(): void }} server
 * @param {() => void} there
 */
async function accepted(server, there) {
  there();
  try {
    return await server.accept();
  } finally {
    server.close();
  }
}
