// A System V segment, found by a key that is made of a file and a number: how to meet older programs.
//
//   node examples/memory/system-v.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ftok, SysvSharedMemory } from 'interproc';

const project = 1; // any number from 1 to 255 that both sides know

async function parent() {
  // Any file that both sides know will do; its content doesn't matter.
  const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
  const path = join(folder, 'feed.key');
  writeFileSync(path, '');
  const memory = SysvSharedMemory.create(ftok(path, project), { size: 4096 });
  try {
    const child = spawn(process.execPath, [import.meta.filename, path], { stdio: 'inherit' });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`the child ended with code ${code}`);
    const text = Buffer.from(memory.buffer);
    console.log(`The child has written: ${text.toString('utf8', 0, text.indexOf(0))}.`);
    console.log(`The segment is attached ${memory.stat().attached} time now.`);
  } finally {
    memory.remove(); // else it would stay until the machine restarts
    memory.close();
    rmSync(folder, { recursive: true });
  }
}

/** @param {string} path */
function child(path) {
  const memory = SysvSharedMemory.open(ftok(path, project));
  Buffer.from(memory.buffer).write('the key was enough');
  memory.close();
}

const [path] = process.argv.slice(2);
if (path === undefined) await parent();
else child(path);
