// Runs the tests of memory, channels, locks, pipes, sockets, queues and semaphores with a Node that can show foreign memory as a
// SharedArrayBuffer (24.16 and later): that of `npm run matrix`. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { root } from './matrix/kit.js';
import { list, programOf } from './matrix/runtimes.js';

const runtime = /** @type {import('./matrix/runtimes.js').Runtime} */ (list['node-24']);
const node = await programOf({ ...runtime, package: `node-linux-${process.arch}` });

/** @param {string[]} args */
function run(...args) {
  const { status, error } = spawnSync(node, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

const hasIt =
  "import { features } from 'interproc'; if (!features.sharedArrayBuffer) throw new Error(process.version)";
run('--input-type=module', '-e', hasIt);
const rooms = ['memory', 'channel', 'sync', 'pipe', 'socket', 'queue', 'semaphore'].map(
  (room) => `test/${room}`,
);
console.log(`${rooms.join(', ')} with ${runtime.title}`);
run('node_modules/vitest/vitest.mjs', 'run', ...rooms, ...process.argv.slice(2));
