/** A worker that makes one of each kind, leaves every second one open, and ends as it is told. */
import { parentPort, workerData } from 'node:worker_threads';
import { kinds } from './kinds/all.js';

const { place, end, index } = workerData;
let done = index;
for (const [at, make] of Object.values(kinds).entries()) {
  await make({ ...place, path: `${place.path}-${at}` })(done++ % 2 === 0);
}
if (end === 'exit') process.exit(0);
if (end === 'terminate') {
  parentPort?.postMessage('there');
  setInterval(() => {}, 1e9);
}
