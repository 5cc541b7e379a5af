/**
 * A few slots of shared memory, used again and again: the parent reads the file straight into them, and
 * only their offsets travel over `process.send`. The child gives each back by sending its offset.
 */
import { SharedMemory } from 'interproc';
import { chunkBytes, linkFd, type Transport } from './transport.js';

const slots = 4;

interface Filled {
  offset: number;
  length: number;
}

export const sharedRing: Transport = {
  id: 'shared-memory-ring',
  name: 'SharedMemory, ring of slots, offsets by process.send',

  openSender() {
    const memory = SharedMemory.anonymous({ size: slots * chunkBytes });
    const offsets = Array.from({ length: slots }, (_, slot) => slot * chunkBytes);
    return {
      link: memory.fd,
      async send({ source, mailbox }) {
        const free = [...offsets];
        const takeBack = async () => free.push((await mailbox.next()) as number);
        while (!source.ended) {
          if (free.length === 0) await takeBack();
          const offset = free.shift() as number;
          const length = await source.read(new Uint8Array(memory.buffer, offset, chunkBytes));
          mailbox.post({ offset, length } satisfies Filled);
        }
        while (free.length < slots) await takeBack();
      },
      close: () => memory.close(),
    };
  },

  openReceiver() {
    const memory = SharedMemory.fromFd(linkFd);
    return {
      async receive({ incoming, mailbox }) {
        while (!incoming.complete) {
          const { offset, length } = (await mailbox.next()) as Filled;
          incoming.consume(new Uint8Array(memory.buffer, offset, length));
          mailbox.post(offset);
        }
      },
    };
  },
};
