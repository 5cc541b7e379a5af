/** Workers that wait on semaphores and sets, and end or are terminated meanwhile. */
import { Semaphore } from 'interproc';
import { describe, expect, it } from 'vitest';
import { clean, runPeer } from '../support/peer.js';
import { makeSemaphore, makeSet } from '../support/sysv.js';
import { execArgv, expectNothingLeft, withWorkers } from '../support/workers.js';

describe('a worker that is terminated', () => {
  const semaphore = "const semaphore = Semaphore.open('/' + workerData.split('.')[1]);";
  const set = 'const set = SysvSemaphoreSet.fromId(parseInt(workerData));';
  // Also where nothing that is waited for keeps it alive.
  const forever = 'setInterval(() => {}, 1e6); await new Promise(() => {});';
  const calls = {
    'in acquire': `${semaphore} say(); await semaphore.acquire();`,
    'in acquireSync': `${semaphore} say(); semaphore.acquireSync();`,
    'in many acquires': `const memory = SharedMemory.anonymous({ size: 8192 }); for (let at = 0; at < 200; at++) Semaphore.at(memory, 32 * at, { initial: 0 }).acquire(); memory.close(); say(); ${forever}`,
    'in op': `${set} say(); await set.op({ index: 0, delta: -1 });`,
    'in opSync': `${set} say(); set.opSync({ index: 0, delta: -1 });`,
    'in many ops': `${set} for (let delta = 1; delta < 20; delta++) { set.op({ index: 0, delta: -delta }); set.op({ index: 0, delta: -delta }, { timeout: 1e6 }); } say(); ${forever}`,
  };

  it.each(Object.entries(calls))('leaves no descriptor and no thread: %s', async (_, call) => {
    const { id } = makeSet();
    const name = makeSemaphore().name as string;
    await expectNothingLeft(call, `${id}.${name.slice(1)}.`);
  });

  it.each(['open', 'openSync'])('in %s of a set that nobody fills in is gone', async (call) => {
    // What semget alone leaves looks so, with this mode.
    const source = `${withWorkers}
      const key = args[0];
      const { spawnSync } = await import('node:child_process');
      const made = spawnSync(process.execPath, ['--input-type=module', '-e', "import { SysvSemaphoreSet } from 'interproc'; SysvSemaphoreSet.create(" + key + ', { count: 1 });'], { env: { INTERPROC_FAILPOINT: 'semaphore-set.made' } });
      assert.equal(made.signal, 'SIGKILL');
      try {
        const worker = startWorker('say(); await SysvSemaphoreSet.' + args[1] + '(workerData);', key);
        await reply(worker);
        await worker.terminate();
        assert.equal(SysvSemaphoreSet.tryOpen(key), null);
      } finally {
        SysvSemaphoreSet.remove(SysvSemaphoreSet.list().find((each) => each.key === key).id);
      }`;
    const key = 0x7e57_0000 + (process.pid & 0xffff);
    expect(await runPeer(source, { args: [key, call], execArgv })).toMatchObject(clean);
  });

  it('takes no permit any more, and wakes nobody in vain', async () => {
    const keeper = makeSemaphore();
    const source = `${withWorkers}
      const semaphore = Semaphore.open(args[0]);
      for (const call of ['semaphore.acquire(); say(); await semaphore.acquire();', 'say(); semaphore.acquireSync();']) {
        for (let round = 0; round < 5; round++) {
          const worker = startWorker('const semaphore = Semaphore.open(workerData);' + call, args[0]);
          await reply(worker);
          for (let turns = 0; turns < round; turns++) await new Promise(setImmediate);
          await worker.terminate();
          const waits = semaphore.acquire();
          await new Promise(setImmediate);
          semaphore.release();
          await waits;
          semaphore.release();
          assert.equal(semaphore.value, 1);
          semaphore.acquireSync();
        }
      }`;
    expect(await runPeer(source, { args: [keeper.name], execArgv })).toMatchObject(clean);
    expect(keeper.value).toBe(0);
  });
});

describe('workers that end by themselves', () => {
  it('leave nothing of what they opened and wait for', async () => {
    const keeper = makeSemaphore();
    const { id } = makeSet();
    const source = `${withWorkers}
      const before = [];
      for (let round = 0; round < 6; round++) {
        const worker = startWorker(\`
          const { name, id } = workerData;
          globalThis.kept = [1, 2, 3].map(() => Semaphore.open(name).unref());
          for (const each of kept) each.acquire();
          const set = SysvSemaphoreSet.fromId(id).unref();
          for (let delta = 1; delta < 9; delta++) set.op({ index: 0, delta: -delta });\`, { name: args[0], id: args[1] });
        assert.deepEqual(await once(worker, 'exit'), [0]);
        await settle();
        if (round < 2) before.splice(0, 2, fds(), threads());
        while (threads() > before[1]) await new Promise(setImmediate);
        assert.equal(fds(), before[0]);
      }`;
    expect(await runPeer(source, { args: [keeper.name, id], execArgv })).toMatchObject(clean);
  });

  it('share a semaphore with the thread that started them', async () => {
    const semaphore = makeSemaphore(1);
    expect(Semaphore.list().find(({ name }) => name === semaphore.name)?.value).toBe(1);
    const source = `${withWorkers}
      const semaphore = Semaphore.open(args[0]);
      const permit = semaphore.acquireSync();
      const worker = startWorker('const semaphore = Semaphore.open(workerData); say(); semaphore.acquireSync(); say();', args[0]);
      await reply(worker);
      const over = reply(worker);
      permit.release();
      await over;
      assert.equal(semaphore.value, 0);
      semaphore.release();`;
    expect(await runPeer(source, { args: [semaphore.name], execArgv })).toMatchObject(clean);
    expect(semaphore.value).toBe(1);
  });
});
