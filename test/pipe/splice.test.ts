/** Bytes that the kernel moves: between pipes, files and sockets. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createPipe, socketPair } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, systemError, type Wrong } from '../support/failures.js';
import { tempPath } from '../support/names.js';
import {
  fill,
  leavesNothingOpen,
  openPipe,
  pattern,
  readAll,
  readExactly,
  threads,
  until,
} from '../support/pipes.js';

leavesNothingOpen();

function fileWith(data: Uint8Array, flags = 'r'): { path: string; fd: number } {
  const path = tempPath();
  writeFileSync(path, data);
  const fd = openSync(path, flags);
  onTestFinished(() => closeSync(fd));
  return { path, fd };
}

describe('splice', () => {
  it('moves a file into a pipe and out of it into another, whatever the pipe holds', async () => {
    const data = pattern(1_000_000);
    const { fd } = fileWith(data);
    const target = fileWith(Buffer.alloc(0), 'w');
    const { reader, writer } = openPipe();
    const [into, out] = await Promise.all([
      writer.spliceFrom(fd, 2_000_000).finally(() => writer.close()),
      reader.spliceTo(target.fd, Number.MAX_SAFE_INTEGER),
    ]);
    expect([into, out]).toEqual([data.length, data.length]);
    expect(readFileSync(target.path).equals(data)).toBe(true);
  });

  it('goes on from the position of the file, and stops at the length', async () => {
    const { fd } = fileWith(pattern(1000));
    const { reader, writer } = openPipe();
    expect(await writer.spliceFrom(fd, 10)).toBe(10);
    expect(writer.trySpliceFrom(fd, 20)).toBe(20);
    expect(writer.spliceFromSync(fd, 30)).toBe(30);
    expect(await writer.spliceFrom(fd, 0)).toBe(0);
    expect((await readExactly(reader, 60)).equals(pattern(60))).toBe(true);
    expect(await writer.spliceFrom(fd, 2000)).toBe(940);
    expect(writer.trySpliceFrom(fd, 5)).toBeUndefined();
  });

  it('takes what has an fd: a file of node:fs/promises, an end of a pipe', async () => {
    const { path } = fileWith(Buffer.from('content'));
    const file = await open(path);
    const one = openPipe();
    const other = openPipe();
    expect(await one.writer.spliceFrom(file, 100)).toBe(7);
    await file.close();
    expect(await one.reader.spliceTo(other.writer, 7)).toBe(7);
    expect(String(other.reader.tryRead())).toBe('content');
  });

  it('moves to and from sockets', async () => {
    const { reader, writer } = openPipe();
    const [ours, theirs] = socketPair('stream');
    writer.tryWrite('to the socket');
    expect(await reader.spliceTo(ours, 13)).toBe(13);
    expect(String(await theirs.read())).toBe('to the socket');
    await theirs.write('from it');
    expect(await writer.spliceFrom(ours, 7)).toBe(7);
    expect(String(await reader.read())).toBe('from it');
    ours.close();
    theirs.close();
  });

  it('tells of nothing now, and of the end', () => {
    const { reader, writer } = openPipe();
    const { fd } = fileWith(Buffer.alloc(0), 'w');
    expect(reader.trySpliceTo(fd, 5)).toBeNull();
    writer.close();
    expect(reader.trySpliceTo(fd, 5)).toBeUndefined();
    expect(reader.spliceToSync(fd, 5)).toBe(0);
  });

  it('that is aborted or times out half-way tells how far it came, and leaves no thread', async () => {
    const before = threads();
    const { reader, writer } = openPipe();
    const { fd, path } = fileWith(Buffer.alloc(0), 'w');
    writer.tryWrite('abc');
    const abort = new AbortController();
    const moving = reader.spliceTo(fd, 10, { signal: abort.signal });
    await until(() => reader.bytesAvailable === 0);
    abort.abort();
    await expect(moving).rejects.toMatchObject({ code: 'ABORT_ERR', bytesWritten: 3 });
    expect(readFileSync(path, 'utf8')).toBe('abc');
    await expect(reader.spliceTo(fd, 10, { timeout: 5 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      bytesWritten: 0,
    });
    expect(() => reader.spliceToSync(fd, 10, { timeout: 5 })).toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT', bytesWritten: 0 }),
    );
    const closing = reader.spliceTo(fd, 10);
    reader.close();
    await expect(closing).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED', bytesWritten: 0 });
    await until(() => threads() <= before);
  });

  it('into a pipe that ends half-way makes further writes an error', async () => {
    const { fd } = fileWith(pattern(500_000));
    const { reader, writer } = openPipe();
    const moving = writer.spliceFrom(fd, 500_000, { timeout: 50 });
    const { bytesWritten } = (await failureOf(() => moving)) as { bytesWritten: number };
    expect(bytesWritten).toBeGreaterThan(0);
    expect(bytesWritten).toBeLessThan(500_000);
    await expect(writer.write('x')).rejects.toMatchObject({ code: 'ERR_INTERPROC_TORN' });
    expect(() => writer.trySpliceFrom(fd, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_INTERPROC_TORN' }),
    );
    writer.close();
    expect((await readAll(reader)).equals(pattern(bytesWritten))).toBe(true);
  });

  it('takes its turn among reads and writes', async () => {
    const one = openPipe();
    const other = openPipe();
    const first = one.reader.read({ size: 2 });
    const second = one.reader.spliceTo(other.writer, 3);
    const third = one.reader.read({ size: 2 });
    one.writer.tryWrite('1122233');
    expect([String(await first), await second, String(await third)]).toEqual(['11', 3, '33']);
    expect(String(other.reader.tryRead())).toBe('222');
  });

  it('refuses what can not be spliced, and says why', async () => {
    const { reader, writer } = openPipe();
    const appending = fileWith(Buffer.alloc(0), 'a');
    writer.tryWrite('x');
    for (const call of [
      () => reader.trySpliceTo(appending.fd, 1),
      () => reader.spliceTo(appending.fd, 1),
      () => reader.spliceToSync(appending.fd, 1),
    ]) {
      const failure = await failureOf(call);
      expect(failure).toEqual(systemError('EINVAL', 'splice'));
      expect((failure as Error).message).toContain('appending');
    }
    expect(() => reader.trySpliceTo(999_999, 1)).toThrow(systemError('EBADF', 'splice'));
    await expect(reader.spliceTo(999_999, 1)).rejects.toMatchObject({ code: 'EBADF' });
    expect(() => reader.trySpliceTo('1' as Wrong, 1)).toThrow(
      misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'fd'),
    );
    expect(() => reader.trySpliceTo(1, -1)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', 'length'));
    expect(String(reader.tryRead())).toBe('x');
  });
});

describe('tee', () => {
  it('copies into another pipe and takes nothing away, in three forms', async () => {
    const one = openPipe();
    const other = openPipe();
    one.writer.tryWrite('teeth');
    expect(one.reader.tryTee(other.writer, 3)).toBe(3);
    expect(await one.reader.tee(other.writer, 100)).toBe(5);
    expect(one.reader.teeSync(other.writer, 100)).toBe(5);
    expect(one.reader.tryTee(other.writer, 0)).toBe(0);
    expect(String(await readExactly(other.reader, 13))).toBe('teeteethteeth');
    expect(String(one.reader.tryRead())).toBe('teeth');
    expect(one.reader.tryTee(other.writer, 5)).toBeNull();
    one.writer.close();
    expect(one.reader.tryTee(other.writer, 5)).toBeUndefined();
    expect(await one.reader.tee(other.writer, 5)).toBeUndefined();
  });

  it('waits for data, and for room', async () => {
    const one = openPipe();
    const other = openPipe();
    const waiting = one.reader.tee(other.writer, 5);
    one.writer.tryWrite('hello');
    expect(await waiting).toBe(5);
    expect(String(other.reader.tryRead())).toBe('hello');
    const filled = fill(other.writer);
    expect(one.reader.tryTee(other.writer, 5)).toBeNull();
    const again = one.reader.tee(other.writer, 5);
    await readExactly(other.reader, filled);
    expect(await again).toBe(5);
  });

  it('refuses the other end of the same pipe, and what is no writer', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('x');
    expect(() => reader.tryTee(writer, 1)).toThrow(systemError('EINVAL', 'tee'));
    for (const wrong of [reader, 1, undefined, {}]) {
      const refused = misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'writer');
      expect(() => reader.tryTee(wrong as Wrong, 1)).toThrow(refused);
      await expect(reader.tee(wrong as Wrong, 1)).rejects.toEqual(refused);
    }
    const closed = createPipe();
    closed.reader.close();
    closed.writer.close();
    expect(() => reader.tryTee(closed.writer, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }),
    );
  });
});
