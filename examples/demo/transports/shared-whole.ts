/** Shared memory as large as the file: the parent reads the file straight into it, the child uses it there. */
import { SharedMemory } from 'interproc';
import { chunkBytes, linkFd, type Transport } from './transport.js';

export const sharedWhole: Transport = {
  id: 'shared-memory',
  name: 'SharedMemory, handed over whole',

  openSender(bytes) {
    const memory = SharedMemory.anonymous({ size: bytes });
    return {
      link: memory.fd,
      async send({ source, mailbox }) {
        const file = new Uint8Array(memory.buffer);
        // One read could do it; several let the progress be seen.
        while (!source.ended) await source.read(file.subarray(source.position, source.position + chunkBytes));
        mailbox.post('written');
      },
      close: () => memory.close(),
    };
  },

  openReceiver() {
    const memory = SharedMemory.fromFd(linkFd);
    return {
      async receive({ incoming, mailbox }) {
        await mailbox.next();
        incoming.consume(new Uint8Array(memory.buffer));
      },
    };
  },
};
