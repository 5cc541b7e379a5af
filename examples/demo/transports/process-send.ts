/**
 * What Node offers for talking to a child: `child.send` with Buffers. With 'advanced' serialization (the
 * structured clone algorithm), which is much the best for them: 'json' would write each byte as a decimal number.
 */
import { chunkBytes, type Transport } from './transport.js';

export const processSend: Transport = {
  id: 'process-send',
  name: "process.send, Buffers, 'advanced' serialization",

  openSender: () => ({
    link: 'ignore',
    async send({ source, mailbox }) {
      // One buffer is enough: send() serializes, which copies, before it returns.
      const chunk = Buffer.allocUnsafe(chunkBytes);
      let sent = Promise.resolve();
      while (!source.ended) {
        // While one chunk travels, the next is read.
        const [length] = await Promise.all([source.read(chunk), sent]);
        sent = mailbox.send(chunk.subarray(0, length));
      }
      await sent;
    },
    close() {},
  }),

  openReceiver: () => ({
    async receive({ incoming, mailbox }) {
      while (!incoming.complete) incoming.consume((await mailbox.next()) as Uint8Array);
    },
  }),
};
