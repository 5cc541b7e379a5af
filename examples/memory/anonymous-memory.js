// Memory without a name, handed to a child as a file descriptor: nobody else can open it, nothing is left
// behind, however the processes end.
//
//   node examples/memory/anonymous-memory.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SharedMemory } from 'interproc';

const inheritedFd = 3;

async function parent() {
  const memory = SharedMemory.anonymous({ size: 1024, label: 'example' });
  const question = 'how long is this?';
  const { written } = new TextEncoder().encodeInto(question, new Uint8Array(memory.buffer));
  // Descriptors 0, 1 and 2 as usual; the fourth entry is the child's descriptor 3.
  const child = spawn(process.execPath, [import.meta.filename, 'child', String(written)], {
    stdio: ['inherit', 'inherit', 'inherit', memory.fd],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the child ended with code ${code}`);
  const answer = new Uint32Array(memory.buffer, 512, 1);
  console.log(`The child has counted ${answer[0]} characters.`);
  console.log(`Nobody can make the memory smaller under it; its seals are: ${memory.seals.join(', ')}.`);
  memory.close();
}

/** @param {number} length */
function child(length) {
  const memory = SharedMemory.fromFd(inheritedFd);
  const text = Buffer.from(memory.buffer, 0, length).toString();
  new Uint32Array(memory.buffer, 512, 1)[0] = text.length;
  memory.close();
}

const [role, length] = process.argv.slice(2);
if (role === 'child') child(Number(length));
else await parent();
