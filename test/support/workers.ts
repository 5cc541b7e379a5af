/** Worker threads of a peer, for tests of what they leave behind when they end or are terminated. */

import { expect } from 'vitest';
import { clean, runPeer } from './peer.js';

export const execArgv = ['--expose-gc'];

/**
 * For the head of a peer's script: `startWorker(source, workerData)`, whose source has all of `interproc`, `workerData` and
 * `say()`; `reply(worker)`, `settle()`, and what this process has: `fds()`, `threads()`.
 */
export const withWorkers = `
  import { Worker } from 'node:worker_threads';
  import { once } from 'node:events';
  import { readdirSync } from 'node:fs';
  const settle = async () => {
    for (let i = 0; i < 4; i++) {
      gc();
      await new Promise(setImmediate);
    }
  };
  const fds = () => readdirSync('/proc/self/fd').length;
  const threads = () => readdirSync('/proc/self/task').length;
  const startWorker = (source, workerData) => new Worker(\`
    import { parentPort, workerData } from 'node:worker_threads';
    import { createPipe, Fifo, MessageQueue, Mutex, RwLock, Condition, Barrier, SharedEvent, Once, Semaphore, SharedMemory, socketPair, SysvMessageQueue, SysvSemaphoreSet, UnixDatagram, UnixStream, UnixStreamServer, UnixSeqpacket, UnixSeqpacketServer } from 'interproc';
    const say = () => parentPort.postMessage('there');
    \` + source, { eval: true, workerData });
  const reply = (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));`;

/** Terminates workers in the middle of `call`, which says when it is there; `workerData` is a name that no other has. */
export async function expectNothingLeft(call: string, prefix: string): Promise<void> {
  const source = `${withWorkers}
    // The first ones make what stays: libuv's threads, inspectors of V8.
    let before;
    for (let round = 0; round < 6; round++) {
      if (round === 2) {
        await settle();
        before = [fds(), threads()];
      }
      const workers = [0, 1].map((i) => startWorker(args[0], args[1] + round + '-' + i));
      await Promise.all(workers.map(reply));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    await settle();
    // A thread of ours ends by itself, soon: whoever waits for that waits for its end in /proc.
    while (threads() > before[1]) await new Promise(setImmediate);
    assert.deepEqual([fds(), threads()], before);`;
  expect(await runPeer(source, { args: [call, prefix], execArgv })).toMatchObject(clean);
}
