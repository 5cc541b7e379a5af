/** A lock whose memory changes under it: closed, truncated, resized, its buffer moved, its words overwritten. */
import { truncateSync } from 'node:fs';
import { MappedFile, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../support/failures.js';
import { exclusive, kinds, turns, withLocks, word } from '../support/locks.js';
import { shmName, tempPath } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { seeded } from '../support/random.js';

type Lock = ReturnType<typeof exclusive>;

const ipcError = (code: string) => expect.objectContaining({ name: 'IpcError', code });
const busy = ipcError('ERR_INTERPROC_BUSY');
const closed = ipcError('ERR_INTERPROC_CLOSED');
const truncated = ipcError('ERR_INTERPROC_TRUNCATED');
const corrupt = ipcError('ERR_INTERPROC_CORRUPT');
const magic = 1;

describe.each(kinds)('%s: closing its memory', (kind) => {
  it('is refused while it is held through it, and works once it is unlocked', () => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    exclusive(kind, memory, 0).takeSync().unlock();
    const guard = exclusive(kind, memory, 1024).takeSync();
    expect(() => memory.close()).toThrow(busy);
    expect(() => memory[Symbol.dispose]()).toThrow(busy);
    expect([memory.closed, guard.released]).toEqual([false, false]);
    new Uint8Array(memory.buffer)[0] = 0;
    exclusive(kind, memory, 2048).takeSync().unlock();
    guard.unlock();
    memory.close();
    expect(memory.closed).toBe(true);
    exclusive(kind, again, 1024).takeSync().unlock();
  });

  it('through which nobody holds it works, though it is held through another region', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const guard = exclusive(kind, memory).takeSync();
    const window = memory.map();
    expect(exclusive(kind, window).tryTake()).toBe(null);
    window.close();
    expect(exclusive(kind, memory).tryTake()).toBe(null);
    guard.unlock();
    exclusive(kind, memory).takeSync().unlock();
  });

  it('ends the lock: each use of it is ERR_INTERPROC_CLOSED, and nothing is written', async () => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const lock = exclusive(kind, memory);
    lock.takeSync().unlock();
    memory.close();
    const before = new Uint8Array(again.buffer).slice();
    expect(lock.lock.closed).toBe(true);
    expect(() => lock.tryTake()).toThrow(closed);
    expect(() => lock.takeSync()).toThrow(closed);
    expect(() => lock.takeSync({ timeout: 0 })).toThrow(closed);
    expect(() => lock.holder).toThrow(closed);
    expect(() => lock.lock.tryRepair()).toThrow(closed);
    expect(await failureOf(() => lock.take())).toEqual(closed);
    expect(() => exclusive(kind, memory)).toThrow(closed);
    lock.lock.ref().unref();
    expect(new Uint8Array(again.buffer)).toEqual(before);
  });

  it('lets go of who waited: others get the lock, and closing ends waits in the middle of their turn', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const holder = exclusive(kind, memory);
    for (let round = 0; round < 50; round++) {
      const [closing, other] = [SharedMemory.fromFd(memory.fd), SharedMemory.fromFd(memory.fd)];
      const guard = holder.takeSync();
      const waits = [0, 1, 2].map(() => failureOf(() => exclusive(kind, closing).take()));
      const next = exclusive(kind, other).take();
      await turns(round % 6);
      guard.unlock();
      closing.close();
      for (const wait of waits) expect(await wait).toEqual(closed);
      (await next).unlock();
      other.close();
    }
  });
});

