/** Pipes and FIFOs between two processes, on event loops and blocking: nothing is lost, torn or out of order. */
import { createPipe, Fifo, PipeWriter } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { clean, startPeer } from '../support/peer.js';
import { type Ends, makeFifo, openPipe } from '../support/pipes.js';

const rounds = 20_000;

/** Runs in the peer: it gives back what comes, until the end. */
const echo = {
  async: 'for await (const chunk of reader) await writer.write(chunk);',
  sync: 'for (let chunk; (chunk = reader.readSync()); ) writer.writeSync(chunk);',
};

/** Two ways between this process and a peer that runs `source`, which has its `reader` and `writer`. */
const ways = {
  pipe: async (source: string) => {
    const there = createPipe();
    const back = createPipe();
    const peer = startPeer(`const reader = PipeReader.fromFd(4), writer = PipeWriter.fromFd(5); ${source}`, {
      fds: [there.reader.fd, back.writer.fd],
    });
    there.reader.close();
    back.writer.close();
    return { peer, reader: back.reader, writer: there.writer };
  },
  FIFO: async (source: string) => {
    const [there, back] = [makeFifo(), makeFifo()];
    const peer = startPeer(
      `const [reader, writer] = await Promise.all([Fifo.openReader(args[0]), Fifo.openWriter(args[1])]); ${source}`,
      { args: [there, back] },
    );
    const [writer, reader] = await Promise.all([Fifo.openWriter(there), Fifo.openReader(back)]);
    return { peer, reader, writer };
  },
};

function afterwards<T extends Ends>(ends: T): T {
  onTestFinished(() => {
    ends.reader.close();
    ends.writer.close();
  });
  return ends;
}

describe.each(Object.entries(ways))('a %s each way', (_, open) => {
  it(`plays ping-pong ${rounds} times between two event loops`, async () => {
    const { peer, reader, writer } = afterwards(await open(echo.async));
    const ball = Buffer.alloc(64);
    for (let i = 0; i < rounds; i++) {
      ball.writeInt32LE(i);
      await writer.write(ball);
      const chunk = await reader.read();
      if (chunk === undefined || !chunk.equals(ball)) expect.fail(`round ${i} came back as another`);
    }
    writer.close();
    expect(await peer.exited).toMatchObject(clean);
    expect(await reader.read()).toBeUndefined();
  });

  it(`plays ping-pong ${rounds} times between two threads that block`, async () => {
    const { peer, reader, writer } = afterwards(await open(echo.sync));
    const ball = Buffer.alloc(64);
    for (let i = 0; i < rounds; i++) {
      ball.writeInt32LE(i);
      writer.writeSync(ball);
      const chunk = reader.readSync();
      if (chunk === undefined || !chunk.equals(ball)) expect.fail(`round ${i} came back as another`);
    }
    writer.close();
    expect(await peer.exited).toMatchObject(clean);
    expect(reader.readSync()).toBeUndefined();
  });

  it('carries a stream that is much longer than it, whoever is slower', async () => {
    const length = 8_000_000;
    const { peer, reader, writer } = afterwards(await open(echo.async));
    const data = Buffer.alloc(length);
    for (let at = 0; at < length; at += 4) data.writeInt32LE(at, at);
    const writing = writer.write(data).then(() => writer.close());
    let at = 0;
    for await (const chunk of reader) {
      if (!chunk.equals(data.subarray(at, at + chunk.length))) expect.fail(`it differs after byte ${at}`);
      at += chunk.length;
    }
    await writing;
    expect(at).toBe(length);
    expect(await peer.exited).toMatchObject(clean);
  });
});

describe('many writers of one pipe', () => {
  it(`never mix what they write, up to ${PipeWriter.PIPE_BUF} bytes`, async () => {
    const { reader, writer } = openPipe();
    const lengths = [8, 100, 1001, 4095, 4096];
    const each = 300;
    const source = `
      const [own, lengths, each, form] = args;
      const writer = PipeWriter.fromFd(4);
      for (let i = 0; i < each; i++) {
        const length = lengths[(i + own) % lengths.length];
        const data = Buffer.alloc(length, own + 1);
        data.writeUInt16LE(length);
        data.writeInt32LE(i, 2);
        if (form === 'sync') writer.writeSync(data);
        else await writer.write(data);
      }`;
    const writers = ['async', 'sync', 'async', 'sync'];
    const peers = writers.map((form, own) =>
      startPeer(source, { args: [own, lengths, each, form], fds: [writer.fd] }),
    );
    writer.close();
    const next = writers.map(() => 0);
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of reader) {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 8 && rest.length >= rest.readUInt16LE()) {
        const message = rest.subarray(0, rest.readUInt16LE());
        rest = rest.subarray(message.length);
        const own = (message[7] as number) - 1;
        expect(message.readInt32LE(2)).toBe((next[own] as number)++);
        if (!message.subarray(6).every((byte) => byte === own + 1))
          expect.fail('a message is mixed with another');
      }
    }
    expect(rest.length).toBe(0);
    expect(next).toEqual(writers.map(() => each));
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
  });
});
