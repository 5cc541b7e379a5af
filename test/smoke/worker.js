// A worker thread: does one task of a room.
import { parentPort, workerData } from 'node:worker_threads';

const { room, task, args } = workerData;
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
try {
  const { workers } = await import(`./rooms/${room}.js`);
  await workers[task](args, (/** @type {unknown} */ message) => port.postMessage({ message }));
  port.postMessage({ done: true });
} catch (error) {
  port.postMessage({ failed: `in the worker: ${error instanceof Error ? error.stack : error}` });
}