describe.each(kinds)('%s: truncated by another process', (kind) => {
  const fileWithLock = () => {
    const path = tempPath();
    MappedFile.create(path, { size: 8192 }).close();
    const file = MappedFile.open(path);
    return { path, file };
  };

  it('can not be opened', () => {
    const { path, file } = fileWithLock();
    truncateSync(path, 0);
    expect(() => exclusive(kind, file, 4096)).toThrow(truncated);
    file.close();
  });

  it('can not be taken, in any way: the zeros there are no free lock', async () => {
    for (const how of ['tryTake', 'takeSync', 'take'] as const) {
      const { path, file } = fileWithLock();
      const lock = exclusive(kind, file, 4096);
      truncateSync(path, 4096);
      expect(await failureOf(() => lock[how]())).toEqual(truncated);
      expect(await failureOf(() => lock[how]())).toEqual(truncated);
      file.close();
    }
  });

  it('can not be unlocked, and its memory can be closed then', () => {
    const { path, file } = fileWithLock();
    const guard = exclusive(kind, file, 4096).takeSync();
    truncateSync(path, 0);
    expect(() => guard.unlock()).toThrow(truncated);
    expect(guard.released).toBe(true);
    file.close();
  });

  it('lets a wait end that is aborted or has timed out, in that or in ERR_INTERPROC_TRUNCATED', async () => {
    const { path, file } = fileWithLock();
    const guard = exclusive(kind, file, 4096).takeSync();
    const controller = new AbortController();
    const { take } = exclusive(kind, file, 4096);
    const waits = [{ signal: controller.signal }, { timeout: 5 }, {}].map((options) =>
      failureOf(() => take(options)),
    );
    await expect.poll(() => word(file, 4096)[0]).toBeLessThan(0);
    truncateSync(path, 0);
    controller.abort();
    expect(await waits[0]).toMatchObject({ code: 'ABORT_ERR' });
    expect(['ETIMEDOUT', 'ERR_INTERPROC_TRUNCATED']).toContain(((await waits[1]) as { code: string }).code);
    expect(await waits[2]).toEqual(truncated);
    expect(() => guard.unlock()).toThrow(truncated);
    file.close();
  });

  it('ends the waits for it, also in processes that block', async () => {
    const { path, file } = fileWithLock();
    const guard = exclusive(kind, file, 4096).takeSync();
    const source = `${withLocks}
      const lock = exclusive(args[0], MappedFile.open(args[1]), 4096);
      await send('waits');
      await assert.rejects(had(lock, args[2]), { code: 'ERR_INTERPROC_TRUNCATED' });`;
    const peers = ['sync', 'async', 'try'].map((how) => startPeer(source, { args: [kind, path, how] }));
    for (const peer of peers) expect(await peer.next()).toBe('waits');
    await expect.poll(() => word(file, 4096)[0]).toBeLessThan(0);
    const own = failureOf(() => exclusive(kind, file, 4096).take());
    await turns(20);
    truncateSync(path, 0);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(await own).toEqual(truncated);
    expect(() => guard.unlock()).toThrow(truncated);
    file.close();
  });
});

describe.each(kinds)('%s: resizing its memory', (kind) => {
  it('leaves it what it was, held or waited for', async () => {
    using memory = SharedMemory.create(shmName(), { size: 8192 });
    const lock = exclusive(kind, memory, 1024);
    const guard = lock.takeSync();
    const waited = lock.take();
    await expect.poll(() => word(memory, 1024)[0]).toBeLessThan(0);
    memory.resize(1 << 21);
    memory.resize(4096);
    expect(exclusive(kind, memory, 1024).lock).toBe(lock.lock);
    expect(lock.tryTake()).toBe(null);
    const peer = `${withLocks} assert.equal(exclusive(args[0], SharedMemory.open(args[1]), 1024).tryTake(), null);`;
    expect(await runPeer(peer, { args: [kind, memory.name] })).toMatchObject(clean);
    guard.unlock();
    (await waited).unlock();
    lock.takeSync().unlock();
  });

  it('gives place for more, and takes the place of those that lay there', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    exclusive(kind, memory, 0).takeSync().unlock();
    memory.resize(8192);
    const lock = exclusive(kind, memory, 4096);
    lock.takeSync().unlock();
    const held = exclusive(kind, memory, 4096 + 1024).takeSync();
    memory.resize(4096);
    expect(await failureOf(() => lock.take())).toEqual(truncated);
    expect(() => held.unlock()).toThrow(truncated);
    expect(() => exclusive(kind, memory, 4096)).toThrow(RangeError);
    exclusive(kind, memory, 0).takeSync().unlock();
  });

  it('concerns it no more than moving its buffer away does', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    const guard = lock.takeSync();
    // Node 20 has no transfer(), and later ones refuse to clone what is marked as untransferable.
    const { buffer } = memory as { buffer: ArrayBuffer & { transfer?(): ArrayBuffer } };
    const moved = buffer.transfer?.() ?? structuredClone(buffer, { transfer: [buffer] });
    expect(new Int32Array(moved)[0]).not.toBe(0);
    expect(exclusive(kind, memory).lock).toBe(lock.lock);
    const waited = lock.take();
    guard.unlock();
    (await waited).unlock();
    expect(word(memory)[0]).toBe(0);
    exclusive(kind, memory, 512).takeSync().unlock();
  });
});

