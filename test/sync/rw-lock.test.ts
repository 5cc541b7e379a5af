/** Readers of an RwLock: together, but never beside a writer; what is refused to them, and what becomes of dead ones. */
import { type ReadGuard, RwLock, SharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { turns, withLocks, word } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, type Peer, startPeer } from '../support/peer.js';

const ipcError = (code: string) => expect.objectContaining({ name: 'IpcError', code });
const deadlock = ipcError('ERR_INTERPROC_DEADLOCK');
const writing = 3;

function anonymous() {
  const memory = SharedMemory.anonymous({ size: 4096 });
  return { memory, lock: RwLock.at(memory, 0) };
}

describe('readers of an RwLock', () => {
  it('read together, in three ways; a writer waits until the last one leaves', async () => {
    const { memory, lock } = anonymous();
    const guards: ReadGuard[] = [lock.readSync(), lock.tryRead() as ReadGuard, await lock.read()];
    expect(lock.readers).toBe(1); // one process
    expect(lock.tryWrite()).toBe(null);
    let wrote = false;
    const written = lock.write().then((guard) => {
      wrote = true;
      return guard;
    });
    for (const guard of guards) {
      await turns(50);
      expect(wrote).toBe(false);
      guard.unlock();
    }
    const guard = await written;
    expect([lock.readers, lock.tryRead()]).toEqual([0, null]);
    guard.unlock();
    memory.close();
  });

  it('of other processes read along, and each is counted', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = RwLock.at(memory, 0);
    const guard = lock.readSync();
    const source = `${withLocks}
      const lock = RwLock.at(SharedMemory.open(args[0]), 0);
      const guards = [lock.readSync(), await lock.read(), lock.tryRead()];
      assert.equal(lock.tryWrite(), null);
      assert.throws(() => lock.writeSync({ timeout: 0 }), { code: 'ERR_INTERPROC_DEADLOCK' });
      await send(lock.readers);
      await next();
      for (const guard of guards) guard.unlock();`;
    const peers = [0, 1].map(() => startPeer(source, { args: [memory.name] }));
    const counts = await Promise.all(peers.map((peer) => peer.next()));
    expect(Math.max(...counts)).toBe(3);
    expect([lock.readers, lock.writer]).toEqual([3, null]);
    guard.unlock();
    expect(lock.tryWrite()).toBe(null);
    const written = lock.write();
    for (const peer of peers) peer.send('go');
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    (await written).unlock();
    expect(lock.readers).toBe(0);
  });

  it('unlock once each, and are told apart', () => {
    const { memory, lock } = anonymous();
    const [one, two] = [lock.readSync(), lock.readSync()];
    one.unlock();
    expect(() => one.unlock()).toThrow(ipcError('ERR_INTERPROC_NOT_HELD'));
    one[Symbol.dispose]();
    expect(lock.tryWrite()).toBe(null);
    expect(() => memory.close()).toThrow(ipcError('ERR_INTERPROC_BUSY'));
    two.unlock();
    lock.writeSync().unlock();
    memory.close();
  });

  it('can not become a writer: upgrade() and writeSync() are ERR_INTERPROC_DEADLOCK', () => {
    const { memory, lock } = anonymous();
    using again = SharedMemory.fromFd(memory.fd);
    const guard = lock.readSync();
    expect(() => guard.upgrade()).toThrow(deadlock);
    for (const each of [lock, RwLock.at(again, 0)]) {
      expect(() => each.writeSync()).toThrow(deadlock);
      expect(() => each.writeSync({ timeout: 5 })).toThrow(deadlock);
      expect(each.tryWrite()).toBe(null);
    }
    expect(guard.released).toBe(false);
    guard.unlock();
    expect(() => guard.upgrade()).toThrow(deadlock);
    const written = lock.writeSync();
    expect(() => lock.readSync()).toThrow(deadlock);
    expect(() => RwLock.at(again, 0).readSync({ timeout: 5 })).toThrow(deadlock);
    expect('upgrade' in written).toBe(false);
    written.unlock();
    memory.close();
  });

  it('that would block their thread behind a writer who waits for its reader: ERR_INTERPROC_DEADLOCK', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = RwLock.at(memory, 0);
    const guard = lock.readSync();
    const peer = startPeer(`RwLock.at(SharedMemory.open(args[0]), 0).writeSync().unlock();`, {
      args: [memory.name],
    });
    await expect.poll(() => lock.writer?.pid).toBe(peer.process.pid);
    expect(() => lock.readSync()).toThrow(deadlock);
    expect(() => lock.readSync({ timeout: 10 })).toThrow(deadlock);
    expect(lock.tryRead()).toBe(null);
    expect(await failureOf(() => lock.read({ timeout: 10 }))).toMatchObject({ code: 'ETIMEDOUT' });
    guard.unlock();
    expect(await peer.exited).toMatchObject(clean);
    lock.readSync().unlock();
  });

  it('refuse wrong options, and have not come in then', async () => {
    const { memory, lock } = anonymous();
    for (const timeout of [-1, Number.NaN, '1', null] as Wrong[]) {
      const code = typeof timeout === 'number' ? 'ERR_OUT_OF_RANGE' : 'ERR_INVALID_ARG_TYPE';
      const error = misuse(typeof timeout === 'number' ? 'RangeError' : 'TypeError', code, 'timeout');
      expect(() => lock.readSync({ timeout })).toThrow(error);
      expect(await failureOf(() => lock.read({ timeout }))).toEqual(error);
    }
    expect(lock.readers).toBe(0);
    memory.close();
  });

  it('are at most 60 processes and threads: one more waits until any of them leaves, or dies', async () => {
    const { memory, lock } = anonymous();
    expect(RwLock.maxReaders).toBe(60);
    // An object of its own for each: it has a slot as a process would.
    const regions = Array.from({ length: 60 }, () => SharedMemory.fromFd(memory.fd));
    const guards = regions.map((region) => RwLock.at(region, 0).readSync());
    expect(lock.readers).toBe(60);
    expect(lock.tryRead()).toBe(null);
    expect(await failureOf(() => lock.read({ timeout: 5 }))).toMatchObject({ code: 'ETIMEDOUT' });
    for (const index of [0, 30, 59]) {
      const waited = lock.read();
      await turns(100);
      guards[index]?.unlock();
      (await waited).unlock();
      guards[index] = RwLock.at(regions[index] as SharedMemory, 0).readSync();
    }
    const waited = lock.read();
    await turns(100);
    word(memory, 16)[2] = 4711; // one of them is another process, which is dead
    (await waited).unlock();
    for (const [index, guard] of guards.entries()) index === 2 || guard.unlock();
    await (await lock.write()).unlock();
  });
});

