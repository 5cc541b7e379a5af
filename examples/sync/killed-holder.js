// A process is killed while it holds a mutex, half-way through a change. The next one gets the mutex, is told, and makes the
// data whole.
//
//   node examples/sync/killed-holder.js
import { spawn } from 'node:child_process';
import { Mutex, SharedEvent, SharedMemory } from 'interproc';

// Two accounts, and a note of the change that is under way: what makes it possible to take it back.
const mutexAt = 0;
const halfWayAt = mutexAt + Mutex.byteLength; // an event: the child is as far
const wordsAt = halfWayAt + SharedEvent.byteLength;
const [ann, bob, before, underWay] = [0, 1, 2, 4]; // `before`: two words, what both had

/** @param {SharedMemory} memory */
function open(memory) {
  return {
    mutex: Mutex.at(memory, mutexAt),
    halfWay: SharedEvent.at(memory, halfWayAt),
    words: new Int32Array(memory.buffer, wordsAt, 5),
  };
}

/** @param {Int32Array} words */
function begin(words) {
  words.copyWithin(before, ann, ann + 2);
  Atomics.store(words, underWay, 1); // after what it says is there
}

/** @param {Int32Array} words */
function end(words) {
  Atomics.store(words, underWay, 0);
}

/** @param {Int32Array} words */
function takeBack(words) {
  if (Atomics.load(words, underWay) === 0) return; // it had not begun, or was done
  words.copyWithin(ann, before, before + 2);
  end(words);
}

async function parent() {
  const memory = SharedMemory.anonymous({ size: 4096 });
  try {
    const { mutex, halfWay, words } = open(memory);
    words[ann] = 100;
    words[bob] = 50;
    const child = spawn(process.execPath, [import.meta.filename, 'child'], {
      stdio: ['inherit', 'inherit', 'inherit', memory.fd], // the fourth entry: descriptor 3
    });
    await halfWay.wait({ timeout: 30_000 });
    console.log(`Somebody else holds the mutex, and lives: ${mutex.holder?.alive}.`);
    child.kill('SIGKILL');

    const held = await mutex.lock({ timeout: 30_000 }); // waits until the kernel has ended the child
    try {
      console.log(
        `Abandoned: ${held.abandoned}. Ann has ${words[ann]} and Bob ${words[bob]}: 30 are missing.`,
      );
      takeBack(words);
      held.recovered(); // without this, nobody would get the mutex any more
    } finally {
      held.unlock();
    }
    console.log(`Made whole: Ann has ${words[ann]} and Bob ${words[bob]}.`);
  } finally {
    memory.close();
  }
}

function child() {
  const { mutex, halfWay, words } = open(SharedMemory.fromFd(3));
  mutex.lockSync();
  begin(words);
  words[ann] = 70;
  halfWay.set();
  setInterval(() => {}, 1000); // until we are killed
  // words[bob] = 80; end(words); and unlock: it never comes to that
}

if (process.argv[2] === undefined) await parent();
else child();
