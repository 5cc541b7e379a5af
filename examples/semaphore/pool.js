// A pool: many processes, and not more than a few of them at a time may do what is costly. A semaphore counts the permits
// that are left.
//
//   node examples/semaphore/pool.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Semaphore, SharedMemory } from 'interproc';

const processes = 6;
const permits = 2;
const turns = 50;
const [now, most, all] = [0, 1, 2]; // words of the memory in which the example watches itself

async function parent() {
  const name = `/interproc-example-${process.pid}`;
  const pool = Semaphore.create(name, { initial: permits });
  const memory = SharedMemory.anonymous({ size: 64 });
  try {
    const children = Array.from({ length: processes }, () =>
      spawn(process.execPath, [import.meta.filename, name], {
        stdio: ['inherit', 'inherit', 'inherit', memory.fd], // the fourth entry: descriptor 3
      }),
    );
    await Promise.all(children.map((child) => once(child, 'exit')));
    const words = new Int32Array(memory.buffer);
    console.log(`${processes} processes took ${words[all]} turns, ${words[most]} at a time at most.`);
    console.log(`Of ${permits} permits ${pool.value} are there at the end.`);
  } finally {
    pool.unlink(); // else the name would stay until the machine restarts
    pool.close();
    memory.close();
  }
}

/** @param {string} name */
async function child(name) {
  const pool = Semaphore.open(name);
  const memory = SharedMemory.fromFd(3);
  const words = new Int32Array(memory.buffer);
  for (let turn = 0; turn < turns; turn++) {
    const permit = await pool.acquire({ timeout: 30_000 }); // holds up neither the event loop nor libuv's pool
    try {
      const working = Atomics.add(words, now, 1) + 1;
      for (let seen = Atomics.load(words, most); working > seen; seen = Atomics.load(words, most))
        Atomics.compareExchange(words, most, seen, working);
      await new Promise((resolve) => setTimeout(resolve, 1)); // the costly thing
      Atomics.sub(words, now, 1);
      Atomics.add(words, all, 1);
    } finally {
      permit.release(); // whatever happened. A process that is killed here keeps it: see undo.js
    }
  }
  pool.close();
  memory.close();
}

const [name] = process.argv.slice(2);
if (name === undefined) await parent();
else await child(name);
