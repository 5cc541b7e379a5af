/** Reads inside reads, of one thread, while somebody else waits to write. */
import { RwLock, SharedMemory } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { startPeer } from '../support/peer.js';

it('a blocking read of a thread that reads, while a writer waits for it, is refused at once', async () => {
  const memory = SharedMemory.anonymous({ size: RwLock.byteLength });
  onTestFinished(() => memory.close());
  const lock = RwLock.at(memory, 0);
  const outer = lock.readSync();
  lock.readSync().unlock(); // nobody waits yet

  const writer = startPeer(
    `const guard = await RwLock.at(SharedMemory.fromFd(4), 0).write();
     guard.unlock();`,
    { fds: [memory.fd] },
  );
  await expect.poll(() => lock.writer, { timeout: 30_000 }).not.toBe(null);
  expect(lock.tryRead()).toBe(null);
  expect(() => lock.readSync()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_DEADLOCK' }));
  expect(() => lock.readSync({ timeout: 10_000 })).toThrow(
    expect.objectContaining({ code: 'ERR_INTERPROC_DEADLOCK' }),
  );
  outer.unlock();
  expect(await writer.exited).toMatchObject({ code: 0, stderr: '' });
  lock.readSync().unlock();
});
