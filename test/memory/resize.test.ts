import { SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { holdings } from '../support/leaks.js';
import { shmName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';

describe('resize', () => {
  it('grows the object, keeps its bytes, takes new pages, and gives a new buffer', () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const old = memory.buffer;
    new Uint8Array(old).fill(7);
    memory.resize(100_000);
    expect(memory.size).toBe(100_000);
    expect(memory.buffer).not.toBe(old);
    const bytes = Buffer.from(memory.buffer);
    expect(bytes.subarray(0, 4096).equals(Buffer.alloc(4096, 7))).toBe(true);
    expect(bytes.subarray(4096).equals(Buffer.alloc(100_000 - 4096))).toBe(true);
    expect(memory.stat().allocated).toBe(25 * 4096);
    memory.resize(300_000, { reserve: false });
    expect(memory.stat()).toMatchObject({ size: 300_000, allocated: 25 * 4096 });
  });

  it('lets views of the old buffer read zeros and write nowhere', () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const view = new Uint8Array(memory.buffer);
    view[0] = 7;
    memory.resize(8192);
    expect(view[0]).toBe(0);
    view[0] = 8;
    expect(view.byteLength).toBe(4096);
    expect(new Uint8Array(memory.buffer)[0]).toBe(7);
  });

  it('shrinks the object, and what was cut is zero when it grows again', () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    new Uint8Array(memory.buffer).fill(1);
    memory.resize(100);
    memory.resize(8192);
    const bytes = new Uint8Array(memory.buffer);
    expect([bytes[99], bytes[100], bytes[8191]]).toEqual([1, 0, 0]);
  });

  it('leaves the object as it was when there is no room', () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const { buffer } = memory;
    new Uint8Array(buffer)[0] = 3;
    expect(() => memory.resize(2 ** 40)).toThrow(
      /ENOSPC.*\/dev\/shm holds \d+ bytes, \d+ of them free.*--shm-size/,
    );
    expect(memory.stat()).toMatchObject({ size: 4096, allocated: 4096 });
    expect(memory.buffer).toBe(buffer);
    expect(new Uint8Array(buffer)[0]).toBe(3);
  });

  it('of another process shows after remap, and leaves the mapping alone until then', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const peer = startPeer(
      `const memory = SharedMemory.open(args[0]);
       memory.resize(12_288);
       new Uint8Array(memory.buffer)[12_287] = 5;`,
      { args: [memory.name] },
    );
    expect(await peer.exited).toMatchObject(clean);
    expect([memory.size, memory.stat().size]).toEqual([4096, 12_288]);
    memory.remap();
    expect(new Uint8Array(memory.buffer)[12_287]).toBe(5);
  });

  it('a thousand times leaks nothing', async () => {
    const before = await holdings();
    const memory = SharedMemory.create(shmName(), { size: 4096 });
    for (let round = 1; round <= 1000; round++) {
      memory.resize(4096 * (1 + (round % 7)));
      new Uint8Array(memory.buffer)[0] = round;
    }
    expect((await holdings()).mappings).toHaveLength(before.mappings.length + 1);
    memory.close();
    expect(await holdings()).toEqual(before);
  });
});
