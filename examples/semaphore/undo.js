// What a killed process held is given back: a System V semaphore set, on which the child takes two things at once, or
// neither, with `undo`. The kernel undoes it when the process ends, however it does.
//
//   node examples/semaphore/undo.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SysvSemaphoreSet } from 'interproc';

const [printer, scanner] = [0, 1]; // which semaphore of the set is of what

async function parent() {
  // No key: the child gets the id.
  const set = SysvSemaphoreSet.create(null, { count: 2, initial: 1 });
  try {
    const child = spawn(process.execPath, [import.meta.filename, `${set.id}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data'); // it has both
    console.log(`The child holds both: ${set.getAll().join(' and ')} are free.`);
    child.kill('SIGKILL');
    // Waits on a thread of its own until the kernel has given it back.
    await set.op({ index: printer, delta: -1, undo: true }, { timeout: 10_000 });
    console.log('The child was killed, and the printer is ours.');
    await set.op({ index: printer, delta: 1, undo: true }); // the same, the other way round: nothing is left to undo
    console.log(`At the end ${set.getAll().join(' and ')} are free.`);
  } finally {
    set.remove(); // else it would stay until the machine restarts
    set.close();
  }
}

/** @param {number} id */
async function child(id) {
  const set = SysvSemaphoreSet.fromId(id);
  await set.op([
    { index: printer, delta: -1, undo: true },
    { index: scanner, delta: -1, undo: true },
  ]);
  console.log('I have both');
  setInterval(() => {}, 1000); // until we are killed
}

const [id] = process.argv.slice(2);
if (id === undefined) await parent();
else await child(Number(id));
