// A program that knows nothing of this package, as a child: `sort` reads one pipe and writes another.
//
//   node examples/pipe/sort.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { createPipe } from 'interproc';

const count = 100_000;
const there = createPipe();
const back = createPipe();
const sort = spawn('sort', ['-n'], { stdio: [there.reader.fd, back.writer.fd, 'inherit'] });
const ended = once(sort, 'exit');
// The child has its own copies. While we have ours, neither of us would see an end.
there.reader.close();
back.writer.close();

async function write() {
  for (let number = 0; number < count; number++) {
    await there.writer.write(`${(number * 7919) % count}\n`); // waits while the pipe is full
  }
  there.writer.close(); // the end, for which sort has waited
}

// At the same time: a program that answers as it reads stops when nobody takes what it writes.
const writing = write();
let next = 0;
for await (const line of createInterface({ input: back.reader.toReadable() })) {
  if (Number(line) !== next) throw new Error(`'${line}' in the place of ${next}`);
  next++;
}
await writing;
const [code] = await ended;
if (code !== 0) throw new Error(`sort ended with code ${code}`);
console.log(`Of ${count} numbers ${next} came back, in order.`);
