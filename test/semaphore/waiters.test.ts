/** What is left in the words of a semaphore when those who wait go: the permits that they had taken, and their count. */
import { MappedFile, Semaphore } from 'interproc';
import { expect, it, onTestFinished } from 'vitest';
import { semaphoreName } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';
import { withWorkers } from '../support/workers.js';

/** Busy until a permit of `semaphore` is taken, by a thread: the event loop hears nothing of it meanwhile. */
const untilTaken = (semaphore: Semaphore) => {
  while (semaphore.value > 0);
};

it('a permit that a call had taken when its semaphore was closed is given back', async () => {
  const name = semaphoreName();
  const [one, other] = [Semaphore.create(name, { initial: 0 }), Semaphore.open(name)];
  onTestFinished(() => other.close());
  const file = MappedFile.open(`/dev/shm/sem.${name.slice(1)}`);
  onTestFinished(() => file.close());
  const words = new Int32Array(file.buffer);
  const waiting = one.acquire();
  while (words[1] === 0) await new Promise(setImmediate); // it sleeps
  other.release();
  untilTaken(other);
  one.close();
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  expect([...words.subarray(0, 2)]).toEqual([1, 0]);
});

it.each([
  'semaphore.acquire()',
  'semaphore.acquire({ timeout: 60_000 })',
  'semaphore.unref().acquire()',
  'semaphore.acquireSync()',
])('a worker that is terminated in %s is counted no more', async (call) => {
  const source = `${withWorkers}
    const semaphore = Semaphore.create(args[0], { initial: 0 });
    const words = new Int32Array(MappedFile.open('/dev/shm/sem.' + args[0].slice(1)).buffer);
    for (let round = 0; round < 5; round++) {
      const worker = startWorker("const semaphore = Semaphore.open(workerData); setInterval(() => {}, 1e6); ${call};", args[0]);
      while (words[1] === 0) await new Promise((later) => setTimeout(later, 1));
      await worker.terminate();
      assert.deepEqual([...words.subarray(0, 2)], [0, 0]);
    }`;
  expect(await runPeer(source, { args: [semaphoreName()] })).toMatchObject(clean);
});

it('a permit that a worker had taken when it was terminated, before it was told, is given back', async () => {
  const source = `${withWorkers}
    const semaphore = Semaphore.create(args[0], { initial: 0 });
    const words = new Int32Array(MappedFile.open('/dev/shm/sem.' + args[0].slice(1)).buffer);
    for (let round = 0; round < 5; round++) {
      const worker = startWorker(
        \`const semaphore = Semaphore.open(workerData);
        const { MappedFile } = await import('interproc');
        const words = new Int32Array(MappedFile.open('/dev/shm/sem.' + workerData.slice(1)).buffer);
        semaphore.acquire();
        while (words[1] === 0) await new Promise((later) => setTimeout(later, 1));
        say();
        for (;;);\`,
        args[0],
      );
      await reply(worker);
      semaphore.release();
      while (semaphore.value > 0);
      await worker.terminate();
      assert.deepEqual([...words.subarray(0, 2)], [1, 0]);
      semaphore.tryAcquire();
    }`;
  expect(await runPeer(source, { args: [semaphoreName()] })).toMatchObject(clean);
});
