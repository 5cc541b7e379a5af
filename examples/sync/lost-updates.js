// The race that every counter in shared memory has: read, compute, write. Several processes do it, first without a lock and
// then with a mutex, and what is missing at the end was lost.
//
//   node examples/sync/lost-updates.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Barrier, Mutex, SharedMemory } from 'interproc';

const processes = 4;
const updates = 5000; // of each process, in each of the two runs

// What all of them agree on: where things lie in the memory. Locks lie at multiples of 8, and are ready as zeros.
const mutexAt = 0;
const barrierAt = 64;
const countersAt = barrierAt + Barrier.byteLength;
const [unlocked, locked] = [0, 1];
const size = countersAt + 8;

async function parent() {
  const memory = SharedMemory.anonymous({ size });
  try {
    const children = Array.from({ length: processes }, () =>
      spawn(process.execPath, [import.meta.filename, 'child'], {
        stdio: ['inherit', 'inherit', 'inherit', memory.fd], // the fourth entry: descriptor 3
      }),
    );
    await Promise.all(children.map((child) => once(child, 'exit')));
    const counters = new Int32Array(memory.buffer, countersAt);
    const made = processes * updates;
    /** @param {number} counter */
    const report = (counter) => `${made} updates, and ${made - Number(counters[counter])} of them were lost.`;
    console.log(`Without a lock ${processes} processes made ${report(unlocked)}`);
    console.log(`With a mutex ${processes} processes made ${report(locked)}`);
  } finally {
    memory.close();
  }
}

function child() {
  const memory = SharedMemory.fromFd(3);
  const counters = new Int32Array(memory.buffer, countersAt);
  const mutex = Mutex.at(memory, mutexAt);
  const barrier = Barrier.at(memory, barrierAt, { parties: processes });

  barrier.waitSync({ timeout: 30_000 }); // all of them are there, and begin at the same time
  for (let i = 0; i < updates; i++) update(counters, unlocked);

  barrier.waitSync({ timeout: 30_000 });
  for (let i = 0; i < updates; i++) {
    const held = mutex.lockSync({ timeout: 30_000 });
    try {
      update(counters, locked);
    } finally {
      held.unlock(); // whatever happened
    }
  }

  barrier.leave();
  memory.close();
}

/**
 * Nobody else may write between the first line and the last one: whoever does is overwritten.
 * @param {Int32Array} counters
 * @param {number} counter
 */
function update(counters, counter) {
  const seen = Number(counters[counter]);
  for (let i = 0; i < 1000; i++) Math.hypot(i, seen); // some work
  counters[counter] = seen + 1;
}

if (process.argv[2] === undefined) await parent();
else child();
