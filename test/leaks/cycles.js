/**
 * A process that makes, uses and closes each kind of object so many times, on the main thread and in a worker, and ends as
 * programs do: LeakSanitizer then looks for memory that nobody knows any more (npm run test:leaks).
 *
 *   node test/leaks/cycles.js COUNT FOLDER
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { kinds } from '../cycles/kinds/all.js';
import { turn } from '../cycles/kinds/place.js';

const [count, folder] = isMainThread ? process.argv.slice(2) : workerData;
const dropEvery = 5; // left to the garbage collector, or to the end of the process

mkdirSync(folder, { recursive: true });
let number = 0;
for (const [kind, prepare] of Object.entries(kinds)) {
  number++;
  const cycle = prepare({
    name: `/interproc-leaks-${process.pid}-${number}`,
    key: 0x1ea_0000 + ((process.pid * 256 + number) & 0xffff),
    path: join(folder, `file-${number}`),
  });
  for (let done = 0; done < Number(count); done++) {
    await cycle(done % dropEvery === dropEvery - 1);
    if (done % dropEvery === 0) await turn();
  }
  globalThis.gc?.();
  await turn();
  if (isMainThread) console.log(`${count} cycles of ${kind}`);
}

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: [count, join(folder, 'worker')],
    trackUnmanagedFds: false, // the objects close theirs
  });
  await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  console.log('and of each in a worker');
}
