// Runs the tests of memory, channels, pipes, sockets, queues and semaphores with the newest Node of the line that can show
// foreign memory as a SharedArrayBuffer (24.16 and later), from its npm package. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.runtimes');
const runtime = `node-linux-${process.arch}`;
const node = join(folder, 'node_modules', runtime, 'bin/node');

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

run('npm', [
  'install',
  '--prefix',
  folder,
  '--no-save',
  '--no-package-lock',
  '--no-audit',
  '--no-fund',
  `${runtime}@24`,
]);
const hasIt =
  "import { features } from 'interproc'; if (!features.sharedArrayBuffer) throw new Error(process.version)";
run(node, ['--input-type=module', '-e', hasIt]);
const rooms = ['memory', 'channel', 'pipe', 'socket', 'queue', 'semaphore'].map((room) => `test/${room}`);
console.log(`${rooms.join(', ')} with ${runtime}@24`);
run(node, ['node_modules/vitest/vitest.mjs', 'run', ...rooms, ...process.argv.slice(2)]);
