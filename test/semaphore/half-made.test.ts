/** Sets that their makers have left half-made: who clears them away. */
import { SysvSemaphoreSet } from 'interproc';
import { expect, it } from 'vitest';
import { setKey } from '../support/names.js';
import { runPeer, startPeer } from '../support/peer.js';

/** The id of a set that is half-made for good. */
async function halfMade(key: number): Promise<number> {
  const failing = { args: [key], env: { INTERPROC_FAILPOINT: 'semaphore-set.made' } };
  const maker = await runPeer('SysvSemaphoreSet.create(args[0], { count: 1 });', failing);
  expect(maker).toMatchObject({ signal: 'SIGKILL' });
  return SysvSemaphoreSet.list().find((set) => set.key === key)?.id as number;
}

it('one that got the key while somebody waited for the one before is not cleared with that', async () => {
  const key = setKey();
  const first = await halfMade(key);
  const opener = startPeer(
    `
    await send('waits');
    const set = SysvSemaphoreSet.openOrCreate(args[0], { count: 1, initial: 7 });
    await send({ id: set.id, created: set.created });`,
    { args: [key] },
  );
  expect(await opener.next()).toBe('waits');
  // It waits for the first one by then, for 5 seconds, and does not see how that is replaced.
  await new Promise((later) => setTimeout(later, 500));
  opener.process.kill('SIGSTOP');
  SysvSemaphoreSet.remove(first);
  const second = await halfMade(key);
  opener.process.kill('SIGCONT');
  await new Promise((later) => setTimeout(later, 5500));
  expect(SysvSemaphoreSet.list().map(({ id }) => id)).toContain(second);
  SysvSemaphoreSet.remove(second);
  expect(await opener.next()).toMatchObject({ created: true });
  expect(SysvSemaphoreSet.openSync(key).getAll()).toEqual([7]);
});
