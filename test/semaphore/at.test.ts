/** Semaphores at an offset of shared memory, of every kind. */
import { ftruncateSync, truncateSync } from 'node:fs';
import {
  MappedFile,
  type MappedRegion,
  Semaphore,
  SharedMemory,
  type SharedRegion,
  SysvSharedMemory,
} from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { collectGarbage, holdings } from '../support/leaks.js';
import { shmName, tempPath } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { closing } from '../support/sockets.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

const size = 16_384;
const kinds: Record<string, () => MappedRegion> = {
  'a named object': () => SharedMemory.create(shmName(), { size }),
  'anonymous memory': () => SharedMemory.anonymous({ size }),
  'a file': () => MappedFile.create(tempPath(), { size }),
  'a System V segment': () => {
    const segment = SysvSharedMemory.create(null, { size });
    segment.remove();
    return segment;
  },
  'a window': () => SharedMemory.anonymous({ size: 2 * size }).map({ offset: 4104 }),
  'a window of a file': () =>
    MappedFile.create(tempPath(), { size: 2 * size }).map({ offset: 8192, length: size }),
};

describe('a semaphore in memory', () => {
  it.each(Object.entries(kinds))('counts, waits and wakes in %s', async (_, make) => {
    const memory = closing(make());
    new Uint8Array(memory.buffer).fill(0xff);
    for (const offset of [0, 8, 4096 - 16, 8192]) {
      using semaphore = Semaphore.at(memory, offset, { initial: 2 });
      expect(semaphore).toMatchObject({ name: null, created: true, linked: false, value: 2, closed: false });
      using other = Semaphore.at(memory, offset);
      expect(other).toMatchObject({ created: false, value: 2 });
      other.acquireSync();
      await semaphore.acquire();
      expect(other.tryAcquire()).toBeNull();
      const waits = [semaphore.acquire(), other.acquire(), other.acquire()];
      await turn();
      semaphore.release(2);
      other.release();
      for (const each of await Promise.all(waits)) each.release();
      expect([semaphore.value, other.value]).toEqual([3, 3]);
    }
  });

  it.each(Object.entries(kinds))('takes its own 32 bytes, and nothing else of %s', (_, make) => {
    const memory = closing(make());
    const bytes = new Uint8Array(memory.buffer).fill(0xa5);
    expect(Semaphore.size).toBe(32);
    using semaphore = Semaphore.at(memory, 64, { initial: 7 });
    semaphore.release(1000);
    expect(semaphore.value).toBe(1007);
    const around = [...bytes.subarray(0, 64), ...bytes.subarray(96, 200)];
    expect(around.every((each) => each === 0xa5)).toBe(true);
    expect(new Int32Array(memory.buffer, 64, 8)[0]).toBe(1007); // as sem_t has it
    const last = memory.size - 32;
    if (last % 8 === 0) Semaphore.at(memory, last, { initial: 1 }).close();
  });

  it('is one for all processes that map it', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using semaphore = Semaphore.at(memory, 128, { initial: 0 });
    using answers = Semaphore.at(memory, 256, { initial: 0 });
    const source = `
      const memory = SharedMemory.open(args[0]);
      const [questions, answers] = [Semaphore.at(memory, 128), Semaphore.at(memory, 256)];
      memory.close();
      for (let round = 0; round < 200; round++) {
        round % 2 === 0 ? await questions.acquire() : questions.acquireSync();
        answers.release();
      }`;
    const peer = startPeer(source, { args: [memory.name] });
    for (let round = 0; round < 200; round++) {
      semaphore.release();
      round % 3 === 0 ? answers.acquireSync() : await answers.acquire();
    }
    expect(await peer.exited).toMatchObject(clean);
    expect([semaphore.value, answers.value]).toEqual([0, 0]);
  });

  it('keeps many apart that lie side by side', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const all = Array.from({ length: 128 }, (_, at) =>
      closing(Semaphore.at(memory, at * 32, { initial: 0 })),
    );
    const order: number[] = [];
    const waits = all.map((each, at) => each.acquire().then(() => order.push(at)));
    for (let at = 127; at >= 0; at -= 2) all[at]?.release();
    await Promise.all(waits.filter((_, at) => at % 2 === 1));
    expect(order.every((at) => at % 2 === 1)).toBe(true);
    for (let at = 0; at < 128; at += 2) all[at]?.release();
    await Promise.all(waits);
    expect(all.map((each) => each.value)).toEqual(Array(128).fill(0));
  });
});

describe('a semaphore whose memory', () => {
  it.each(Object.entries(kinds))('is closed works on: %s', async (_, make) => {
    const memory = make();
    using semaphore = Semaphore.at(memory, 512, { initial: 0 });
    using other = Semaphore.at(memory, 512);
    const waits = other.acquire();
    await turn();
    memory.close();
    await collectGarbage();
    semaphore.release(2);
    await waits;
    expect(other.value).toBe(1);
    other.acquireSync();
    expect(other.tryAcquire()).toBeNull();
  });

  it('is closed already can not be had', () => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    memory.close();
    expect(() => Semaphore.at(memory, 0)).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_CLOSED' }));
  });

  it('was resized is where it was', async () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    using semaphore = Semaphore.at(memory, 64, { initial: 1 });
    memory.resize(65_536);
    using again = Semaphore.at(memory, 64);
    again.acquireSync();
    expect(semaphore.value).toBe(0);
    const waits = semaphore.acquire();
    memory.resize(4096);
    again.release();
    await waits;
  });

  it.each(Object.entries(kinds))('was opened read-only is refused: %s', async (title) => {
    const path = tempPath();
    const name = shmName();
    using named = SharedMemory.create(name, { size: 4096 });
    using file = MappedFile.create(path, { size: 4096 });
    using segment = SysvSharedMemory.create(null, { size: 4096 });
    const openings: Record<string, () => MappedRegion> = {
      'a named object': () => SharedMemory.open(name, { readOnly: true }),
      'anonymous memory': () => SharedMemory.fromFd(named.fd, { readOnly: true }),
      'a file': () => MappedFile.open(path, { readOnly: true }),
      'a System V segment': () => SysvSharedMemory.fromId(segment.id, { readOnly: true }),
      'a window': () => SharedMemory.open(name, { readOnly: true }).map({ offset: 0 }),
      'a window of a file': () => MappedFile.open(path, { readOnly: true }).map({ offset: 0 }),
    };
    const memory = closing((openings[title] as () => MappedRegion)());
    segment.remove();
    for (const options of [undefined, { initial: 1 }]) {
      expect(() => Semaphore.at(memory, 0, options)).toThrow(
        expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_READ_ONLY' }),
      );
    }
    void file;
  });
});

