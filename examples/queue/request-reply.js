// Requests and replies through one System V message queue: each receiver takes the messages of its type. Requests have
// the type 1, replies one that is made of the client's process id; so nobody gets what is another's.
//
//   node examples/queue/request-reply.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ftok, SysvMessageQueue } from 'interproc';

const clients = 3;
const questions = 500;
const project = 1; // any number from 1 to 255 that both sides know
const requestType = 1;
/** @param {number} pid */
const replyType = (pid) => requestType + pid;

/** Until the queue is closed. @param {SysvMessageQueue} queue */
async function serve(queue) {
  try {
    for (;;) {
      const { data } = await queue.receive({ type: requestType });
      const [pid, number] = `${data}`.split(' ').map(Number);
      if (pid === undefined || number === undefined) continue;
      // A queue that is full of requests has no room for replies. It can't be here: each client has one at a time.
      await queue.send(replyType(pid), `${number ** 2}`);
    }
  } catch (error) {
    if (/** @type {{ code?: string }} */ (error).code !== 'ERR_INTERPROC_CLOSED') throw error;
  }
}

/** @param {string} path */
async function ask(path) {
  const queue = SysvMessageQueue.open(ftok(path, project));
  let sum = 0;
  for (let number = 0; number < questions; number++) {
    await queue.send(requestType, `${process.pid} ${number}`);
    const { data } = await queue.receive({ type: replyType(process.pid), timeout: 10_000 });
    sum += Number(data);
  }
  queue.close();
  console.log(`The first ${questions} squares add up to ${sum}.`);
}

async function parent() {
  // Any file that both sides know will do; its content doesn't matter.
  const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
  const path = join(folder, 'squares.key');
  writeFileSync(path, '');
  const queue = SysvMessageQueue.create(ftok(path, project));
  try {
    const serving = serve(queue);
    const asking = Array.from({ length: clients }, () =>
      spawn(process.execPath, [import.meta.filename, path], { stdio: 'inherit' }),
    );
    await Promise.all(asking.map((client) => once(client, 'exit')));
    queue.close(); // ends serve(), and nothing else: the queue itself stays
    await serving;
  } finally {
    SysvMessageQueue.remove(queue.id); // else it would stay until the machine restarts
    rmSync(folder, { recursive: true });
  }
}

const [path] = process.argv.slice(2);
if (path === undefined) await parent();
else await ask(path);