describe('an RwLock whose reader dies', () => {
  const reading = `${withLocks}
    const guard = await RwLock.at(SharedMemory.open(args[0]), 0).read();
    assert.equal(guard.abandoned, false);
    await send('reads');
    await next();`;

  async function deadReaders(count: number, start: (memory: SharedMemory) => Promise<() => Promise<void>>) {
    const memory = SharedMemory.create(shmName(), { size: 4096 });
    onTestFinished(() => memory.close());
    const peers = Array.from({ length: count }, () => startPeer(reading, { args: [memory.name] }));
    for (const peer of peers) expect(await peer.next()).toBe('reads');
    const end = await start(memory);
    for (const peer of peers) peer.process.kill('SIGKILL');
    await Promise.all(peers.map((peer: Peer) => peer.exited));
    await end();
    return RwLock.at(memory, 0);
  }

  it('gives its share back: who waits to write has it, and nothing is abandoned', async () => {
    const lock = await deadReaders(3, async (memory) => {
      const written = RwLock.at(memory, 0).write();
      await expect.poll(() => RwLock.at(memory, 0).writer?.pid).toBe(process.pid);
      return async () => {
        const guard = await written;
        expect(guard.abandoned).toBe(false);
        guard.unlock();
      };
    });
    expect(lock.readers).toBe(0);
  });

  it.each(['writeSync', 'tryWrite', 'write', 'readSync', 'tryRead', 'read'] as const)(
    'gives its share back to who comes later: %s',
    async (how) => {
      const lock = await deadReaders(2, async () => async () => {});
      const guard = await lock[how]();
      expect(guard?.abandoned).toBe(false);
      guard?.unlock();
      lock.writeSync().unlock();
      expect(lock.readers).toBe(0);
    },
  );

  it('gives it back to who blocks in another process', async () => {
    const source = `
      const lock = RwLock.at(SharedMemory.open(args[0]), 0);
      await send('waits');
      const guard = lock.writeSync();
      assert.equal(guard.abandoned, false);
      guard.unlock();`;
    await deadReaders(2, async (memory) => {
      const peer = startPeer(source, { args: [memory.name] });
      expect(await peer.next()).toBe('waits');
      await expect.poll(() => RwLock.at(memory, 0).writer?.pid).toBe(peer.process.pid);
      return async () => expect(await peer.exited).toMatchObject(clean);
    });
  });
});

