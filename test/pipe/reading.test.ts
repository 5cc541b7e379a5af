/** The three forms of reading, and what ends them. */
import { MappedFile, type PipeReader } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, misuse } from '../support/failures.js';
import { tempPath } from '../support/names.js';
import { expectBytes, leavesNothingOpen, openPipe, pattern, readExactly } from '../support/pipes.js';

leavesNothingOpen();

type ReadOptions = Parameters<PipeReader['tryRead']>[0];
const forms: [title: string, read: (reader: PipeReader, options?: ReadOptions) => unknown][] = [
  ['tryRead', (reader, options) => reader.tryRead(options)],
  ['read', (reader, options) => reader.read(options)],
  ['readSync', (reader, options) => reader.readSync(options)],
];

describe.each(forms)('%s', (_, read) => {
  it('gives what is there, as a Buffer of its own', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('first');
    const first = await read(reader);
    expect(first).toEqual(Buffer.from('first'));
    writer.tryWrite('later');
    expect(await read(reader)).toEqual(Buffer.from('later'));
    expect(first).toEqual(Buffer.from('first'));
  });

  it('gives many bytes that the next read doesn’t touch', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite(pattern(60_000, 1));
    const first = await read(reader);
    writer.tryWrite(pattern(60_000, 2));
    const second = await read(reader);
    expectBytes(first, pattern(60_000, 1));
    expectBytes(second, pattern(60_000, 2));
  });

  it('gives at most `size` bytes, and leaves the rest', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('abcdef');
    expect(await read(reader, { size: 4 })).toEqual(Buffer.from('abcd'));
    expect(reader.bytesAvailable).toBe(2);
    expect(await read(reader, { size: 1 })).toEqual(Buffer.from('e'));
  });

  it('reads more than 64 KiB at once where it is told to', async () => {
    const { reader, writer } = openPipe({ capacity: 1 << 20 });
    const data = pattern(300_000);
    writer.tryWrite(data);
    expectBytes(await read(reader), data.subarray(0, 65_536));
    expectBytes(await read(reader, { size: 1 << 20 }), data.subarray(65_536));
  });

  it('fills `into`, and gives a view of what was filled', async () => {
    const { reader, writer } = openPipe();
    const memory = new ArrayBuffer(16);
    for (const into of [
      new Uint8Array(memory, 4, 8),
      new DataView(memory, 4, 8),
      new Uint32Array(memory, 4, 2),
    ]) {
      writer.tryWrite('xyz');
      const view = (await read(reader, { into })) as Buffer;
      expect(view).toEqual(Buffer.from('xyz'));
      expect([view.buffer, view.byteOffset]).toEqual([memory, 4]);
    }
    writer.tryWrite('0123456789');
    expect(await read(reader, { into: memory, size: 3 })).toEqual(Buffer.from('012'));
    expect(await read(reader, { into: Buffer.from(memory, 0, 2), size: 100 })).toEqual(Buffer.from('34'));
  });

  it('fills shared memory of this process and of the package', async () => {
    const { reader, writer } = openPipe();
    const shared = new SharedArrayBuffer(8);
    writer.tryWrite('threads');
    const view = (await read(reader, { into: shared })) as Buffer;
    expect(view.buffer).toBe(shared);
    expect(Buffer.from(shared).toString('latin1')).toBe('threads\0');
    using file = MappedFile.create(tempPath(), { size: 4096 });
    writer.tryWrite('processes');
    await read(reader, { into: file.buffer });
    expect(Buffer.from(file.buffer, 0, 9).toString()).toBe('processes');
  });

  it('gives undefined at the end, again and again', async () => {
    const { reader, writer } = openPipe();
    writer.tryWrite('last');
    writer.close();
    expect(await read(reader)).toEqual(Buffer.from('last'));
    expect(await read(reader)).toBeUndefined();
    expect(await read(reader, { into: new Uint8Array(8) })).toBeUndefined();
  });

  it('refuses memory that was moved away before', async () => {
    const { reader } = openPipe();
    const into = new Uint8Array(8);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    for (const each of [into, into.buffer]) {
      expect(await failureOf(() => read(reader, { into: each }))).toEqual(
        misuse('TypeError', 'ERR_INVALID_ARG_VALUE', '"options.into" property must have its memory'),
      );
    }
  });

  it('refuses a closed reader', async () => {
    const { reader } = openPipe();
    reader.close();
    expect(await failureOf(() => read(reader))).toMatchObject({
      name: 'IpcError',
      code: 'ERR_INTERPROC_CLOSED',
    });
  });
});

describe('a reader where nothing is', () => {
  it('gives null to tryRead', () => {
    const { reader } = openPipe();
    expect(reader.tryRead()).toBeNull();
    expect(reader.tryRead({ into: new Uint8Array(1) })).toBeNull();
  });

  it('makes read wait until something comes', async () => {
    const { reader, writer } = openPipe();
    const read = reader.read();
    await writer.write('here');
    expect(await read).toEqual(Buffer.from('here'));
  });

  it('serves those who wait in the order in which they came', async () => {
    const { reader, writer } = openPipe();
    const reads = Array.from({ length: 100 }, () => reader.read({ size: 2 }));
    await writer.write(pattern(200));
    expect(Buffer.concat((await Promise.all(reads)) as Buffer[])).toEqual(pattern(200));
  });

  it('tells all who wait of the end', async () => {
    const { reader, writer } = openPipe();
    const reads = Array.from({ length: 10 }, () => reader.read());
    writer.close();
    expect(await Promise.all(reads)).toEqual(Array(10).fill(undefined));
  });

  it('gives tryRead null and readSync an error while others wait, who come first', async () => {
    const { reader, writer } = openPipe();
    const first = reader.read();
    writer.tryWrite('theirs');
    expect(reader.tryRead()).toBeNull();
    expect(() => reader.readSync()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }));
    expect(await first).toEqual(Buffer.from('theirs'));
    writer.tryWrite('mine');
    expect(reader.readSync()).toEqual(Buffer.from('mine'));
  });

  it('wakes on every one of many small writes, also where reads leave something', async () => {
    const { reader, writer } = openPipe();
    const writing = (async () => {
      for (let count = 0; count < 2000; count++) await writer.write('abc');
      writer.close();
    })();
    let total = 0;
    for (
      let chunk = await reader.read({ size: 2 });
      chunk !== undefined;
      chunk = await reader.read({ size: 2 })
    ) {
      total += chunk.length;
    }
    await writing;
    expect(total).toBe(6000);
  });
});

describe('a transfer of many bytes', () => {
  it('gives them all, in order, in pieces of any size', async () => {
    const { reader, writer } = openPipe({ capacity: 4096 });
    const data = pattern(1_000_000);
    const sizes = [1, 4095, 4096, 4097, 70_000];
    const writing = (async () => {
      let at = 0;
      for (let turn = 0; at < data.length; turn++) {
        const size = sizes[turn % sizes.length] as number;
        await writer.write(data.subarray(at, at + size));
        at += size;
      }
    })();
    expectBytes(await readExactly(reader, data.length), data);
    await writing;
  });
});
