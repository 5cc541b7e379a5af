/** A `Channel`, in place: the parent reads the file straight into the ring, and the child uses it there. */
import { openChannelReceiver, openChannelSender } from './channel.js';
import { chunkBytes, type Transport } from './transport.js';

export const channelInPlace: Transport = {
  id: 'channel-in-place',
  name: 'Channel, in place: claim and drain',

  openSender: () =>
    openChannelSender(async (sender, { source }) => {
      while (!source.ended) {
        const slot = await sender.claim(chunkBytes);
        slot.commit(await source.read(slot.bytes.subarray(slot.byteOffset, slot.byteOffset + chunkBytes)));
      }
    }),

  openReceiver: () =>
    openChannelReceiver((receiver, consume) =>
      receiver.drain(({ bytes, byteOffset, length }) =>
        consume(bytes.subarray(byteOffset, byteOffset + length)),
      ),
    ),
};
