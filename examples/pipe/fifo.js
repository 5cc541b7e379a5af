// Two processes that know nothing of each other but a path, started in either order, in two terminals:
//
//   node examples/pipe/fifo.js reader /tmp/jobs.fifo
//   node examples/pipe/fifo.js writer /tmp/jobs.fifo
//
// Without arguments it starts both.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Fifo } from 'interproc';

const jobs = 10_000;

/** Whoever comes first makes it. @param {string} path */
function make(path) {
  try {
    Fifo.create(path);
  } catch (error) {
    if (/** @type {{ code?: string }} */ (error).code !== 'EEXIST') throw error;
  }
}

/** @param {string} path */
async function write(path) {
  make(path);
  const writer = await Fifo.openWriter(path); // waits for the reader
  for (let job = 0; job < jobs; job++) await writer.write(`job ${job}\n`);
  writer.close();
}

/** @param {string} path */
async function read(path) {
  make(path);
  const reader = await Fifo.openReader(path); // waits for a writer
  let count = 0;
  // The stream ends when the last writer has closed the FIFO, and closes the reader then.
  for await (const line of createInterface({ input: reader.toReadable() })) {
    if (line === `job ${count}`) count++;
  }
  Fifo.unlink(path);
  console.log(`Read ${count} jobs from the FIFO, in order.`);
}

/** @param {string[]} args */
function start(...args) {
  const child = spawn(process.execPath, [import.meta.filename, ...args], { stdio: 'inherit' });
  return once(child, 'exit');
}

const [role, path] = process.argv.slice(2);
if (path === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
  const fifo = join(folder, 'jobs.fifo');
  await Promise.all([start('writer', fifo), start('reader', fifo)]);
  rmSync(folder, { recursive: true });
} else if (role === 'writer') {
  await write(path);
} else {
  await read(path);
}
