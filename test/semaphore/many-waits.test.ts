/**
 * Hundreds of waits at once on everything that counts or queues: none of them holds up the event loop or libuv's pool, and
 * none leaves a thread behind, however they end.
 */
import { describe, expect, it } from 'vitest';
import { clean, startPeer } from '../support/peer.js';
import { makeQueue, makeSet } from '../support/sysv.js';
import { execArgv, withWorkers } from '../support/workers.js';

/** `queue`, `set` and `semaphores` with 240 waits of all kinds, each of which has a thread, or a part of one. */
const waiting = `
  import { setMaxListeners } from 'node:events';
  const queue = SysvMessageQueue.fromId(ids[0]);
  const set = SysvSemaphoreSet.fromId(ids[1]);
  const memory = SharedMemory.anonymous({ size: 8192 });
  const semaphores = Array.from({ length: 80 }, (_, at) => Semaphore.at(memory, at * 32, { initial: 0 }));
  const { signal } = controller;
  setMaxListeners(0, signal);
  const waits = [];
  for (let each = 1; each <= 80; each++) {
    const options = [{}, { signal }, { timeout: 1e9 }, { timeout: 1e9, signal }][each % 4];
    waits.push(queue.receive({ type: each, ...options }));
    waits.push(set.op({ index: 0, delta: -each }, options));
    waits.push(semaphores[each - 1].acquire(options));
  }
  for (const each of waits) each.catch(() => {});`;

const codes = `
  const codesOf = async (promises) => {
    const codes = (await Promise.allSettled(promises)).map(({ status, reason }) => reason?.code ?? status);
    return [...new Set(codes)].sort();
  };`;

describe('240 waits on queues, semaphores and sets', () => {
  it('leave the event loop and the pool to others, can be aborted, and end with what they wait on', async () => {
    const [queue, set] = [makeQueue(), makeSet()];
    const source = `
      import { readFile } from 'node:fs/promises';
      import { readdirSync } from 'node:fs';
      import { setMaxListeners } from 'node:events';
      const [ids] = args;
      const threads = () => readdirSync('/proc/self/task').length;
      const until = async (holds) => { while (!holds()) await new Promise(setImmediate); };
      ${codes}
      await Promise.all(Array.from({ length: 8 }, () => readFile('/proc/self/stat'))); // libuv's threads
      const before = threads();
      for (const end of ['closed', 'served']) {
        const controller = new AbortController();
        ${waiting.replace(/^.*import.*$/m, '')}
        await until(() => set.waiting(0).forIncrease === 80 && threads() >= before + 160);
        // Of libuv's four threads none is taken.
        await Promise.all(Array.from({ length: 8 }, () => readFile('/proc/self/stat')));
        const aborted = waits.filter((_, at) => [1, 3].includes((1 + Math.floor(at / 3)) % 4));
        const others = waits.filter((each) => !aborted.includes(each));
        controller.abort();
        assert.deepEqual(await codesOf(aborted), ['ABORT_ERR']);
        assert.equal(set.waiting(0).forIncrease, 40);
        if (end === 'served') {
          for (let type = 1; type <= 80; type++) queue.trySend(type, 'x');
          for (const each of semaphores) each.release();
          set.opSync({ index: 0, delta: 10_000 });
          assert.deepEqual(await codesOf(others), ['fulfilled']);
        }
        queue.close();
        set.close();
        for (const each of semaphores) each.close();
        memory.close();
        if (end !== 'served') assert.deepEqual(await codesOf(others), ['ERR_INTERPROC_CLOSED']);
        await until(() => threads() <= before);
      }
      await send('over');`;
    const peer = startPeer(source, { args: [[queue.id, set.id]] });
    expect(await peer.next()).toBe('over');
    expect(await peer.exited).toMatchObject(clean);
  });

  it('of objects that are removed end in EIDRM', async () => {
    const [queue, set] = [makeQueue(), makeSet()];
    const source = `
      const [ids] = args;
      const controller = new AbortController();
      ${codes} ${waiting}
      while (set.waiting(0).forIncrease < 80) await new Promise(setImmediate);
      const behind = [queue.receive({ type: 1 }), set.op({ index: 0, delta: -1 })];
      await send('waits');
      assert.deepEqual(await codesOf([...waits.filter((_, at) => at % 3 !== 2), ...behind]), ['EIDRM']);
      for (const each of semaphores) each.close();`;
    const peer = startPeer(source, { args: [[queue.id, set.id]] });
    expect(await peer.next()).toBe('waits');
    queue.remove();
    set.remove();
    expect(await peer.exited).toMatchObject(clean);
  });

  it('of a worker end with it, and take nothing any more', async () => {
    const [queue, set] = [makeQueue(), makeSet()];
    const source = `${withWorkers}
      const [ids] = args;
      let before;
      for (let round = 0; round < 4; round++) {
        const worker = startWorker('const ids = workerData; const controller = new AbortController();' + ${JSON.stringify(waiting)} + 'say(); setInterval(() => {}, 1e6);', ids);
        await reply(worker);
        await worker.terminate();
        const queue = SysvMessageQueue.fromId(ids[0]);
        const set = SysvSemaphoreSet.fromId(ids[1]);
        assert.deepEqual(set.waiting(0), { forIncrease: 0, forZero: 0 });
        set.opSync({ index: 0, delta: 100 });
        for (let type = 1; type <= 80; type++) queue.sendSync(type, 'x');
        assert.deepEqual([set.get(0), queue.stat().messages], [100, 80]);
        set.setAll([0]);
        while (queue.tryReceive() !== null);
        await settle();
        if (round < 2) before = threads();
        while (threads() > before) await new Promise(setImmediate);
      }`;
    expect(await startPeer(source, { args: [[queue.id, set.id]], execArgv }).exited).toMatchObject(clean);
  });
});
