/** Memory that its owner moves away, or takes back, while a call has it. */
import { createPipe, type PipeReader, type PipeWriter } from 'interproc';
import { describe, expect, it } from 'vitest';
import { clean, runPeer } from '../support/peer.js';
import { closing, fill, pairOf, trySend, types } from '../support/sockets.js';

function pipe(): { reader: PipeReader; writer: PipeWriter } {
  const { reader, writer } = createPipe();
  return { reader: closing(reader), writer: closing(writer) };
}

function moveAway(memory: Uint8Array): void {
  structuredClone(memory, { transfer: [memory.buffer as ArrayBuffer] });
}

const movedAway = expect.objectContaining({
  code: 'ERR_INVALID_ARG_VALUE',
  message: expect.stringContaining('moved away'),
});

describe('a call whose memory is moved away while it waits', () => {
  it.each([
    'writer.write(data)',
    'writer.writev([new Uint8Array(1), data])',
    'stream.write(data)',
    'stream.write(data, { fds: [1] })',
  ])('rejects, and goes round in no circle: %s', async (call) => {
    const source = `
      const { reader, writer } = createPipe();
      const [stream, peer] = socketPair('stream');
      while (writer.tryWrite(Buffer.alloc(4096)) !== null);
      while (stream.tryWrite(Buffer.alloc(4096)) !== null);
      const data = new Uint8Array(100_000);
      const ended = assert.rejects(${call}, { code: 'ERR_INVALID_ARG_VALUE' });
      structuredClone(data, { transfer: [data.buffer] });
      while (reader.tryRead() !== null);
      while (peer.tryRead() !== null);
      await ended;`;
    // In a process of its own, which a watchdog can end.
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('rejects where a resizable buffer got smaller', async () => {
    const source = `
      const { reader, writer } = createPipe();
      while (writer.tryWrite(Buffer.alloc(4096)) !== null);
      const data = new ArrayBuffer(100_000, { maxByteLength: 100_000 });
      const ended = assert.rejects(writer.write(new Uint8Array(data)), { code: 'ERR_INVALID_ARG_VALUE' });
      data.resize(10);
      while (reader.tryRead() !== null);
      await ended;`;
    expect(await runPeer(source)).toMatchObject(clean);
  });

  it('reads nothing, and sees no end where there is none', async () => {
    const { reader, writer } = pipe();
    const into = new Uint8Array(100);
    const reading = reader.read({ into });
    moveAway(into);
    writer.tryWrite('hello');
    await expect(reading).rejects.toEqual(movedAway);
    expect(String(reader.tryRead())).toBe('hello');
  });

  it.each(types)('receives nothing: %s', async (type) => {
    const [one, other] = pairOf(type);
    const into = new Uint8Array(100);
    const receiving = one.receive({ into });
    moveAway(into);
    trySend(other, 'hello');
    await expect(receiving).rejects.toEqual(movedAway);
    expect(String(one.tryReceive())).toBe('hello');
  });

  it.each(['seqpacket', 'datagram'] as const)('sends no empty message: %s', async (type) => {
    const [one, other] = pairOf(type);
    fill(() => trySend(one, new Uint8Array(1000)));
    const moved = new Uint8Array(1000);
    const sending = (one as { send(data: Uint8Array): Promise<void> }).send(moved);
    moveAway(moved);
    const ended = expect(sending).rejects.toEqual(movedAway);
    const lengths = new Set<number | undefined>();
    while (lengths.add(other.tryReceive()?.data.length) && !lengths.has(undefined));
    await ended;
    expect([...lengths]).toEqual([1000, undefined]);
    expect(other.tryReceive()).toBeNull();
  });
});

describe('a list of the caller', () => {
  it('may have a getter that closes the socket: the call fails, and uses nothing that is gone', () => {
    const [one] = pairOf('stream');
    const list = [1];
    const closes = {
      get() {
        one.close();
        return 1;
      },
    };
    Object.defineProperty(list, 0, closes);
    list.map = () => Object.defineProperty([1], 0, closes) as never;
    expect(() => one.tryWrite('x', { fds: list })).toThrow(
      expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }),
    );
  });

  it('is read as lists are, whatever its methods do', () => {
    const { reader, writer } = pipe();
    const list = ['ok'];
    list.map = () => [new Uint8Array(3)] as never;
    expect(writer.tryWritev(list)).toBe(2);
    expect(String(reader.tryRead())).toBe('ok');
  });

  it('may have very many pieces, which all go, in order', async () => {
    const { reader, writer } = pipe();
    const pieces = Array.from({ length: 30_000 }, (_, index) => (index % 3 === 0 ? '' : `${index};`));
    const writing = writer.writev(pieces).then(() => writer.close());
    let text = '';
    for await (const chunk of reader) text += chunk;
    await writing;
    expect(text).toBe(pieces.join(''));
  });
});
