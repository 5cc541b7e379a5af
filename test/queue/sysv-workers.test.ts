/** Workers that wait on System V queues, and end or are terminated meanwhile. */
import { describe, expect, it } from 'vitest';
import { clean, runPeer } from '../support/peer.js';
import { drain, makeQueue } from '../support/sysv.js';
import { execArgv, expectNothingLeft, withWorkers } from '../support/workers.js';

describe('a worker that is terminated', () => {
  const open = 'const queue = SysvMessageQueue.fromId(parseInt(workerData));';
  const fill = "while (queue.trySend(9, 'x'));";
  // Also where nothing that is waited for keeps it alive.
  const forever = 'setInterval(() => {}, 1e6); await new Promise(() => {});';
  const calls = {
    'in receive': 'say(); await queue.receive();',
    'in many receives': `for (let type = 1; type < 40; type++) for (let each = 0; each < 5; each++) queue.receive({ type: type % 20 + 1 }); say(); ${forever}`,
    'in receiveSync': 'say(); queue.receiveSync();',
    'in send': `${fill} say(); await queue.send(9, 'x');`,
    'in sendSync': `${fill} say(); queue.sendSync(9, 'x');`,
    'in a loop': 'say(); for await (const message of queue);',
    'in waits of many kinds': `${fill} queue.unref(); for (let type = 1; type < 9; type++) { queue.receive({ type, timeout: 1e6 }); queue.send(9, 'x', { signal: new AbortController().signal }); } say(); ${forever}`,
  };

  it.each(Object.entries(calls))('leaves no thread: %s', async (_, call) => {
    const queue = makeQueue({ maxBytes: 10 });
    await expectNothingLeft(open + call, `${queue.id}.`);
  });

  it('takes no message any more, asleep or on its way there', async () => {
    const queue = makeQueue();
    const source = `${withWorkers}
      const queue = SysvMessageQueue.fromId(args[0]);
      for (const call of ['say(); await queue.receive();', 'say(); queue.receiveSync();', 'queue.receive(); queue.receive(); say(); await queue.receive({ type: 1 });']) {
        for (let round = 0; round < 4; round++) {
          const worker = startWorker('const queue = SysvMessageQueue.fromId(workerData);' + call, queue.id);
          await reply(worker);
          for (let turns = 0; turns < round; turns++) await new Promise(setImmediate);
          await worker.terminate();
          queue.sendSync(1, 'whose?');
          assert.equal(String(queue.receiveSync({ timeout: 0 }).data), 'whose?');
        }
      }`;
    expect(await runPeer(source, { args: [queue.id], execArgv })).toMatchObject(clean);
    expect(drain(queue)).toEqual([]);
  });

  it('gives back what its thread had taken, and it had heard nothing of', async () => {
    const queue = makeQueue();
    const source = `${withWorkers}
      import { readFileSync } from 'node:fs';
      const queue = SysvMessageQueue.fromId(args[0]);
      const sleeps = () => readdirSync('/proc/self/task').some((task) => /msg/.test(readFileSync('/proc/self/task/' + task + '/wchan', 'utf8')));
      const flags = new Int32Array(new SharedArrayBuffer(8));
      const worker = startWorker(\`
        const { id, flags } = workerData;
        SysvMessageQueue.fromId(id).receive({ type: 3 });
        say();
        parentPort.once('message', () => {
          Atomics.store(flags, 0, 1);
          for (;;);
        });\`, { id: args[0], flags });
      await reply(worker);
      while (!sleeps()) await new Promise(setImmediate);
      worker.postMessage('be busy');
      while (Atomics.load(flags, 0) === 0) await new Promise(setImmediate);
      queue.sendSync(3, 'whose?');
      while (queue.stat().messages > 0) await new Promise(setImmediate);
      await worker.terminate();
      const { type, data } = queue.receiveSync({ timeout: 0 });
      assert.deepEqual([type, String(data)], [3, 'whose?']);`;
    expect(await runPeer(source, { args: [queue.id], execArgv })).toMatchObject(clean);
  });

  it('that ends by itself leaves nothing of its unref()ed waits', async () => {
    const queue = makeQueue();
    const source = `${withWorkers}
      let before;
      for (let round = 0; round < 5; round++) {
        const worker = startWorker('const queue = SysvMessageQueue.fromId(workerData).unref(); for (let type = 1; type < 9; type++) queue.receive({ type });', args[0]);
        assert.deepEqual(await once(worker, 'exit'), [0]);
        before ??= threads();
        while (threads() > before) await new Promise(setImmediate);
      }`;
    expect(await runPeer(source, { args: [queue.id], execArgv })).toMatchObject(clean);
  });
});
