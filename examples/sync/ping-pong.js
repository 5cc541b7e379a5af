// Two processes take turns, and sleep while it is not theirs. Run: node examples/sync/ping-pong.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SharedMemory, waitOn, wake } from 'interproc';

const rounds = 1000;
const turn = 0; // even: the parent's, odd: the child's

/**
 * @param {SharedMemory} memory
 * @param {number} first the first turn that is mine
 */
async function play(memory, first) {
  const words = new Int32Array(memory.buffer);
  for (let mine = first; mine < 2 * rounds; mine += 2) {
    for (let now = Atomics.load(words, turn); now !== mine; now = Atomics.load(words, turn)) {
      await waitOn(memory, turn * 4, now);
    }
    Atomics.store(words, turn, mine + 1);
    wake(memory, turn * 4);
  }
}

if (process.argv[2] === 'child') {
  const memory = SharedMemory.fromFd(3);
  await play(memory, 1);
  memory.close();
} else {
  const memory = SharedMemory.anonymous({ size: 4096 });
  const child = spawn(process.execPath, [import.meta.filename, 'child'], {
    stdio: ['inherit', 'inherit', 'inherit', memory.fd],
  });
  const ended = once(child, 'exit');
  await play(memory, 0);
  await ended;
  console.log(`The two took ${rounds} turns each, with no timer and no busy loop.`);
  memory.close();
}
