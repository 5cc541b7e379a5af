/** What threads of ours do with descriptors while their objects go, and what is over in the moment of an abort. */
import { closeSync, readdirSync, readSync, writeSync } from 'node:fs';
import { createPipe, type PipeReader, type PipeWriter } from 'interproc';
import { describe, expect, it } from 'vitest';
import { clean, runPeer } from '../support/peer.js';
import { closing } from '../support/sockets.js';

function pipe(): { reader: PipeReader; writer: PipeWriter } {
  const { reader, writer } = createPipe();
  return { reader: closing(reader), writer: closing(writer) };
}

const threads = () => readdirSync('/proc/self/task').length;

/** How many there are when none lingers after a call (native/os/blocking_threads.cc). */
async function restingThreads(): Promise<number> {
  await new Promise((ended) => setTimeout(ended, 200));
  return threads();
}

describe('a tee', () => {
  it('goes on to the pipe that it began with when its writer is detached', async () => {
    const source = pipe();
    const target = pipe();
    const copying = source.reader.tee(target.writer, 100);
    const fd = target.writer.detach();
    try {
      writeSync(source.writer.fd, 'hello');
      expect(await copying).toBe(5);
    } finally {
      closeSync(fd);
    }
    expect(String(target.reader.tryRead())).toBe('hello');
  });

  it('that has copied something when it is aborted resolves', async () => {
    const source = pipe();
    const target = pipe();
    const before = await restingThreads();
    const abort = new AbortController();
    const copying = source.reader.tee(target.writer, 100, { signal: abort.signal });
    writeSync(source.writer.fd, 'hello');
    while (threads() > before); // its outcome is there, and nobody was told yet
    abort.abort();
    expect(await copying).toBe(5);
  });
});

describe('a splice', () => {
  it('whose source had ended when it is aborted resolves, and more may be written', async () => {
    const source = pipe();
    const { reader, writer } = pipe();
    writer.tryWrite('');
    const before = await restingThreads();
    const abort = new AbortController();
    const moving = writer.spliceFrom(source.reader, 100, { signal: abort.signal });
    writeSync(source.writer.fd, 'hello');
    source.writer.close();
    while (threads() > before);
    abort.abort();
    expect(await moving).toBe(5);
    expect(writer.tryWrite('!')).toBe(1);
    expect(String(reader.tryRead())).toBe('hello!');
  });

  it('that is aborted half-way tells how far it came, and tears the stream', async () => {
    const source = pipe();
    const { reader, writer } = pipe();
    const abort = new AbortController();
    const moving = writer.spliceFrom(source.reader, 100, { signal: abort.signal });
    writeSync(source.writer.fd, 'hello');
    const bytes = Buffer.alloc(5);
    readSync(reader.fd, bytes);
    abort.abort();
    await expect(moving).rejects.toMatchObject({ code: 'ABORT_ERR', bytesWritten: 5 });
    expect(() => writer.tryWrite('!')).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_TORN' }));
  });

  it('at once never waits for a socket', async () => {
    const source = `
      const { reader, writer } = createPipe();
      const [one, other] = socketPair('stream');
      while (one.tryWrite(Buffer.alloc(65_536)) !== null);
      writer.tryWrite('hello');
      assert.equal(reader.trySpliceTo(one, 5), null);
      while (other.tryRead() !== null);
      assert.equal(reader.trySpliceTo(one, 5), 5);
      assert.equal(writer.trySpliceFrom(one, 5), null);
      other.tryWrite('back');
      assert.equal(writer.trySpliceFrom(one, 5), 4);
      assert.equal(String(reader.tryRead()), 'back');`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('that waits for a socket keeps nobody from using the pipe meanwhile', async () => {
    const source = `
      const { reader, writer } = createPipe();
      const [one, other] = socketPair('datagram');
      const moving = writer.spliceFrom(one, 100);
      // Asleep in poll(2), once it has found nothing.
      const { readdirSync, readFileSync } = await import('node:fs');
      const asleep = () => readdirSync('/proc/self/task').some((id) =>
        /poll|sk(b)?_wait/.test(readFileSync('/proc/self/task/' + id + '/wchan', 'utf8').replace('ep_poll', '')));
      while (!asleep()) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(reader.tryRead(), null);
      other.trySend('hello');
      assert.equal(String(await reader.read()), 'hello');
      writer.close();
      await assert.rejects(moving, { code: 'ERR_INTERPROC_CLOSED', bytesWritten: 5 });`;
    expect(await runPeer(source)).toMatchObject(clean);
  });
});
