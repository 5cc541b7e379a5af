// Memory without a name for a process that is no child of ours, and knows but the path of a socket: its descriptor goes
// along with a message. Nobody else can open it, and nothing is left behind. In two terminals:
//
//   node examples/socket/shared-memory.js owner /tmp/memory.sock
//   node examples/socket/shared-memory.js user /tmp/memory.sock
//
// Without arguments it starts both.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SharedMemory, UnixSeqpacket, UnixSeqpacketServer } from 'interproc';

const numbers = 1_000_000;

/** @param {string} path */
async function own(path) {
  const server = UnixSeqpacketServer.listen(path, { replaceStale: true });
  const user = await server.accept();
  server.close();
  const memory = SharedMemory.anonymous({ size: 8 * numbers });
  const values = new Float64Array(memory.buffer);
  for (let index = 0; index < numbers; index++) values[index] = index;
  await user.send('numbers', { fds: [memory] });
  await user.receive(); // the user is done
  console.log(`The last of ${numbers} numbers is ${values[numbers - 1]} now, and none was copied.`);
  memory.close();
  user.close();
}

/** @param {string} path */
async function use(path) {
  const owner = await connect(path);
  const message = await owner.receive();
  const [received] = message?.fds ?? [];
  if (received === undefined) throw new Error('no memory came');
  const memory = SharedMemory.fromFd(received.fd); // has a duplicate
  message?.close(); // closes what came
  const values = new Float64Array(memory.buffer);
  for (let index = 0; index < values.length; index++)
    values[index] = 2 * /** @type {number} */ (values[index]);
  memory.close();
  await owner.send('done');
  owner.close();
}

/** Until the owner listens. @param {string} path */
async function connect(path) {
  for (;;) {
    try {
      return await UnixSeqpacket.connect(path, { maxFds: 1 }); // unasked, descriptors are not taken
    } catch (error) {
      const { code } = /** @type {{ code?: string }} */ (error);
      if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw error; // not there, or not yet listening
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** @param {string[]} args */
function start(...args) {
  const child = spawn(process.execPath, [import.meta.filename, ...args], { stdio: 'inherit' });
  return once(child, 'exit');
}

const [role, path] = process.argv.slice(2);
if (path === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
  const address = join(folder, 'memory.sock');
  await Promise.all([start('owner', address), start('user', address)]);
  rmSync(folder, { recursive: true });
} else if (role === 'owner') {
  await own(path);
} else {
  await use(path);
}
