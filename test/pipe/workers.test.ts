/** Pipes in worker threads: several at once, and those that are terminated in the middle of a call. */
import { describe, expect, it } from 'vitest';
import { tempDir } from '../support/names.js';
import { clean, runPeer } from '../support/peer.js';
import { execArgv, expectNothingLeft, withWorkers } from '../support/workers.js';

describe('a worker that is terminated', () => {
  const open = 'const { reader, writer } = createPipe();';
  const calls = {
    'in read': `${open} say(); await reader.read();`,
    'in readSync': `${open} say(); reader.readSync();`,
    'in write': `${open} say(); await writer.write(Buffer.alloc(5_000_000));`,
    'in writeSync': `${open} say(); writer.writeSync(Buffer.alloc(5_000_000));`,
    'in openReader': 'Fifo.create(workerData); say(); await Fifo.openReader(workerData);',
    'in openReaderSync': 'Fifo.create(workerData); say(); Fifo.openReaderSync(workerData);',
    'in openWriter': 'Fifo.create(workerData); say(); await Fifo.openWriter(workerData);',
    'in openWriterSync': 'Fifo.create(workerData); say(); Fifo.openWriterSync(workerData);',
    'in spliceTo': `${open} const other = createPipe(); say(); await reader.spliceTo(other.writer, 1000);`,
    'in spliceToSync': `${open} const other = createPipe(); say(); reader.spliceToSync(other.writer, 1000);`,
    'in tee': `${open} const other = createPipe(); say(); await reader.tee(other.writer, 1000);`,
    'in toReadable': `${open} reader.toReadable().resume(); say(); await new Promise(() => {});`,
    'that reads and writes': `${open} say(); for (;;) { await writer.write('x'); await reader.read(); }`,
  };

  it.each(Object.entries(calls))('leaves no descriptor and no thread: %s', async (_, call) => {
    await expectNothingLeft(call, `${tempDir()}/`);
  });
});

describe('several workers', () => {
  it('write to each other through FIFOs and end by themselves', async () => {
    const source = `${withWorkers}
      const count = 6;
      const workers = Array.from({ length: count }, (_, i) => startWorker(\`
        const [folder, i, count] = workerData;
        const ring = (i + 1) % count;
        const [reader, writer] = await Promise.all([Fifo.openReader(folder + '/' + i), Fifo.openWriter(folder + '/' + ring)]);
        if (i === 0) await writer.write('0');
        for (;;) {
          const chunk = await reader.read();
          if (chunk === undefined) break;
          const next = Number(String(chunk)) + 1;
          if (next > 3000) break;
          await writer.write(String(next));
        }
        reader.close();
        writer.close();\`, [args[0], i, count]));
      for (let i = 0; i < count; i++) Fifo.create(args[0] + '/' + i);
      const ends = await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.once('exit', resolve).once('error', (error) => error.code === 'EPIPE' ? undefined : reject(error)))));
      assert.equal(ends.length, count);`;
    expect(await runPeer(source, { args: [tempDir()], execArgv })).toMatchObject({ code: 0, signal: null });
  });

  it('close what they leave open when they end', async () => {
    const source = `${withWorkers}
      for (let round = 0, before; round < 5; round++) {
        const worker = startWorker(\`
          globalThis.kept = createPipe();
          kept.reader.unref().read().catch(() => {});\`);
        assert.deepEqual(await once(worker, 'exit'), [0]);
        await settle();
        before ??= fds();
        assert.equal(fds(), before);
      }`;
    expect(await runPeer(source, { execArgv })).toMatchObject(clean);
  });
});
