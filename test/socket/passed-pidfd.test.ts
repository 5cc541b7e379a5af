/** Sockets from elsewhere may ask the kernel for more than ours do. */
import { spawnSync } from 'node:child_process';
import { UnixDatagram } from 'interproc';
import { expect, it } from 'vitest';
import { openDescriptors } from '../support/leaks.js';
import { closingFd, pairOf } from '../support/sockets.js';

/** Sets an option of a socket, which other libraries do. */
function setOption(fd: number, option: number): boolean {
  const script = `import socket; socket.socket(fileno=3).setsockopt(socket.SOL_SOCKET, ${option}, 1)`;
  return spawnSync('python3', ['-c', script], { stdio: ['ignore', 'ignore', 'ignore', fd] }).status === 0;
}

it('closes the descriptor of its sender that comes with each message, where another asked for those', async (context) => {
  const passPidfd = 76; // since Linux 6.5
  const [one, other] = pairOf('datagram', { maxFds: 1 });
  if (!setOption(one.fd, passPidfd)) return context.skip();
  const before = await openDescriptors();
  for (let message = 0; message < 5; message++) {
    other.trySend('x', { fds: [closingFd(UnixDatagram.create().detach())] });
    const { fds, fdsTruncated } = one.tryReceive() ?? {};
    expect(fdsTruncated).toBe(false);
    expect(fds).toHaveLength(1);
    fds?.[0]?.close();
  }
  expect((await openDescriptors()).length).toBe(before.length + 5);
});