describe('a semaphore whose file was truncated', () => {
  const truncated = { name: 'IpcError', code: 'ERR_INTERPROC_TRUNCATED' };

  it('says so in every call, and kills nobody', async () => {
    const path = tempPath();
    MappedFile.create(path, { size: 8192 }).close();
    using memory = MappedFile.open(path);
    using semaphore = Semaphore.at(memory, 4096, { initial: 3 });
    expect(semaphore.value).toBe(3);
    truncateSync(path, 0);
    const calls: [string, () => unknown][] = [
      ['value', () => semaphore.value],
      ['tryAcquire', () => semaphore.tryAcquire()],
      ['acquire', () => semaphore.acquire()],
      ['acquireSync', () => semaphore.acquireSync()],
      ['release', () => semaphore.release()],
    ];
    for (const [title, call] of calls) expect(await failureOf(call), title).toMatchObject(truncated);
    semaphore.close();
    expect(await failureOf(() => Semaphore.at(memory, 4096, { initial: 1 }).value)).toMatchObject({
      code: expect.stringMatching(/^ERR_(INTERPROC_TRUNCATED|OUT_OF_RANGE)$/),
    });
  });

  it('by another process does so, too, and a permit that is out can not be given back', async () => {
    const path = tempPath();
    using memory = MappedFile.create(path, { size: 4096 });
    using semaphore = Semaphore.at(memory, 0, { initial: 1 });
    const permit = semaphore.acquireSync();
    const source = `(await import('node:fs')).truncateSync(args[0], 0);`;
    expect(await runPeer(source, { args: [path] })).toMatchObject(clean);
    expect(() => permit.release()).toThrow(expect.objectContaining(truncated));
    expect(() => semaphore.acquireSync({ timeout: 10 })).toThrow(expect.objectContaining(truncated));
  });

  it('ends those who wait, when they look next', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    using semaphore = Semaphore.at(memory, 0, { initial: 0 });
    const waits = [semaphore.acquire(), semaphore.acquire()].map((each) => failureOf(() => each));
    await turn();
    ftruncateSync(memory.fd, 0);
    // A wait in vain looks; and so does whoever gives something.
    expect(() => semaphore.release()).toThrow(expect.objectContaining(truncated));
    await failureOf(() => semaphore.acquire({ timeout: 1 }));
    for (const each of waits) expect(await each).toMatchObject(truncated);
  });
});

describe('Semaphore.at', () => {
  it('takes memory, and an offset in it that is a multiple of 8', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const at = Semaphore.at.bind(Semaphore) as Wrong;
    for (const wrong of [
      undefined,
      null,
      1,
      'x',
      {},
      new ArrayBuffer(64),
      memory.buffer,
      { size: 99, readOnly: false },
    ])
      expect(() => at(wrong, 0)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"memory" argument'));
    for (const offset of [undefined, null, '0', 0n, {}])
      expect(() => at(memory, offset)).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"offset" argument'),
      );
    for (const offset of [-8, 0.5, 4, 12, 4072, 4096, 2 ** 40, Number.NaN])
      expect(() => at(memory, offset), String(offset)).toThrow(
        misuse('RangeError', 'ERR_OUT_OF_RANGE', '"offset"'),
      );
    for (const options of [null, 1, [], 'x'])
      expect(() => at(memory, 0, options)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options"'));
    for (const initial of [null, '1', 1n])
      expect(() => at(memory, 0, { initial })).toThrow(
        misuse('TypeError', 'ERR_INVALID_ARG_TYPE', '"options.initial"'),
      );
    for (const initial of [-1, 0.5, 2 ** 31])
      expect(() => at(memory, 0, { initial })).toThrow(
        misuse('RangeError', 'ERR_OUT_OF_RANGE', '"options.initial"'),
      );
    expect([...new Uint8Array(memory.buffer)].every((each) => each === 0)).toBe(true);
    using small = SharedMemory.anonymous({ size: 31 });
    expect(() => at(small, 0)).toThrow(misuse('RangeError', 'ERR_OUT_OF_RANGE', '"offset"'));
  });

  it('leaves no descriptor and no mapping behind, closed or dropped', async () => {
    const before = await holdings();
    const use = (region: SharedRegion & { close(): void }, close: boolean) => {
      const semaphore = Semaphore.at(region, 0, { initial: 1 });
      semaphore.acquireSync().release();
      region.close();
      if (close) semaphore.close();
    };
    for (const close of [true, false]) {
      for (const make of Object.values(kinds).slice(0, 4)) use(make(), close);
    }
    await expect.poll(holdings).toEqual(before);
  });
});
