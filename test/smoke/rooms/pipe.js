import assert from 'node:assert/strict';
import { createPipe, Fifo, PipeReader, PipeWriter } from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

/** @param {TestContext} t @param {import('interproc').CreatePipeOptions} [options] */
const pipe = (t, options) => {
  const { reader, writer } = createPipe(options);
  return { reader: t.closing(reader), writer: t.closing(writer) };
};

/** Everything that comes, until the end. @param {PipeReader} reader */
const all = async (reader) => {
  let text = '';
  for await (const chunk of reader) text += chunk;
  return text;
};

const kibibytes = 200; // more than a pipe holds

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'the three forms of reading and writing': async (t) => {
    const { reader, writer } = pipe(t);
    assert.equal(reader.tryRead(), null);
    assert.equal(writer.tryWrite('one'), 3);
    assert.equal(`${reader.tryRead()}`, 'one');
    const pending = reader.read();
    await writer.write('two');
    assert.equal(`${await pending}`, 'two');
    writer.writeSync('three');
    assert.equal(`${reader.readSync()}`, 'three');
    writer.close();
    assert.equal(reader.tryRead(), undefined);
    assert.equal(await reader.read(), undefined);
  },

  'waits end by timeout, by an abort and by closing': async (t) => {
    const { reader } = pipe(t);
    await assert.rejects(reader.read({ timeout: 5 }), { code: 'ETIMEDOUT' });
    assert.throws(() => reader.readSync({ timeout: 5 }), { code: 'ETIMEDOUT' });
    const controller = new AbortController();
    const aborted = assert.rejects(reader.read({ signal: controller.signal }), { code: 'ABORT_ERR' });
    controller.abort();
    await aborted;
    const closed = assert.rejects(reader.read(), { code: 'ERR_INTERPROC_CLOSED' });
    reader.close();
    await closed;
  },

  'to write where nobody reads any more is EPIPE, and no signal': async (t) => {
    const { reader, writer } = pipe(t);
    reader.close();
    assert.throws(() => writer.tryWrite('x'), { code: 'EPIPE' });
    await assert.rejects(writer.write('x'), { code: 'EPIPE' });
  },

  'two processes talk over a pair of pipes': async (t) => {
    const [there, back] = [pipe(t), pipe(t)];
    const side = t.side('echoes', undefined, { fds: [there.reader.fd, back.writer.fd] });
    there.reader.close();
    back.writer.close();
    const answer = all(back.reader);
    const text = 'x'.repeat(1024);
    for (let i = 0; i < kibibytes; i++) await there.writer.write(text);
    there.writer.close();
    await side.done(); // its end is the end of the pipe, too
    assert.equal((await answer).length, kibibytes * 1024);
  },

  'two processes meet at a FIFO': async (t) => {
    const path = t.path('fifo');
    Fifo.create(path);
    assert.equal(Fifo.tryOpenWriter(path), null); // nobody reads yet
    const opening = Fifo.openReader(path);
    const side = t.side('writesToFifo', path);
    const reader = t.closing(await opening);
    assert.equal((await all(reader)).length, kibibytes * 1024);
    await side.done();
  },

  'bytes go from pipe to pipe without a copy': (t) => {
    const [first, second] = [pipe(t), pipe(t)];
    first.writer.writeSync('moved');
    assert.equal(first.reader.tryTee(second.writer, 5), 5);
    assert.equal(first.reader.trySpliceTo(second.writer, 5), 5);
    assert.equal(`${second.reader.readSync()}`, 'movedmoved');
  },

  'messages of a packet pipe stay whole': (t) => {
    const { reader, writer } = pipe(t, { packet: true });
    writer.writeSync('one');
    writer.writeSync('two');
    assert.equal(`${reader.readSync()}`, 'one');
    assert.equal(`${reader.readSync()}`, 'two');
  },

  'what is missing has the code of the system': async (t) => {
    await assert.rejects(Fifo.openReader(t.path('none')), {
      name: 'IpcError',
      code: 'ENOENT',
      syscall: 'open',
    });
    const path = t.file();
    assert.throws(() => Fifo.create(path), { code: 'EEXIST', syscall: 'mkfifo' });
  },

  'a worker writes to a FIFO': async (t) => {
    const path = t.path('fifo');
    Fifo.create(path);
    const opening = Fifo.openReader(path);
    const worker = t.worker('writesToFifo', path);
    const reader = t.closing(await opening);
    assert.equal((await all(reader)).length, kibibytes * 1024);
    await worker.done();
  },

  'a pipe ends with the worker that had its only writer': async (t) => {
    const path = t.path('fifo');
    Fifo.create(path);
    const opening = Fifo.openReader(path);
    const worker = t.worker('holdsWriter', path);
    const reader = t.closing(await opening);
    assert.equal(`${await reader.read()}`, 'open');
    const ended = all(reader);
    await worker.terminate();
    assert.equal((await ended).length, 0);
  },
};

/** @param {string} path */
async function writeToFifo(path) {
  const writer = await Fifo.openWriter(path);
  const text = 'x'.repeat(1024);
  for (let i = 0; i < kibibytes; i++) {
    if (i % 2 === 0) await writer.write(text);
    else writer.writeSync(text, { timeout: 20_000 });
  }
  writer.close();
}

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  echoes: async () => {
    const reader = PipeReader.fromFd(3);
    const writer = PipeWriter.fromFd(4);
    for await (const chunk of reader) await writer.write(chunk);
    reader.close();
    writer.close();
  },
  writesToFifo: ({ args }) => writeToFifo(args),
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  writesToFifo: writeToFifo,
  holdsWriter: (path) => {
    const writer = Fifo.openWriterSync(path);
    writer.writeSync('open');
    setInterval(() => writer.close(), 1e6); // it stays, and so does what it holds
  },
};
