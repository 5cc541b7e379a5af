/** Sets that are larger than the indices of operations reach, as sysctl kernel.sem can allow. */
import { expect, it } from 'vitest';
import { canSetIpcLimits, inNamespaces } from '../support/namespaces.js';
import { clean, runPeer } from '../support/peer.js';

const python = `python3 -c '${'import ctypes; print(ctypes.CDLL(None).semget(0, 300000, 0o1600))'}'`;

it.skipIf(!canSetIpcLimits)('a set of 300,000 is not read into memory for 65,536', async () => {
  const wrapper = inNamespaces(['--ipc'], 'echo 400000 102400000 500 32000 > /proc/sys/kernel/sem');
  const peer = await runPeer(
    `
    import { execSync } from 'node:child_process';
    const set = SysvSemaphoreSet.fromId(Number(execSync(args[0])));
    assert.equal(set.count, 300_000);
    for (let round = 0; round < 20; round++) assert.throws(() => set.getAll(), { code: 'EOVERFLOW', syscall: 'semctl' });
    assert.ok(set.tryOp({ index: 65_535, delta: 3 }));
    assert.equal(set.get(65_535), 3);`,
    { args: [python], wrapper },
  );
  expect(peer).toMatchObject(clean);
});
