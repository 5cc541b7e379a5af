/** What is read stays the reader's, whatever he does with what he read before: longer reads share their memory. */
import { createPipe, socketPair } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';

interface Way {
  send(bytes: Buffer): Promise<unknown>;
  receive(length: number): Promise<Buffer>;
}

const ways: Record<string, () => Way> = {
  pipe: () => {
    const { reader, writer } = createPipe();
    onTestFinished(() => (reader.close(), writer.close()));
    return {
      send: (bytes) => writer.write(bytes),
      receive: async (size) => (await reader.read({ size })) as Buffer,
    };
  },
  seqpacket: () => {
    const [one, other] = socketPair('seqpacket');
    onTestFinished(() => (one.close(), other.close()));
    return { send: (bytes) => one.send(bytes), receive: async () => (await other.receive())?.data as Buffer };
  },
};

describe.each(Object.entries(ways))('of a %s', (_name, make) => {
  it('no two reads share a byte', async () => {
    const way = make();
    const all: Buffer[] = [];
    for (let round = 0; round < 400; round++) {
      const length = 1 + ((round * 7919) % 9000);
      await way.send(Buffer.alloc(length, round % 256));
      const got = await way.receive(9000);
      expect(got.length).toBe(length);
      all.push(got);
    }
    all.forEach((each, round) => expect(each.every((byte) => byte === round % 256)).toBe(true));
    for (const each of all) each.fill(255);
    all.forEach((each, round) => each.fill(round % 256));
    all.forEach((each, round) => expect(each.every((byte) => byte === round % 256)).toBe(true));
  });

  it('one that is transferred takes no other one away', async () => {
    const way = make();
    const all: Buffer[] = [];
    for (let round = 0; round < 8; round++) {
      await way.send(Buffer.alloc(4000, round));
      all.push(await way.receive(4096));
    }
    const memory = (all[3] as Buffer).buffer as ArrayBuffer;
    try {
      structuredClone(memory, { transfer: [memory] });
    } catch (error) {
      expect(error).toMatchObject({ name: 'DataCloneError' }); // as for memory of Node's own pool; Node 20 clones
    }
    all.forEach((each, round) => expect([...new Set(each)]).toEqual([round]));
  });
});
