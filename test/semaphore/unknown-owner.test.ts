/** Owners whom the user namespace of a process doesn't know, as in containers without root. */
import { expect, it } from 'vitest';
import { canSetIpcLimits } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';

it.skipIf(!canSetIpcLimits)('openOrCreate of a set for one of them fails', async () => {
  const peer = await runPeer(
    `assert.throws(() => SysvSemaphoreSet.openOrCreate(77, { count: 1, uid: 12_345 }), { code: 'EINVAL', syscall: 'semctl' });
     assert.deepEqual(SysvSemaphoreSet.list(), []);`,
    { wrapper: ['unshare', '--map-root-user', '--ipc'] },
  );
  expect(peer).toMatchObject(clean);
});