describe('an RwLock whose writer dies', () => {
  /** Takes the lock to write, or waits in vain for readers to leave, and is killed. */
  async function killWriter(memory: SharedMemory) {
    const peer = startPeer(
      `const lock = RwLock.at(SharedMemory.open(args[0]), 0);
       lock.write().then((guard) => { globalThis.guard = guard; send('writes'); });
       await next();`,
      { args: [memory.name] },
    );
    await expect.poll(() => RwLock.at(memory, 0).writer?.pid).toBe(peer.process.pid);
    if (RwLock.at(memory, 0).readers === 0) expect(await peer.next()).toBe('writes');
    peer.process.kill('SIGKILL');
    await peer.exited;
  }

  it.each(['readSync', 'tryRead', 'read'] as const)(
    'gives it to the next reader alone, until the data is whole: %s',
    async (how) => {
      using memory = SharedMemory.create(shmName(), { size: 4096 });
      using again = SharedMemory.open(memory.name as string);
      const [lock, other] = [RwLock.at(memory, 0), RwLock.at(again, 0)];
      await killWriter(memory);
      const guard = await lock[how]();
      expect(guard?.abandoned).toBe(true);
      expect([other.tryRead(), other.tryWrite(), lock.tryRead(), lock.tryWrite()]).toEqual([
        null,
        null,
        null,
        null,
      ]);
      expect(() => guard?.upgrade()).toThrow(deadlock);
      expect(() => lock.readSync()).toThrow(deadlock);
      const waits = [lock.read(), other.read(), other.read()];
      guard?.recovered();
      guard?.unlock();
      const reads = await Promise.all(waits);
      expect(reads.map(({ abandoned }) => abandoned)).toEqual([false, false, false]);
      expect(lock.readers).toBe(2);
      for (const read of reads) read.unlock();
      lock.writeSync().unlock();
      expect(word(memory)[writing]).toBe(0);
    },
  );

  it('and whose next reader unlocks without recovered() is not recoverable: no reader stands in its way', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = RwLock.at(memory, 0);
    await killWriter(memory);
    const guard = lock.readSync();
    const waits = [failureOf(() => lock.read()), failureOf(() => lock.write())];
    guard.unlock();
    const refused = ipcError('ERR_INTERPROC_NOT_RECOVERABLE');
    for (const wait of waits) expect(await wait).toEqual(refused);
    for (let round = 0; round < 3; round++) {
      for (const how of ['tryRead', 'readSync', 'read', 'tryWrite', 'writeSync', 'write'] as const) {
        expect(await failureOf(() => lock[how]()), how).toEqual(refused);
      }
    }
    expect(lock.readers).toBe(0);
    const repaired = lock.tryRepair();
    expect(repaired?.abandoned).toBe(true);
    expect(lock.tryRead()).toBe(null);
    repaired?.recovered();
    repaired?.unlock();
    lock.writeSync().unlock();
    lock.readSync().unlock();
  });

  it('before the readers have left has changed nothing: nothing is abandoned, and readers come in again', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = RwLock.at(memory, 0);
    const guard = lock.readSync();
    await killWriter(memory);
    expect(lock.writer).toMatchObject({ alive: false });
    const second = await lock.read();
    expect(second.abandoned).toBe(false);
    const third = lock.tryRead();
    expect(third?.abandoned).toBe(false);
    for (const each of [guard, second, third]) each?.unlock();
    const written = lock.writeSync();
    expect(written.abandoned).toBe(false);
    written.unlock();
  });

  it('while many wait to read: one mends it, then all read', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const source = `
      const lock = RwLock.at(SharedMemory.open(args[0]), 0);
      await send('waits');
      const guard = args[1] === 'sync' ? lock.readSync() : await lock.read();
      if (guard.abandoned) guard.recovered();
      await send(guard.abandoned);
      if (guard.abandoned) guard.unlock();
      else { await next(); guard.unlock(); }`;
    const holder = startPeer(
      `hold(RwLock.at(SharedMemory.open(args[0]), 0).writeSync()); await send('writes'); await next();`,
      { args: [memory.name] },
    );
    expect(await holder.next()).toBe('writes');
    const peers = ['sync', 'async', 'sync', 'async'].map((how) =>
      startPeer(source, { args: [memory.name, how] }),
    );
    for (const peer of peers) expect(await peer.next()).toBe('waits');
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    holder.process.kill('SIGKILL');
    const told = await Promise.all(peers.map((peer) => peer.next()));
    expect(told.filter((abandoned) => abandoned)).toHaveLength(1);
    for (const [index, peer] of peers.entries()) if (!told[index]) peer.send('go');
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    RwLock.at(memory, 0).writeSync().unlock();
  });
});
