/** Semaphores whose memory somebody truncates, or that never had any. */
import { truncateSync } from 'node:fs';
import { Semaphore, SharedMemory } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { semaphoreName, shmName } from '../support/names.js';
import { canMount, inNamespaces } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';

const truncated = expect.objectContaining({ code: 'ERR_INTERPROC_TRUNCATED' });

it('what was given to a truncated one nobody gets', async () => {
  const name = semaphoreName();
  const semaphore = Semaphore.create(name, { initial: 0 });
  onTestFinished(() => semaphore.close());
  truncateSync(`/dev/shm/sem.${name.slice(1)}`, 0);
  for (let round = 0; round < 3; round++) {
    expect(() => semaphore.release()).toThrow(truncated);
    expect(() => semaphore.tryAcquire()).toThrow(truncated);
    expect(() => semaphore.acquireSync({ timeout: 5 })).toThrow(truncated);
    await expect(semaphore.acquire()).rejects.toEqual(truncated);
    expect(() => semaphore.value).toThrow(truncated);
  }
});

it('none is made in memory that is not there any more', () => {
  const name = shmName();
  const memory = SharedMemory.create(name, { size: 8192 });
  onTestFinished(() => memory.close());
  truncateSync(`/dev/shm${name}`, 4096);
  expect(() => Semaphore.at(memory, 4096, { initial: 3 })).toThrow(truncated);
  const semaphore = Semaphore.at(memory, 0, { initial: 3 });
  expect(semaphore.value).toBe(3);
  semaphore.close();
});

it.skipIf(!canMount)('none is made in memory whose page can not be had', async () => {
  const peer = await runPeer(
    `
    import { writeFileSync } from 'node:fs';
    const memory = SharedMemory.create('/sparse', { size: 8192, reserve: false });
    try { writeFileSync('/dev/shm/rest', Buffer.alloc(1 << 20)); } catch {}
    assert.throws(() => Semaphore.at(memory, 4096, { initial: 3 }), { code: 'ERR_INTERPROC_NO_SPACE' });`,
    { wrapper: inNamespaces(['--mount'], 'mount -t tmpfs -o size=64k tmpfs /dev/shm') },
  );
  expect(peer).toMatchObject(clean);
});
