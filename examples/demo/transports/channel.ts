/** What both rows over a `Channel` share: the ring, which is anonymous and reaches the child as a descriptor. */
import { Channel, type Receiver as ChannelReceiver, type Sender as ChannelSender } from 'interproc';
import { chunkBytes, linkFd, type ParentSide, type Receiver, type Sender } from './transport.js';

// A message may have half of the ring, less 8 bytes: while one is read, the next has room.
const capacity = 4 * chunkBytes;

export function openChannelSender(send: (sender: ChannelSender, side: ParentSide) => Promise<void>): Sender {
  const channel = Channel.anonymous({ capacity });
  const sender = channel.sender();
  return {
    link: channel.fd,
    send: (side) => send(sender, side),
    close: () => channel.close(),
  };
}

export function openChannelReceiver(
  receive: (receiver: ChannelReceiver, consume: (bytes: Uint8Array) => void) => Promise<unknown>,
): Receiver {
  const receiver = Channel.fromFd(linkFd).receiver();
  return {
    async receive({ incoming }) {
      while (!incoming.complete) await receive(receiver, (bytes) => incoming.consume(bytes));
      receiver.tryReceive(); // there is nothing, and that finishes the last one
    },
  };
}
