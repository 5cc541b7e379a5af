/** Ends of pipes as streams of Node and of the web. */

import { once } from 'node:events';
import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { tempPath } from '../support/names.js';
import { leavesNothingOpen, openPipe, pattern, readAll, until } from '../support/pipes.js';

leavesNothingOpen();

describe('toReadable() and toWritable()', () => {
  it('work in pipelines, file to pipe to file', async () => {
    const data = pattern(3_000_000);
    const [from, to] = [tempPath(), tempPath()];
    await pipeline([data], createWriteStream(from));
    const { reader, writer } = openPipe();
    const upper = new Transform({ transform: (chunk, _, done) => done(null, chunk) });
    await Promise.all([
      pipeline(createReadStream(from), writer.toWritable()),
      pipeline(reader.toReadable(), upper, createWriteStream(to)),
    ]);
    expect(readFileSync(to).equals(data)).toBe(true);
    expect([reader.closed, writer.closed]).toEqual([true, true]);
  });

  it('hold back who writes more than is read', async () => {
    const { reader, writer } = openPipe();
    const writable = writer.toWritable({ highWaterMark: 1000 });
    // More than the pipe holds, and fewer than it would take if nothing were held back.
    const chunks = 100;
    for (let i = 0; i < chunks; i++) writable.write(Buffer.alloc(1000));
    await until(() => reader.bytesAvailable > 60_000);
    await new Promise(setImmediate);
    expect(writable.writableNeedDrain).toBe(true);
    expect(writable.writableLength).toBeGreaterThan(0);
    const drained = once(writable, 'drain');
    const reading = readAll(reader.toReadable());
    await drained;
    writable.end();
    expect((await reading).length).toBe(chunks * 1000);
  });

  it('don’t read before they are asked', async () => {
    const { reader, writer } = openPipe();
    reader.toReadable();
    writer.tryWrite('x');
    await new Promise(setImmediate);
    expect(reader.bytesAvailable).toBe(1);
  });

  it('take text in any encoding', async () => {
    const { reader, writer } = openPipe();
    const writable = writer.toWritable();
    writable.write('68656c6c6f', 'hex');
    writable.end(' wörld');
    const readable = reader.toReadable({ encoding: 'utf8' });
    let text = '';
    for await (const chunk of readable) text += chunk;
    expect(text).toBe('hello wörld');
  });

  it('close their end when they are destroyed, with an error or without, also while they wait', async () => {
    for (const error of [undefined, new Error('enough')]) {
      const { reader, writer } = openPipe();
      const readable = reader.toReadable();
      readable.on('error', () => {});
      readable.resume();
      await new Promise(setImmediate);
      readable.destroy(error);
      await once(readable, 'close').catch(() => {});
      expect(reader.closed).toBe(true);
      const writable = writer.toWritable();
      const failed = once(writable, 'error');
      writable.write('x');
      expect((await failed)[0]).toMatchObject({ code: 'EPIPE' });
      expect(writer.closed).toBe(true);
    }
  });

  it('end with the error of an end that is closed beneath them', async () => {
    const { reader } = openPipe();
    const readable: Readable = reader.toReadable();
    const failed = once(readable, 'error');
    readable.resume();
    await new Promise(setImmediate);
    reader.close();
    expect((await failed)[0]).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  });

  it('are refused of a closed end', () => {
    const { reader, writer } = openPipe();
    reader.close();
    writer.close();
    const closed = expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' });
    for (const call of [
      () => reader.toReadable(),
      () => writer.toWritable(),
      () => reader.toWeb(),
      () => writer.toWeb(),
    ]) {
      expect(call).toThrow(closed);
    }
  });
});

describe('toWeb()', () => {
  it('carries bytes from one to the other', async () => {
    const { reader, writer } = openPipe();
    const data = pattern(500_000);
    const writing = (async () => {
      const web = writer.toWeb().getWriter();
      await web.write(data.subarray(0, 10));
      await web.write(data.subarray(10));
      await web.close();
    })();
    const read = await readAll(reader.toWeb());
    await writing;
    expect(read.equals(data)).toBe(true);
    expect([reader.closed, writer.closed]).toEqual([true, true]);
  });

  it('fills the memory of who brings it, and tells the end', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('hello');
    writer.close();
    const web = reader.toWeb().getReader({ mode: 'byob' });
    const { value } = await web.read(new Uint8Array(3));
    expect(Buffer.from(value as Uint8Array).toString()).toBe('hel');
    const rest = await web.read(new Uint8Array(100));
    expect(Buffer.from(rest.value as Uint8Array).toString()).toBe('lo');
    expect((await web.read(new Uint8Array(1))).done).toBe(true);
    expect(reader.closed).toBe(true);
  });

  it('closes the end when it is cancelled or aborted', async () => {
    const { reader, writer } = openPipe();
    await reader.toWeb().cancel('enough');
    expect(reader.closed).toBe(true);
    const web = writer.toWeb();
    await expect(web.getWriter().write('x')).rejects.toMatchObject({ code: 'EPIPE' });
    expect(writer.closed).toBe(true);
    const other = openPipe();
    await other.writer.toWeb().abort('enough');
    expect(other.writer.closed).toBe(true);
  });
});

describe('for await', () => {
  it('leaves the reader open, and ends quietly when that is closed', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('1');
    for await (const chunk of reader) {
      expect(String(chunk)).toBe('1');
      break;
    }
    expect(reader.closed).toBe(false);
    const seen: string[] = [];
    const loop = (async () => {
      for await (const chunk of reader) seen.push(String(chunk));
    })();
    writer.tryWrite('2');
    await new Promise((resolve) => setTimeout(resolve, 5));
    reader.close();
    await loop;
    expect(seen).toEqual(['2']);
    for await (const _ of reader) expect.fail('it is closed');
  });
});
