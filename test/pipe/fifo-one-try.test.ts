import { readdirSync, readFileSync } from 'node:fs';
import { Fifo } from 'interproc';
import { expect, it } from 'vitest';
import { tempPath } from '../support/names.js';

const asleep = () =>
  readdirSync('/proc/self/task').some((id) =>
    readFileSync(`/proc/self/task/${id}/wchan`, 'utf8').includes('wait_for_partner'),
  );

it('one try to open a FIFO for reading finds the writer that waits', async () => {
  const path = tempPath('fifo');
  Fifo.create(path);
  await expect(Fifo.openReader(path, { timeout: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  for (const open of [Fifo.openReader, Fifo.openReaderSync]) {
    const opening = Fifo.openWriter(path);
    // Until its thread sleeps in open(2).
    while (!asleep()) await new Promise((resolve) => setImmediate(resolve));
    (await open(path, { timeout: 0 })).close();
    (await opening).close();
  }
});
