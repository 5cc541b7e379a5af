/** The forms of writing, what keeps writes whole, and what is said where one isn't. */
import type { MessageData, PipeWriter } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, misuse, systemError } from '../support/failures.js';
import {
  expectBytes,
  fill,
  leavesNothingOpen,
  openPipe,
  pattern,
  readAll,
  readExactly,
} from '../support/pipes.js';

leavesNothingOpen();

const forms: [title: string, write: (writer: PipeWriter, data: MessageData) => unknown][] = [
  ['tryWrite', (writer, data) => writer.tryWrite(data)],
  ['write', (writer, data) => writer.write(data)],
  ['writeSync', (writer, data) => writer.writeSync(data)],
  ['tryWritev', (writer, data) => writer.tryWritev([data])],
  ['writev', (writer, data) => writer.writev([data])],
  ['writevSync', (writer, data) => writer.writevSync([data])],
];

describe.each(forms)('%s', (title, write) => {
  it('takes text as UTF-8, views, buffers and shared memory', async () => {
    const { reader, writer } = openPipe();
    const memory = Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]).buffer;
    const shared = new SharedArrayBuffer(2);
    new Uint8Array(shared).set([8, 9]);
    const kinds: [MessageData, number[]][] = [
      ['é', [0xc3, 0xa9]],
      [Buffer.from(memory, 1, 2), [1, 2]],
      [new Uint8Array(memory, 3, 1), [3]],
      [new DataView(memory, 4, 4), [4, 5, 6, 7]],
      [new Int16Array(memory, 2, 1), [2, 3]],
      [memory, [0, 1, 2, 3, 4, 5, 6, 7]],
      [shared, [8, 9]],
      [new Uint8Array(shared, 1), [9]],
    ];
    for (const [data, bytes] of kinds) {
      expect(await write(writer, data)).toBe(title.startsWith('try') ? bytes.length : undefined);
      expect(reader.tryRead()).toEqual(Buffer.from(bytes));
    }
  });

  it('of nothing writes nothing', async () => {
    const { reader, writer } = openPipe();
    expect(await write(writer, '')).toBe(title.startsWith('try') ? 0 : undefined);
    expect(reader.tryRead()).toBeNull();
  });

  it('fails with EPIPE where all readers have closed', async () => {
    const { reader, writer } = openPipe();
    reader.close();
    expect(await failureOf(() => write(writer, 'lost'))).toEqual(systemError('EPIPE', 'write'));
  });

  it('refuses a closed writer', async () => {
    const { writer } = openPipe();
    writer.close();
    expect(await failureOf(() => write(writer, 'late'))).toMatchObject({
      name: 'IpcError',
      code: 'ERR_INTERPROC_CLOSED',
    });
  });

  it('refuses memory that was moved away before', async () => {
    const { writer } = openPipe();
    const data = new Uint8Array(8);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    const subject = title.includes('writev') || title.includes('Writev') ? 'list[0]' : 'data';
    expect(await failureOf(() => write(writer, data))).toEqual(
      misuse('TypeError', 'ERR_INVALID_ARG_VALUE', `"${subject}" argument must have its memory`),
    );
  });
});

describe('tryWrite', () => {
  it('gives null where there is no room, and how much there was room for', () => {
    const { reader, writer } = openPipe({ capacity: 8192 });
    expect(writer.tryWrite(pattern(10_000))).toBe(8192);
    expect(writer.tryWrite('x')).toBeNull();
    expect(reader.tryRead()).toEqual(pattern(8192));
  });

  it('writes up to PIPE_BUF bytes as a whole or not at all', () => {
    const { reader, writer } = openPipe({ capacity: 8192 });
    writer.tryWrite(Buffer.alloc(6000));
    expect(writer.tryWrite(Buffer.alloc(4096))).toBeNull();
    expect(reader.bytesAvailable).toBe(6000);
  });

  it('leaves the turn to those who wait', async () => {
    const { reader, writer } = openPipe();
    fill(writer);
    const first = writer.write('first');
    reader.tryRead({ size: 8192 });
    expect(writer.tryWrite('x')).toBeNull();
    expect(writer.tryWritev(['x'])).toBeNull();
    expect(() => writer.writeSync('x')).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }));
    expect(() => writer.writevSync(['x'])).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }));
    await first;
    expect(writer.tryWrite('x')).toBe(1);
  });
});

