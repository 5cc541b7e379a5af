/**
 * A process of the cycles: does what its parent tells it, kind after kind, and reports what it held in between.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { MessageQueue, SharedMemory } from 'interproc';
import { kinds } from './kinds/all.js';
import { turn } from './kinds/place.js';
import { longRun, settled } from './samples.js';

/**
 * @typedef {object} Order
 * @property {string} kind
 * @property {number} count
 * @property {string} [leak]
 * @property {import('./kinds/place.js').Place} place
 *
 * @typedef {{ samples: import('./samples.js').Sample[], cycles: number, cpuMs: number } | { error: string }} Report
 */

/** Each so many is dropped without being closed. */
const dropEvery = 16;
/** Often enough that what was dropped doesn't take all descriptors that a process may have (1,024 in most places). */
const collectEvery = 1024;
const turnEvery = 32;

/** Planted leaks, which show that each is found. @type {Record<string, (place: import('./kinds/place.js').Place, bytes: number) => unknown>} */
const leaks = {
  descriptor: () => openSync('/dev/null', 'r'),
  mapping: () => SharedMemory.anonymous({ size: 4096 }),
  heap: (_, bytes) => Array(bytes / 8).fill(0),
  malloc: (_, bytes) => Buffer.allocUnsafeSlow(bytes),
  handle: () => setInterval(() => {}, 1e9),
  object: ({ name }) => kept.length > 0 || MessageQueue.create(`${name}-left`),
};
/** @type {unknown[]} */
const kept = [];

/** Workers that make one of each kind, and end in turn in one of three ways. @type {import('./kinds/place.js').Kind} */
const workers = (place) => {
  let index = 0;
  return async (_drop) => {
    const end = ['by itself', 'exit', 'terminate'][index++ % 3];
    const file = new URL('worker.js', import.meta.url);
    const worker = new Worker(file, { workerData: { place, end, index }, trackUnmanagedFds: false });
    const ended = once(worker, 'exit');
    if (end === 'terminate') {
      await once(worker, 'message');
      await worker.terminate();
    } else {
      assert.deepEqual(await ended, [0]);
    }
  };
};

/** @param {Order} order @returns {Promise<Report>} */
async function run({ kind, count, leak, place }) {
  const cycle = /** @type {import('./kinds/place.js').Kind} */ (kind === 'workers' ? workers : kinds[kind])(
    place,
  );
  const plant = leak === undefined ? undefined : leaks[leak];
  const warmUp = kind === 'workers' ? 10 : Math.max(64, Math.round(count / 10));
  const sampleCount = count < longRun ? 3 : 16;
  /** @type {import('./samples.js').Sample[]} */
  const samples = [];
  const begun = process.cpuUsage();
  const perSample = Math.ceil((count - 1) / (sampleCount - 1));
  for (let done = -warmUp; done <= count; done++) {
    if (done >= 0 && (done % perSample === 0 || done === count)) {
      samples.push(await settled(samples[0]));
      if (done === count) break;
    }
    await cycle(done % dropEvery === 0);
    if (plant !== undefined && done >= 0) kept.push(plant(place, count < longRun ? 64 * 1024 : 16));
    if (done % collectEvery === 0) globalThis.gc?.();
    if (done % turnEvery === 0) await turn();
  }
  const { user, system } = process.cpuUsage(begun);
  return { samples, cycles: count, cpuMs: (user + system) / 1000 };
}

process.on('message', async (/** @type {Order} */ order) => {
  const report = await run(order).catch((error) => ({ error: error?.stack ?? String(error) }));
  process.send?.(report);
});
