/**
 * A `Channel`, and Buffers on both sides: copied into the ring and out of it. In messages of 64 KiB: a message costs
 * next to nothing, and a Buffer of 2 MiB would cost new pages each time.
 */
import { openChannelReceiver, openChannelSender } from './channel.js';
import { chunkBytes, type Transport } from './transport.js';

const messageBytes = 64 << 10;

export const channelCopy: Transport = {
  id: 'channel-copy',
  name: 'Channel, with copy: send and receive',

  openSender: () =>
    openChannelSender(async (sender, { source }) => {
      const chunk = Buffer.allocUnsafe(chunkBytes);
      while (!source.ended) {
        const length = await source.read(chunk);
        for (let at = 0; at < length; at += messageBytes) {
          await sender.send(chunk.subarray(at, Math.min(at + messageBytes, length)));
        }
      }
    }),

  openReceiver: () =>
    openChannelReceiver(async (receiver, consume) => consume((await receiver.receive()) as Buffer)),
};
