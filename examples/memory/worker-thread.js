// A worker thread opens the same object by its name. That works on every Node; where one can have a
// SharedArrayBuffer (`features.sharedArrayBuffer`), the buffer itself can be sent instead.
//
//   node examples/memory/worker-thread.js
import { once } from 'node:events';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { features, SharedMemory } from 'interproc';

const rows = 1000;

async function main() {
  const sharedArrayBuffer = features.sharedArrayBuffer;
  const name = `/interproc-example-${process.pid}`;
  const memory = SharedMemory.create(name, { size: rows * 8, sharedArrayBuffer });
  try {
    const sent = sharedArrayBuffer ? memory.buffer : undefined;
    const worker = new Worker(new URL(import.meta.url), { workerData: { name, sent } });
    const [code] = await once(worker, 'exit');
    if (code !== 0) throw new Error(`the worker ended with code ${code}`);
    const squares = new Float64Array(memory.buffer);
    console.log(`The worker has found that 999 squared is ${squares[999]}.`);
  } finally {
    memory.unlink();
    memory.close();
  }
}

/** @param {{ name: string, sent: ArrayBufferLike | undefined }} data */
function work({ name, sent }) {
  const memory = sent === undefined ? SharedMemory.open(name) : undefined;
  const squares = new Float64Array(sent ?? /** @type {SharedMemory} */ (memory).buffer);
  for (let i = 0; i < rows; i++) squares[i] = i * i;
  memory?.close();
}

if (isMainThread) await main();
else work(workerData);
