import { constants } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { MappedFile, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { holdings } from '../support/leaks.js';
import { shmName, tempPath } from '../support/names.js';

const gib = 2 ** 30;

describe('a window', () => {
  it('shows its part of the object, and is the same memory', () => {
    using memory = SharedMemory.create(shmName(), { size: 16_384 });
    using window = memory.map({ offset: 4104, length: 100 });
    expect(window).toMatchObject({ offset: 4104, size: 100, readOnly: false });
    new Uint8Array(window.buffer)[0] = 9;
    new Uint8Array(window.buffer)[99] = 10;
    const all = new Uint8Array(memory.buffer);
    expect([all[4104], all[4104 + 99]]).toEqual([9, 10]);
    expect(window.buffer.byteLength).toBe(100);
  });

  it('reaches every byte of a sparse file of 16 GiB', () => {
    const path = tempPath();
    using file = MappedFile.create(path, { size: 16 * gib, reserve: false });
    const offsets = [0, 4 * gib - 8, 4 * gib, 5 * gib + 4104, 16 * gib - 8];
    for (const offset of offsets) {
      using window = file.map({ offset, length: 8 });
      new Float64Array(window.buffer)[0] = offset;
    }
    const fd = openSync(path, 'r');
    for (const offset of offsets) {
      const eight = Buffer.alloc(8);
      readSync(fd, eight, 0, 8, offset);
      expect(eight.readDoubleLE()).toBe(offset);
    }
    closeSync(fd);
    expect(file.stat().allocated).toBeLessThanOrEqual(offsets.length * 8192);
    using last = file.map({ offset: 12 * gib, length: 4 * gib });
    expect(new Float64Array(last.buffer, 4 * gib - 8)[0]).toBe(16 * gib - 8);
  });

  it('is the way past the largest buffer: .buffer says how large that is', () => {
    using file = MappedFile.create(tempPath(), { size: 16 * gib, reserve: false });
    if (16 * gib <= constants.MAX_LENGTH) {
      expect(file.buffer.byteLength).toBe(16 * gib);
      return;
    }
    expect(() => file.buffer).toThrow(RangeError);
    expect(() => file.buffer).toThrow(
      expect.objectContaining({
        code: 'ERR_OUT_OF_RANGE',
        message: expect.stringContaining(`${constants.MAX_LENGTH}`),
      }),
    );
    using half = file.map({ length: constants.MAX_LENGTH });
    expect(half.buffer.byteLength).toBe(constants.MAX_LENGTH);
    using more = file.map({ length: constants.MAX_LENGTH + 8 });
    expect(() => more.buffer).toThrow(RangeError);
  });

  it('goes up to the present end by default, also where another handle has grown the object', () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using other = SharedMemory.open(memory.name as string);
    other.resize(8192);
    using window = memory.map({ offset: 4096 });
    expect(window.size).toBe(4096);
    new Uint8Array(window.buffer)[0] = 3;
    expect(new Uint8Array(other.buffer)[4096]).toBe(3);
  });

  it('may be empty', () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using window = memory.map({ offset: 4096 });
    expect([window.size, window.buffer.byteLength]).toEqual([0, 0]);
  });

  it('outlives the handle it came from, and its resize', () => {
    const memory = SharedMemory.create(shmName(), { size: 4096 });
    const window = memory.map();
    memory.resize(8192);
    new Uint8Array(memory.buffer)[1] = 4;
    memory.close();
    expect(new Uint8Array(window.buffer)[1]).toBe(4);
    window.close();
    expect(() => window.buffer).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
  });

  it('has aligned views, whatever its offset', () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    for (const offset of [8, 24, 4088]) {
      using window = memory.map({ offset, length: 64 });
      expect(Atomics.add(new BigInt64Array(window.buffer), 0, BigInt(offset))).toBe(0n);
      expect(new DataView(memory.buffer).getBigInt64(offset, true)).toBe(BigInt(offset));
    }
    for (const offset of [1, 4, 4097]) {
      expect(() => memory.map({ offset, length: 1 })).toThrow(
        expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }),
      );
    }
  });

  it('leaks nothing, closed or dropped', async () => {
    const before = await holdings();
    const memory = SharedMemory.create(shmName(), { size: 1 << 20 });
    // In a function of its own: its frame would keep the last window alive.
    const use = (round: number) => {
      const window = memory.map({ offset: 4096 * (round % 16), length: 4096 });
      new Uint8Array(window.buffer)[0] = round;
      if (round % 2 === 0) window.close();
    };
    for (let round = 0; round < 500; round++) use(round);
    memory.close();
    expect(await holdings()).toEqual(before);
  });
});
