/**
 * The process, and the workers in it, whose ends are tested: brings objects to where they are to be, and ends as it is told.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, ftruncateSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import * as interproc from 'interproc';

/**
 * @typedef {object} Script
 * @property {string} source
 * @property {string} name
 * @property {number} key
 * @property {string} path
 *
 * @typedef {'runs out' | 'exits' | 'stays'} End How a thread ends: by itself, by process.exit(), or not before it is ended.
 *
 * @typedef {object} Order
 * @property {End} end
 * @property {Script[]} [scripts] What this thread does.
 * @property {Order[]} [workers] What its workers do, each in turn; those that stay are terminated.
 * @property {boolean} [inside] The process exits while all its workers are where they are.
 */

/** @type {Order} */
const order = isMainThread ? JSON.parse(process.argv[2] ?? '') : workerData;
const { end, scripts = [], workers = [], inside: whileInside = false } = order;

/** @type {unknown[]} */
let kept = [];
const never = new Promise(() => {});
const atHand = {
  ...interproc,
  assert,
  closeSync,
  ftruncateSync,
  never,
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  keep: (/** @type {unknown[]} */ ...objects) => {
    kept.push(...objects);
    return objects[0];
  },
  forget: () => {
    kept = [];
    globalThis.gc?.();
  },
  /** Ends this thread in the middle of a callback, or stays there until it is ended. */
  inside: () => {
    if (end === 'exits') process.exit(0);
    parentPort?.postMessage('there');
    return never;
  },
  /** The same where nothing can be awaited. */
  insideSync: () => {
    if (end === 'exits') process.exit(0);
    parentPort?.postMessage('there');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
  /** What another thread does with the memory; it goes on when that is done. */
  other: (/** @type {{ fd: number }} */ memory, /** @type {string} */ source) => {
    const done = new Int32Array(new SharedArrayBuffer(4));
    kept.push(
      new Worker(
        `const { done, fd, url } = require('node:worker_threads').workerData;
        import(url).then(({ SharedMemory, Mutex, RwLock, Once }) => {
          const [memory, never] = [SharedMemory.fromFd(fd), new Promise(() => {})];
          globalThis.kept = [memory, ${source}];
          Atomics.store(done, 0, 1);
          Atomics.notify(done, 0);
          setInterval(() => {}, 1e9);
        });`,
        { eval: true, workerData: { done, fd: memory.fd, url: import.meta.resolve('interproc') } },
      ),
    );
    Atomics.wait(done, 0, 0);
  },
};

const AsyncFunction = /** @type {FunctionConstructor} */ ((async () => {}).constructor);

/** @param {Script} script */
async function run({ source, name, key, path }) {
  const run = new AsyncFunction(...Object.keys(atHand), 'name', 'key', 'path', 'there', `{${source}}`);
  await run(...Object.values(atHand), name, key, path, () => parentPort?.postMessage('there'));
}

/** @param {Order} what */
function start(what) {
  // Descriptors are the package's: Node need not close them.
  return new Worker(new URL(import.meta.url), { workerData: what, trackUnmanagedFds: false });
}

/** Rejects when the worker fails. @param {Worker} worker */
function there(worker) {
  return Promise.race([
    once(worker, 'message'),
    once(worker, 'exit').then(([code]) => assert.fail(`a worker ended with ${code} before it was there`)),
  ]);
}

if (whileInside) {
  await Promise.all(workers.map((each) => there(start(each))));
  process.exit(0);
}

let next = 0;
async function work() {
  for (let what = workers[next++]; what !== undefined; what = workers[next++]) {
    const worker = start(what);
    if (what.end === 'stays') {
      await there(worker);
      await worker.terminate();
    } else {
      assert.deepEqual(await once(worker, 'exit'), [0]);
    }
  }
}
await Promise.all([work(), work()]);

for (const each of scripts) await run(each);
if (end === 'exits') process.exit(0);
if (end === 'stays') {
  parentPort?.postMessage('there');
  setInterval(() => {}, 1e9);
}
