// Two processes count in the same memory, which a name leads them to.
//
//   node examples/memory/counters-by-name.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SharedMemory } from 'interproc';

const times = 100_000;

/**
 * The layout: one counter at the start, then a record of two fields. Views are made once and kept.
 * @param {ArrayBuffer} buffer
 */
function viewsOf(buffer) {
  return {
    counter: new Uint32Array(buffer, 0, 1),
    position: new Float64Array(buffer, 8, 2), // x, y
  };
}

/** @param {Uint32Array} counter */
function count(counter) {
  for (let i = 0; i < times; i++) Atomics.add(counter, 0, 1);
}

async function parent() {
  // A service would have a fixed name, such as '/metrics'.
  const name = `/interproc-example-${process.pid}`;
  const memory = SharedMemory.create(name, { size: 24 });
  try {
    const { counter, position } = viewsOf(memory.buffer);
    const child = spawn(process.execPath, [import.meta.filename, name], { stdio: 'inherit' });
    count(counter);
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`the child ended with code ${code}`);
    console.log(`Two processes have counted to ${counter[0]}.`);
    console.log(`The child has left the position ${position.join(', ')}.`);
  } finally {
    memory.unlink(); // the name would outlive both processes
    memory.close();
  }
}

/** @param {string} name */
function child(name) {
  const memory = SharedMemory.open(name);
  const { counter, position } = viewsOf(memory.buffer);
  count(counter);
  position.set([1.5, -2]);
  memory.close();
}

const [name] = process.argv.slice(2);
if (name === undefined) await parent();
else child(name);