describe.each(kinds)('%s: words that a hostile process wrote', (kind) => {
  it('name an owner that never lived: it is abandoned, once', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    for (const flags of [0, 1 << 30, 1 << 31, 3 << 30]) {
      for (const [how, take] of Object.entries({
        sync: lock.takeSync,
        try: lock.tryTake,
        async: lock.take,
      })) {
        word(memory)[0] = 12_345 | flags;
        if (kind === 'RwLock') word(memory)[3] = 12_345;
        const guard = await take();
        expect(guard?.abandoned, `${how} ${flags}`).toBe(true);
        guard?.recovered();
        guard?.unlock();
        const next = lock.takeSync();
        expect(next.abandoned).toBe(false);
        next.unlock();
      }
    }
  });

  it('say that somebody waits, or has waited for long, where nobody does: it is had, and comes to rest', async () => {
    for (const flags of [1 << 30, 1 << 31, 3 << 30]) {
      const tryUntilHad = async (lock: Lock) => {
        // It is kept for those who sleep; until it is clear that nobody does.
        if ((flags & (1 << 30)) !== 0) expect(lock.tryTake()).toBe(null);
        let guard = lock.tryTake();
        for (; guard === null; guard = lock.tryTake()) await turns(1);
        return guard;
      };
      for (const take of [(lock: Lock) => lock.takeSync(), tryUntilHad, (lock: Lock) => lock.take()]) {
        // Of its own: what has been tried before has seen it kept.
        using memory = SharedMemory.anonymous({ size: 4096 });
        const lock = exclusive(kind, memory);
        word(memory)[0] = flags;
        const guard = await take(lock);
        expect(guard.abandoned).toBe(false);
        expect(lock.tryTake()).toBe(null);
        guard.unlock();
        lock.takeSync().unlock();
        expect((word(memory)[0] as number) & 0x3fff_ffff).toBe(0);
      }
    }
  });

  it('say that it is not recoverable: so it is, until it is repaired', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    word(memory)[0] = 0x3fff_ffff;
    expect(() => lock.takeSync()).toThrow(ipcError('ERR_INTERPROC_NOT_RECOVERABLE'));
    const guard = lock.lock.tryRepair();
    guard?.recovered();
    guard?.unlock();
    lock.takeSync().unlock();
  });

  it.each([
    ['another owner', 4711],
    ['nobody', 0],
    ['that it is not recoverable', 0x3fff_ffff],
  ])('say %s while it is held: unlocking is ERR_INTERPROC_CORRUPT, once', (_, value) => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const guard = exclusive(kind, memory).takeSync();
    word(memory)[0] = value;
    expect(() => guard.unlock()).toThrow(corrupt);
    expect(guard.released).toBe(true);
    expect(word(memory)[0]).toBe(value);
    expect(() => guard.unlock()).toThrow(ipcError('ERR_INTERPROC_NOT_HELD'));
  });

  it('are no lock any more: whoever takes or waits for it hears of it, ERR_INTERPROC_CORRUPT', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    word(memory)[magic] = 77;
    expect(() => lock.takeSync()).toThrow(corrupt);
    expect(() => lock.tryTake()).toThrow(corrupt);
    expect(await failureOf(() => lock.take())).toEqual(corrupt);
  });

  it('make a wait fail whose holder seems to have died: the wait, not the process', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const guard = exclusive(kind, memory).takeSync();
    const waited = [0, 1].map(() => failureOf(() => exclusive(kind, again).take()));
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    word(memory)[magic] = 77;
    word(memory)[0] = 4711 | (1 << 31);
    for (const failure of waited) expect(await failure).toEqual(corrupt);
    expect(() => guard.unlock()).toThrow(corrupt);
  });

  it('of any value make no call hang that has a timeout, crash or write elsewhere', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const random = seeded(5);
    const words = new Int32Array(memory.buffer, 1024, 64);
    const lock = exclusive(kind, memory, 1024);
    const named = words[magic] as number;
    const known = [0, 1, 0x3fff_ffff, 1 << 30, 1 << 31, -1, 0x7fff_ffff];
    const values = () => (random(2) === 0 ? (known[random(known.length)] as number) : random(2 ** 32) | 0);
    const codes = /^(ETIMEDOUT|ERR_INTERPROC_(NOT_RECOVERABLE|CORRUPT|DEADLOCK))$/;
    for (let round = 0; round < 300; round++) {
      for (let index = 0; index < 64; index++) words[index] = random(4) === 0 ? values() : 0;
      if (random(4) !== 0) words[magic] = named;
      const other = exclusive.bind(undefined, kind, again, 1024);
      const calls = [
        () => lock.tryTake(),
        () => lock.takeSync({ timeout: 1 }),
        () => lock.take({ timeout: 1 }),
        () => other().take({ timeout: 1 }),
        () => lock.lock.tryRepair(),
        () => lock.holder && null,
      ];
      try {
        const guard = await calls[random(calls.length)]?.();
        if (random(2) === 0) words[0] = values();
        guard?.unlock();
      } catch (error) {
        const { code } = error as { code: string };
        if (code !== 'ERR_INTERPROC_MISMATCH' || words[magic] === named) expect(code).toMatch(codes);
      }
    }
    const all = new Uint8Array(memory.buffer);
    expect(new Set(all.subarray(0, 1024))).toEqual(new Set([0]));
    expect(new Set(all.subarray(1024 + 256))).toEqual(new Set([0]));
  });
});
