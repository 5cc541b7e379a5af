/** Pipes that keep the bounds of what is written: O_DIRECT of pipe2(2). */
import { createPipe, PipeReader, PipeWriter } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse } from '../support/failures.js';
import { clean, startPeer } from '../support/peer.js';
import { expectBytes, leavesNothingOpen, openPipe, pattern, readAll } from '../support/pipes.js';

leavesNothingOpen();

async function lengths(chunks: AsyncIterable<Uint8Array>): Promise<number[]> {
  const all: number[] = [];
  for await (const chunk of chunks) all.push(chunk.length);
  return all;
}

describe('a pipe of packets', () => {
  it('gives each write of up to 4,096 bytes as one read', async () => {
    const { reader, writer } = openPipe({ packet: true });
    expect([reader.packet, writer.packet]).toEqual([true, true]);
    writer.tryWrite('a');
    writer.writeSync('bc');
    await writer.write(pattern(4096));
    writer.tryWritev(['d', 'ef']);
    expect(reader.tryRead()).toEqual(Buffer.from('a'));
    expect(reader.readSync()).toEqual(Buffer.from('bc'));
    expectBytes(await reader.read(), pattern(4096));
    expect(reader.tryRead()).toEqual(Buffer.from('def'));
    expect(reader.tryRead()).toBeNull();
  });

  it('refuses what would become several packets, and writes nothing of it', async () => {
    const { reader, writer } = openPipe({ packet: true });
    const long = Buffer.alloc(4097);
    const refused = misuse('RangeError', 'ERR_OUT_OF_RANGE', '"data.byteLength" is out of range');
    const calls: [string, () => unknown][] = [
      ['tryWrite', () => writer.tryWrite(long)],
      ['write', () => writer.write(long)],
      ['writeSync', () => writer.writeSync(long)],
      ['tryWritev', () => writer.tryWritev([long.subarray(0, 4096), 'x'])],
      ['writev', () => writer.writev([long.subarray(0, 4096), 'x'])],
      ['writevSync', () => writer.writevSync([long.subarray(0, 4096), 'x'])],
    ];
    for (const [title, call] of calls) expect(await failureOf(call), title).toEqual(refused);
    expect(reader.tryRead()).toBeNull();
    writer.tryWrite('whole');
    expect(reader.tryRead()).toEqual(Buffer.from('whole'));
  });

  it('refuses to read where the rest of a packet would be lost', async () => {
    const { reader, writer } = openPipe({ packet: true });
    writer.tryWrite('packet');
    const refused = misuse('RangeError', 'ERR_OUT_OF_RANGE', '"options.size" is out of range');
    for (const options of [
      { size: 4095 },
      { into: new Uint8Array(4095) },
      { into: new Uint8Array(8192), size: 1 },
    ]) {
      expect(() => reader.tryRead(options)).toThrow(refused);
      expect(() => reader.readSync(options)).toThrow(refused);
      expect(await failureOf(() => reader.read(options))).toEqual(refused);
    }
    expect(reader.tryRead({ into: new Uint8Array(4096) })).toEqual(Buffer.from('packet'));
  });

  it('makes one of each chunk of a stream, also of those that waited for room', async () => {
    const { reader, writer } = openPipe({ packet: true, capacity: 4096 });
    const stream = writer.toWritable();
    const expected = Array.from({ length: 40 }, (_, index) => 1000 + index);
    for (const length of expected) stream.write(Buffer.alloc(length));
    stream.end();
    expect(await lengths(reader)).toEqual(expected);
  });

  it('makes one of each chunk of a stream of the web, and chunks of packets', async () => {
    const { reader, writer } = openPipe({ packet: true });
    const sink = writer.toWeb().getWriter();
    const expected = [1, 4096, 1, 2, 3];
    const writing = Promise.all(expected.map((length) => sink.write(new Uint8Array(length)))).then(() =>
      sink.close(),
    );
    expect(await lengths(reader.toWeb())).toEqual(expected);
    await writing;
  });

  it('is one also behind descriptors that were handed on', async () => {
    const { reader, writer } = createPipe({ packet: true });
    const ends = {
      reader: PipeReader.fromFd(reader.fd, { packet: true }),
      writer: PipeWriter.fromFd(writer.fd, { packet: true }),
    };
    reader.close();
    writer.close();
    onTestFinished(() => ends.reader.close());
    const peer = startPeer(
      `const writer = PipeWriter.fromFd(4, { packet: true });
       for (let length = 1; length <= 100; length++) await writer.write(Buffer.alloc(length));`,
      { fds: [ends.writer.fd] },
    );
    ends.writer.close();
    expect(await lengths(ends.reader)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    expect(await peer.exited).toMatchObject(clean);
  });

  it('can be made of a pipe that is none, by its writer', async () => {
    const { reader, writer } = openPipe();
    const packets = PipeWriter.fromFd(writer.fd, { packet: true });
    onTestFinished(() => packets.close());
    packets.tryWrite('one');
    packets.tryWrite('two');
    expect(reader.tryRead()).toEqual(Buffer.from('one'));
    packets.close();
    writer.close();
    expect(await readAll(reader)).toEqual(Buffer.from('two'));
  });
});
