/** Message queues in worker threads: those that are terminated in the middle of a call, and those that end by themselves. */
import { describe, expect, it } from 'vitest';
import { queueName } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';
import { execArgv, expectNothingLeft, withWorkers } from '../support/workers.js';

// Its name goes at once: a worker that is terminated removes none.
const made = `
  const queue = MessageQueue.create(workerData, { maxMessages: 2, messageSize: 3000 });
  queue.unlink();
  const fill = () => { while (queue.trySend('x')); };`;
// Also where nothing that is waited for keeps it alive.
const forever = 'setInterval(() => {}, 1e6); await new Promise(() => {});';
const fromEnvironment = `/interproc-test-${process.pid}-worker-`;

describe('a worker that is terminated', () => {
  const calls = {
    'in receive': 'say(); await queue.receive();',
    'in 64 receives':
      'for (let i = 0; i < 64; i++) queue.receive(i % 2 ? {} : { timeout: 1e9 }).catch(() => {}); say(); await queue.receive();',
    'in receiveSync': 'say(); queue.receiveSync();',
    'in receiveSync with a timeout': 'say(); queue.receiveSync({ timeout: 1e9 });',
    'in receive with a timeout and a signal':
      'say(); await queue.receive({ timeout: 1e9, signal: new AbortController().signal });',
    'in receive with memory of its own': 'say(); await queue.receive({ into: new SharedArrayBuffer(4000) });',
    'in send': "fill(); say(); await queue.send('x');",
    'in 64 sends':
      "fill(); for (let i = 0; i < 64; i++) queue.send(Buffer.alloc(3000), { priority: i }).catch(() => {}); say(); await queue.send('x');",
    'in sendSync': "fill(); say(); queue.sendSync('x');",
    'in a loop over the queue': 'say(); for await (const message of queue);',
    'that sends and receives': `say();
      for (;;) await Promise.all([queue.receive(), queue.send(Buffer.alloc(3000)), queue.receive(), queue.send('')]);`,
    'that never leaves its thread':
      'say(); for (let i = 0; ; i++) { queue.sendSync(Buffer.alloc(i % 3000)); queue.receiveSync(); }',
    'in notifications': 'say(); for await (const count of queue.notifications());',
    'between two notifications': `fill();
      for await (const count of queue.notifications()) { say(); ${forever} }`,
    'with queues that it never closed': `
      globalThis.kept = Array.from({ length: 20 }, () => MessageQueue.fromFd(queue.fd));
      for (const each of kept) each.receive().catch(() => {});
      say(); ${forever}`,
    'while it opens and closes': `say();
      for (;;) MessageQueue.fromFd(queue.fd).close();`,
  };

  it.each(Object.entries(calls))('leaves no descriptor and no thread: %s', async (_, call) => {
    await expectNothingLeft(made + call, fromEnvironment);
  });

  it('takes no message with it, and those who wait elsewhere go on', async () => {
    const source = `${withWorkers}
      const queue = MessageQueue.create(args[0], { maxMessages: 4, messageSize: 16 });
      for (let round = 0; round < 4; round++) {
        const worker = startWorker(\`
          const queue = MessageQueue.open(workerData);
          const waits = [queue.receive(), queue.receive({ timeout: 1e9 })];
          say();
          await Promise.all(waits);\`, args[0]);
        await reply(worker);
        const received = queue.receive();
        await worker.terminate();
        queue.trySend('first ' + round);
        queue.trySend('second ' + round);
        assert.equal(String((await received).data), 'first ' + round);
        assert.equal(String(queue.tryReceive().data), 'second ' + round);
      }`;
    expect(await runPeer(source, { args: [queueName()], execArgv })).toMatchObject(clean);
  });
});

describe('a worker that ends by itself', () => {
  it('closes what it leaves open, and waits for nothing that is unref()ed', async () => {
    const source = `${withWorkers}
      for (let round = 0, before; round < 5; round++) {
        const worker = startWorker(\`
          globalThis.queue = MessageQueue.create(workerData, { maxMessages: 2, messageSize: 8 });
          queue.unlink();
          queue.unref();
          queue.receive().catch(() => {});
          queue.notifications().next().catch(() => {});\`, args[0]);
        assert.deepEqual(await once(worker, 'exit'), [0]);
        await settle();
        before ??= fds();
        assert.equal(fds(), before);
      }`;
    expect(await runPeer(source, { args: [queueName()], execArgv })).toMatchObject(clean);
  });

  it('ends by process.exit() in the middle of its calls', async () => {
    const source = `${withWorkers}
      const worker = startWorker(\`
        const queue = MessageQueue.create(workerData, { maxMessages: 2, messageSize: 8 });
        queue.unlink();
        for (let i = 0; i < 8; i++) queue.receive().catch(() => {});
        setImmediate(() => process.exit(7));\`, args[0]);
      assert.deepEqual(await once(worker, 'exit'), [7]);`;
    expect(await runPeer(source, { args: [queueName()], execArgv })).toMatchObject(clean);
  });
});

describe('several workers', () => {
  it('hold a handle each on one queue, and a call that blocks one holds up no other', async () => {
    const source = `${withWorkers}
      const queue = MessageQueue.create(args[0], { maxMessages: 4, messageSize: 16 });
      const start = (call) => startWorker(\`
        const queue = MessageQueue.open(workerData);
        say();
        const { data } = \` + call + \`;
        parentPort.postMessage(String(data));\`, args[0]);
      const workers = ['queue.receiveSync()', 'await queue.receive()', 'queue.receiveSync({ timeout: 1e9 })'].map(start);
      await Promise.all(workers.map(reply));
      const got = Promise.all(workers.map(reply));
      for (const text of ['1', '2', '3']) await queue.send(text);
      assert.deepEqual((await got).sort(), ['1', '2', '3']);`;
    expect(await runPeer(source, { args: [queueName()], execArgv })).toMatchObject(clean);
  });
});
