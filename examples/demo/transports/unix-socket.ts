/** `node:net` over a pair of connected UNIX sockets, which is what `stdio: 'pipe'` gives on Linux. */
import { Socket } from 'node:net';
import { chunkBytes, linkFd, type Transport } from './transport.js';

export const unixSocket: Transport = {
  id: 'unix-socket',
  name: 'net, UNIX socket, with back-pressure',

  openSender: () => ({
    link: 'pipe',
    async send({ source, socket }) {
      // Two, in turns: while one is written, the next is read.
      const chunks = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)] as const;
      let sent = Promise.resolve();
      for (let turn: 0 | 1 = 0; !source.ended; turn = turn === 0 ? 1 : 0) {
        const chunk = chunks[turn];
        const [length] = await Promise.all([source.read(chunk), sent]);
        sent = write(socket, chunk.subarray(0, length));
      }
      await sent;
    },
    close() {},
  }),

  openReceiver() {
    const socket = new Socket({ fd: linkFd, readable: true, writable: false });
    return {
      receive: ({ incoming }) =>
        new Promise((resolve) => {
          const consume = (bytes: Uint8Array) => {
            incoming.consume(bytes);
            if (!incoming.complete) return;
            // The next round's bytes may come before the message that announces it.
            socket.pause().off('data', consume);
            resolve();
          };
          socket.on('data', consume).resume();
        }),
    };
  },
};

/** Resolves when the operating system has taken it all: the back-pressure of the stream. */
function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
