import { createPipe, Fifo, PipeReader } from 'interproc';
import { aborted, close, closedInWait, timedOut, turn } from './place.js';

/** @type {Record<string, import('./place.js').Kind>} */
export const pipeKinds = {
  createPipe: () => (drop) => {
    const { reader, writer } = createPipe();
    writer.tryWrite('x');
    reader.tryRead();
    close(drop, reader, writer);
  },
  'PipeReader.fromFd': () => {
    const pipe = createPipe();
    return (drop) => {
      const reader = PipeReader.fromFd(pipe.reader.fd);
      reader.tryRead();
      close(drop, reader);
    };
  },
  'pipe that is waited for': () => async (drop) => {
    const { reader, writer } = createPipe();
    const other = createPipe();
    await aborted(
      (options) => reader.read(options),
      (options) => reader.spliceTo(other.writer, 1, options),
    );
    if (drop) await timedOut(() => reader.read({ timeout: 0.01 }));
    await closedInWait(reader, () => reader.read());
    close(drop, writer, other.reader, other.writer);
  },
  'pipe as streams': () => async (drop) => {
    const { reader, writer } = createPipe();
    const readable = reader.toReadable().resume();
    const writable = writer.toWritable();
    writable.write('x');
    await turn();
    // What reads is kept by its wait: nobody can drop it.
    readable.destroy();
    if (!drop) writable.destroy();
    await turn();
  },
  'pipe as web streams': () => async (drop) => {
    const { reader, writer } = createPipe();
    const readable = reader.toWeb().getReader();
    const writable = writer.toWeb().getWriter();
    await writable.write('x');
    await readable.read();
    if (!drop) await writable.close();
    await readable.cancel();
  },
  'pipe in a loop': () => async (drop) => {
    const { reader, writer } = createPipe();
    writer.tryWrite('x');
    for await (const _ of reader) break;
    writer.tryWrite('x');
    for await (const _ of reader) writer.close();
    close(drop, reader);
  },
  Fifo:
    ({ path }) =>
    (drop) => {
      Fifo.create(path);
      const reader = Fifo.tryOpenReader(path, { readWrite: true });
      const writer = Fifo.tryOpenWriter(path);
      Fifo.unlink(path);
      if (reader === null || writer === null) throw new Error('a FIFO that is there was not opened');
      writer.tryWrite('x');
      reader.tryRead();
      close(drop, reader, writer);
    },
  'Fifo that is waited for':
    ({ path }) =>
    async (drop) => {
      Fifo.create(path);
      await aborted(
        (options) => Fifo.openReader(path, options),
        (options) => Fifo.openReader(path, options),
      );
      const both = await Promise.all([Fifo.openReader(path), Fifo.openWriter(path)]);
      Fifo.unlink(path);
      close(drop, ...both);
    },
};
