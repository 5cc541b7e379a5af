/** SEM_UNDO: what a process did the kernel undoes when it ends, however it ends; nothing less ends it. */
import { describe, expect, it } from 'vitest';
import { clean, startPeer } from '../support/peer.js';
import { until } from '../support/pipes.js';
import { makeSet } from '../support/sysv.js';
import { execArgv, withWorkers } from '../support/workers.js';

const head = 'const set = SysvSemaphoreSet.fromId(args[0]);';
const take = '{ index: 0, delta: -1, undo: true }';

describe('what a process holds with undo', () => {
  const ways: Record<string, string> = {
    tryOp: `assert.equal(set.tryOp(${take}), true);`,
    opSync: `set.opSync(${take});`,
    op: `await set.op(${take});`,
    'op, after a wait on a thread that has ended': `
      set.opSync({ index: 0, delta: -2 });
      const waits = set.op(${take});
      while (set.waiting(0).forIncrease < 1) await new Promise(setImmediate);
      set.opSync({ index: 0, delta: 2 });
      await waits;
      const { readdirSync, readFileSync } = await import('node:fs');
      const asleep = () => readdirSync('/proc/self/task').some((task) => /sem/.test(readFileSync('/proc/self/task/' + task + '/wchan', 'utf8')));
      while (asleep()) await new Promise(setImmediate);`,
  };

  it.each(Object.entries(ways))('comes back when it is killed: %s', async (_, way) => {
    const set = makeSet({ count: 2, initial: [2, 5] });
    const peer = startPeer(
      `${head} ${way} set.opSync({ index: 1, delta: 3, undo: true }); await send('holds'); setInterval(() => {}, 1000);`,
      { args: [set.id] },
    );
    expect(await peer.next()).toBe('holds');
    expect(set.getAll()).toEqual([1, 8]);
    const waits = set.op({ index: 0, delta: -2 });
    await until(() => set.waiting(0).forIncrease === 1);
    peer.process.kill('SIGKILL');
    expect(await peer.exited).toMatchObject({ signal: 'SIGKILL', stderr: '' });
    await waits;
    expect(set.getAll()).toEqual([0, 5]);
  });

  it('comes back when it exits, and what it gave back before does not come twice', async () => {
    const set = makeSet({ initial: 3 });
    for (const end of ['', 'process.exit();']) {
      const peer = startPeer(
        `${head}
        for (let each = 0; each < 3; each++) await set.op(${take});
        set.opSync({ index: 0, delta: 2, undo: true });
        set.close();
        ${end}`,
        { args: [set.id] },
      );
      expect(await peer.exited).toMatchObject(clean);
      expect(set.get(0)).toBe(3);
    }
  });

  it('stays taken while only the worker ends that took it', async () => {
    const set = makeSet({ initial: 3 });
    const source = `${withWorkers}
      ${head}
      for (const call of ['tryOp', 'opSync', 'op']) {
        const worker = startWorker('const set = SysvSemaphoreSet.fromId(workerData); await set.' + call + '(${take}); say(); setInterval(() => {}, 1e6);', args[0]);
        await reply(worker);
        await worker.terminate();
      }
      await send(set.get(0));
      assert.equal(set.get(0), 0);
      await next();`;
    const peer = startPeer(source, { args: [set.id], execArgv });
    expect(await peer.next()).toBe(0);
    expect(set.get(0)).toBe(0);
    peer.send('end');
    expect(await peer.exited).toMatchObject(clean);
    expect(set.get(0)).toBe(3);
  });

  it('is not what an operation without undo takes', async () => {
    const set = makeSet({ initial: 3 });
    const peer = startPeer(
      `${head} set.opSync({ index: 0, delta: -1 }); await set.op([${take}, { index: 0, delta: -1 }]); process.kill(process.pid, 'SIGKILL');`,
      { args: [set.id] },
    );
    expect(await peer.exited).toMatchObject({ signal: 'SIGKILL' });
    expect(set.get(0)).toBe(1);
  });

  it('is not what an operation would have taken that it waited for', async () => {
    const set = makeSet();
    const peer = startPeer(
      `${head} await send('waits'); set.op({ index: 0, delta: -2, undo: true }); set.op({ index: 0, delta: 0 }); set.opSync(${take});`,
      { args: [set.id] },
    );
    expect(await peer.next()).toBe('waits');
    await until(() => set.waiting(0).forIncrease > 0);
    peer.process.kill('SIGKILL');
    expect(await peer.exited).toMatchObject({ signal: 'SIGKILL' });
    expect([set.get(0), set.waiting(0).forIncrease]).toEqual([0, 0]);
  });

  it('comes back from many that are killed one after another, and never too much', async () => {
    const set = makeSet({ count: 2, initial: [2, 0] });
    const source = `${head}
      let state = args[1];
      const random = (below) => (state = (state * 48271) % 2147483647) % below;
      await send('there');
      for (;;) {
        const way = random(3);
        if (way === 0) set.opSync(${take});
        if (way === 1) await set.op(${take});
        if (way === 2 && !set.tryOp(${take})) continue;
        if (set.getAll()[0] > 1) process.exit(3);
        // Now and then it is killed where it holds one.
        if (random(20) === 0) process.kill(process.pid, 'SIGKILL');
        set.opSync({ index: 0, delta: 1, undo: true });
      }`;
    for (let round = 0; round < 3; round++) {
      const peers = [1, 2, 3].map((each) => startPeer(source, { args: [set.id, 7919 * (3 * round + each)] }));
      for (const peer of peers) expect(await peer.exited).toMatchObject({ signal: 'SIGKILL', stderr: '' });
      expect(set.get(0)).toBe(2);
    }
  });
});
