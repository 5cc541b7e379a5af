/** Processes that wait on System V queues: what keeps them alive, and how they end. */
import { describe, expect, it } from 'vitest';
import { isRoot } from '../support/namespaces.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { until } from '../support/pipes.js';
import { drain, makeQueue, sleepers } from '../support/sysv.js';

describe('a process', () => {
  const pending: Record<string, string> = {
    'receives that wait': 'for (let type = 1; type < 30; type++) queue.receive({ type }).catch(() => {});',
    'receives behind others': 'for (let each = 0; each < 30; each++) queue.receive().catch(() => {});',
    'receives with a timeout':
      'for (let each = 1; each < 30; each++) queue.receive({ timeout: 1e9 }).catch(() => {});',
    'sends that wait':
      "while (queue.trySend(9, 'x')); for (let each = 0; each < 9; each++) queue.send(9, 'x').catch(() => {});",
    'a loop': '(async () => { for await (const message of queue); })().catch(() => {});',
  };
  const head = 'const queue = SysvMessageQueue.fromId(args[0]);';

  it.each(Object.entries(pending))(
    'with %s ends at once by process.exit(), with its code',
    async (_, call) => {
      const queue = makeQueue({ maxBytes: 10 });
      const source = `${head} ${call}
      setImmediate(() => process.exit(7));`;
      expect(await runPeer(source, { args: [queue.id] })).toMatchObject({ ...clean, code: 7 });
    },
  );

  it.each(Object.entries(pending))('with %s stays alive until something else ends it', async (_, call) => {
    const queue = makeQueue({ maxBytes: 10 });
    // Nothing else keeps it: it would end before the timer, which is no reason to stay, fires.
    const source = `${head} ${call}
      process.on('exit', () => { process.exitCode ??= 3; });
      setTimeout(() => { process.exitCode = 7; process.exit(); }, 50).unref();`;
    expect(await runPeer(source, { args: [queue.id] })).toMatchObject({ ...clean, code: 7 });
  });

  it.each(Object.entries(pending))('with %s that are unref()ed ends by itself', async (_, call) => {
    for (const source of [
      `${head} queue.unref(); ${call}`,
      `${head} ${call} queue.unref();`,
      `${head} ${call} setImmediate(() => setImmediate(() => queue.unref().ref().unref()));`,
    ]) {
      const queue = makeQueue({ maxBytes: 10 });
      expect(await runPeer(source, { args: [queue.id] })).toMatchObject(clean);
    }
  });

  it('is kept by what waits after ref() again, and ends when it has come', async () => {
    const queue = makeQueue();
    const source = `${head}
      queue.unref().receive().then(({ data }) => console.log(String(data)));
      queue.ref();
      await send('waits');`;
    const peer = startPeer(source, { args: [queue.id] });
    expect(await peer.next()).toBe('waits');
    await until(() => sleepers(/msgrcv/, peer.process.pid) === 1);
    queue.sendSync(1, 'came');
    expect(await peer.exited).toMatchObject({ ...clean, stdout: 'came\n' });
  });

  it('that waits uses no processor', async () => {
    const queue = makeQueue();
    const source = `${head}
      import { readdirSync, readFileSync } from 'node:fs';
      const idle = readdirSync('/proc/self/task');
      const waits = Array.from({ length: 40 }, (_, at) => queue.receive({ type: at + 1 }));
      const turns = async (count) => { while (count-- > 0) await new Promise(setImmediate); };
      const ours = () => readdirSync('/proc/self/task').filter((task) => !idle.includes(task));
      while (ours().length < 40) await turns(1);
      const threads = ours();
      const status = (task) => readFileSync('/proc/self/task/' + task + '/status', 'utf8');
      while (!threads.every((task) => /State:\\tS/.test(status(task)))) await turns(1);
      const switches = () => threads.map((task) => status(task).match(/ctxt_switches:\\t\\d+/g).join());
      const before = switches();
      await turns(3000);
      assert.deepEqual(switches(), before); // none of them ran
      queue.close();
      for (const each of await Promise.allSettled(waits)) assert.equal(each.reason.code, 'ERR_INTERPROC_CLOSED');`;
    expect(await runPeer(source, { args: [queue.id] })).toMatchObject(clean);
  });

  it.skipIf(!isRoot)('whose threads are as many as it may have is told so, and goes on', async () => {
    const queue = makeQueue();
    const source = `${head}
      const waits = Array.from({ length: 300 }, (_, at) => queue.receive({ type: at + 1 }).catch((error) => error));
      const failed = [];
      for (const each of waits) each.then((outcome) => { if (outcome instanceof Error) failed.push(outcome); });
      while (failed.length === 0) await new Promise(setImmediate);
      assert.deepEqual([failed[0].code, failed[0].name], ['EAGAIN', 'IpcError']);
      queue.sendSync(1, 'first');
      assert.equal(String((await waits[0]).data), 'first');
      queue.close();
      await Promise.all(waits);`;
    // Of root's processes nobody counts the threads.
    const wrapper = ['setpriv', '--reuid=4242', '--clear-groups', 'prlimit', '--nproc=40'];
    queue.set({ mode: 0o666 });
    expect(await runPeer(source, { args: [queue.id], wrapper })).toMatchObject(clean);
  });
});

describe('a process that is killed', () => {
  it('in the middle of a wait takes nothing with it', async () => {
    const queue = makeQueue();
    const calls = [
      'queue.receiveSync()',
      'await queue.receive()',
      'await Promise.all([1, 2, 3].map((type) => queue.receive({ type })))',
    ];
    const peers = calls.map((call) =>
      startPeer(`const queue = SysvMessageQueue.fromId(args[0]); await send('waits'); ${call};`, {
        args: [queue.id],
      }),
    );
    for (const peer of peers) {
      expect(await peer.next()).toBe('waits');
      await until(() => sleepers(/msgrcv/, peer.process.pid) > 0);
    }
    for (const peer of peers) peer.process.kill('SIGKILL');
    for (const peer of peers) expect(await peer.exited).toMatchObject({ signal: 'SIGKILL', stderr: '' });
    for (const type of [1, 2, 3]) queue.sendSync(type, 'there');
    expect(drain(queue)).toEqual(['1 there', '2 there', '3 there']);
  });
});