describe('write', () => {
  it('resolves when all is written, and not before', async () => {
    const { reader, writer } = openPipe();
    let written = false;
    const writing = writer.write(pattern(65_537)).then(() => (written = true));
    const head = await readExactly(reader, 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect([written, reader.bytesAvailable]).toEqual([false, 65_535]);
    expectBytes(Buffer.concat([head, await readExactly(reader, 65_536)]), pattern(65_537));
    await writing;
  });

  it('of several who wait goes one after the other', async () => {
    const { reader, writer } = openPipe();
    const all = Array.from({ length: 20 }, (_, seed) => pattern(30_000, seed));
    const writing = all.map((data, index) => (index % 2 === 0 ? writer.write(data) : writer.writev([data])));
    expectBytes(await readExactly(reader, 600_000), Buffer.concat(all));
    await Promise.all(writing);
  });

  it('goes on where the capacity grows', async () => {
    const { reader, writer } = openPipe({ capacity: 4096 });
    const writing = writer.write(pattern(10_000));
    reader.capacity = 16_384;
    await writing;
    expect(reader.tryRead()).toEqual(pattern(10_000));
  });

  it('fails with EPIPE when the reader closes while it waits, and tells how much had gone', async () => {
    const { reader, writer } = openPipe();
    const writing = failureOf(() => writer.write(Buffer.alloc(100_000)));
    const behind = failureOf(() => writer.write('behind'));
    reader.close();
    expect(await writing).toEqual(systemError('EPIPE', 'write'));
    expect(await writing).toMatchObject({ bytesWritten: 65_536 });
    expect(await behind).toMatchObject({ code: 'ERR_INTERPROC_TORN', bytesWritten: 0 });
  });
});

describe('writev', () => {
  it('writes the pieces in a row', async () => {
    const { reader, writer } = openPipe();
    const list = [
      'one',
      Buffer.from('two'),
      '',
      new Uint8Array(0),
      new DataView(Buffer.from('xthree').buffer, 0, 0),
      'four',
    ];
    expect(writer.tryWritev(list)).toBe(10);
    await writer.writev(list);
    writer.writevSync(list);
    expect(`${reader.tryRead()}`).toBe('onetwofour'.repeat(3));
  });

  it('of no pieces writes nothing', async () => {
    const { reader, writer } = openPipe();
    expect(writer.tryWritev([])).toBe(0);
    expect(await writer.writev([])).toBeUndefined();
    expect(writer.writevSync([])).toBeUndefined();
    expect(reader.tryRead()).toBeNull();
  });

  it('goes on in the middle of a piece after it has waited', async () => {
    const { reader, writer } = openPipe({ capacity: 4096 });
    const list = Array.from({ length: 50 }, (_, index) => pattern(index * 37, index));
    const writing = writer.writev(list);
    const expected = Buffer.concat(list);
    expectBytes(await readExactly(reader, expected.length), expected);
    await writing;
  });

  it('of up to PIPE_BUF bytes is whole, of however many pieces they are', () => {
    const { reader, writer } = openPipe({ packet: true });
    expect(writer.tryWritev(Array(4096).fill('a'))).toBe(4096);
    expect(reader.tryRead()).toEqual(Buffer.alloc(4096, 'a'));
  });

  it('of more pieces than a system call takes writes them all', async () => {
    const { reader, writer } = openPipe();
    const list = Array.from({ length: 60_000 }, (_, index) => pattern(index % 5, index));
    const writing = writer.writev(list).then(() => writer.close());
    expectBytes(await readAll(reader), Buffer.concat(list));
    await writing;
  });
});
