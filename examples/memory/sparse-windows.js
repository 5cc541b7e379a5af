// A file of 6 GiB, of which only the touched pages take space, used through windows: also where one buffer
// holds 4 GiB at most (Node 20).
//
//   node examples/memory/sparse-windows.js
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MappedFile } from 'interproc';

const GiB = 2 ** 30;
const folder = mkdtempSync(join(tmpdir(), 'interproc-example-'));
try {
  const file = MappedFile.create(join(folder, 'table'), { size: 6 * GiB, reserve: false });
  // Row n lies at n * 64 bytes; this one is beyond 5 GiB.
  const row = 90_000_000;
  const window = file.map({ offset: row * 64, length: 64 });
  new Float64Array(window.buffer)[0] = 0.5;
  window.close();

  const again = file.map({ offset: 5 * GiB - 4096 });
  const value = new DataView(again.buffer).getFloat64(row * 64 - again.offset, true);
  again.close();

  const { size, allocated } = file.stat();
  console.log(`Row ${row} holds ${value}.`);
  console.log(
    `The file has ${size / GiB} GiB, and less than 1 MiB of it takes space: ${allocated < 2 ** 20}.`,
  );
  file.close();
} finally {
  rmSync(folder, { recursive: true });
}
