// A file as memory: a counter that outlives the process, and a text changed in place.
//
//   node examples/memory/persistent-counter.js
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MappedFile } from 'interproc';

/** @param {string} path */
async function countOneMore(path) {
  const file = MappedFile.openOrCreate(path, { size: 8 });
  const counter = new BigUint64Array(file.buffer);
  const count = Atomics.add(counter, 0, 1n) + 1n;
  await file.sync(); // now it is on the disk: a power cut can't take it back
  file.close();
  return { count, created: file.created };
}

const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
try {
  const counterPath = join(folder, 'starts');
  for (let run = 0; run < 3; run++) {
    const { count, created } = await countOneMore(counterPath);
    console.log(`Start number ${count}${created ? ', and the file is new' : ''}.`);
  }

  const textPath = join(folder, 'config.ini');
  writeFileSync(textPath, 'level=info\n');
  const text = MappedFile.open(textPath);
  const bytes = Buffer.from(text.buffer); // a view, no copy
  bytes.write('warn', bytes.indexOf('info'));
  text.close();
  console.log(`Reading the file as usual gives: ${readFileSync(textPath, 'utf8').trim()}`);
} finally {
  rmSync(folder, { recursive: true });
}
