/** Locks of two copies of the package, and lock objects that are collected while their memory lives. */
import { SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { secondCopy } from '../support/copies.js';
import { collectGarbage, openDescriptors } from '../support/leaks.js';
import { exclusive, kinds, withLocks } from '../support/locks.js';
import { clean, runPeer } from '../support/peer.js';
import { execArgv } from '../support/workers.js';

describe.each(kinds)('%s: two copies of the package in one process', (kind) => {
  it('contend as two processes do, also for its end', async () => {
    const source = `${withLocks}
      const other = await import(args[1]);
      assert.notEqual(other.Mutex, Mutex);
      const memory = SharedMemory.anonymous({ size: 4096 });
      const again = other.SharedMemory.fromFd(memory.fd);
      const mine = exclusive(args[0], memory);
      const Theirs = other[args[0]].at(again, 0);
      const theirs = args[0] === 'Mutex'
        ? { take: () => Theirs.lock(), tryTake: () => Theirs.tryLock(), takeSync: (o) => Theirs.lockSync(o) }
        : { take: () => Theirs.write(), tryTake: () => Theirs.tryWrite(), takeSync: (o) => Theirs.writeSync(o) };
      const guard = mine.takeSync();
      assert.equal(theirs.tryTake(), null);
      assert.throws(() => theirs.takeSync({ timeout: 30 }), { code: 'ETIMEDOUT' });
      let served = false;
      const waited = theirs.take().then((held) => { served = true; return held; });
      await turns(100);
      assert.equal(served, false);
      guard.unlock();
      const held = await waited;
      assert.equal(held.abandoned, false);
      assert.equal(mine.tryTake(), null);
      if (args[0] === 'Mutex') assert.throws(() => mine.lock.unlock(held), { code: 'ERR_INVALID_ARG_TYPE' });
      held.unlock();
      const last = await mine.take();
      assert.equal(last.abandoned, false);
      memory.map().close();
      again.close();
      last.unlock();`;
    expect(await runPeer(source, { args: [kind, secondCopy()] })).toMatchObject(clean);
  });

  it('find what kind of lock lies there', async () => {
    const source = `
      const other = await import(args[0]);
      const memory = SharedMemory.anonymous({ size: 4096 });
      const again = other.SharedMemory.fromFd(memory.fd);
      Mutex.at(memory, 0);
      assert.throws(() => other.RwLock.at(again, 0), { code: 'ERR_INTERPROC_MISMATCH' });
      other.Mutex.at(again, 0).lockSync().unlock();`;
    expect(await runPeer(source, { args: [secondCopy()] })).toMatchObject(clean);
  });

  it('that are two evaluations over one addon are one thread: blocking for what the other has is a deadlock', async () => {
    const source = `${withLocks}
      const again = await import(import.meta.resolve('interproc') + '?again');
      const memory = SharedMemory.anonymous({ size: 4096 });
      const mine = exclusive(args[0], memory);
      const theirs = again[args[0]].at(again.SharedMemory.fromFd(memory.fd), 0);
      assert.notEqual(again.Mutex, Mutex);
      const guard = mine.takeSync();
      assert.throws(() => (args[0] === 'Mutex' ? theirs.lockSync() : theirs.writeSync()), { code: 'ERR_INTERPROC_DEADLOCK' });
      guard.unlock();`;
    expect(await runPeer(source, { args: [kind] })).toMatchObject(clean);
  });
});

describe.each(kinds)('%s: an object that nobody has any more', (kind) => {
  it('is collected while its memory lives, and what is at its place is the same lock', async () => {
    using memory = SharedMemory.anonymous({ size: 1 << 20 });
    const use = (index: number) => {
      const { lock, takeSync } = exclusive(kind, memory, index * 256);
      takeSync().unlock();
      return new WeakRef(lock);
    };
    const made = Array.from({ length: 500 }, (_, index) => use(index));
    await expect
      .poll(async () => {
        await collectGarbage();
        return made.filter((each) => each.deref() !== undefined).length;
      })
      .toBe(0);
    for (let index = 0; index < 500; index++)
      exclusive(kind, memory, index * 256)
        .takeSync()
        .unlock();
  });

  it('is kept while its guard is, or a wait: it is held, and is the one that at() gives', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const guard = (() => exclusive(kind, memory).takeSync())();
    await collectGarbage();
    expect(exclusive(kind, memory).tryTake()).toBe(null);
    expect(() => memory.close()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }));
    const waited = (() => exclusive(kind, memory).take())();
    await collectGarbage();
    guard.unlock();
    (await waited).unlock();
  });

  it('keeps its memory: a region that was dropped is closed once its locks are dropped too', async () => {
    const before = await openDescriptors();
    const { takeSync } = (() => exclusive(kind, SharedMemory.anonymous({ size: 4096 })))();
    await collectGarbage();
    takeSync().unlock();
    (() => {
      for (let index = 0; index < 50; index++) {
        const memory = SharedMemory.anonymous({ size: 4096 });
        exclusive(kind, memory).takeSync().unlock();
        exclusive(kind, memory, 1024).takeSync();
      }
    })();
    // Those of the one that is in use: its own, and the one by which its locks show that this process lives.
    await expect.poll(async () => (await openDescriptors()).length).toBe(before.length + 2);
    takeSync().unlock();
  });

  it('that is held and dropped stays held, until its memory is closed: then it is abandoned', async () => {
    const source = `${withLocks}
      const memory = SharedMemory.anonymous({ size: 4096 });
      const other = SharedMemory.fromFd(memory.fd);
      (() => { exclusive(args[0], memory).takeSync(); })();
      for (let round = 0; round < 5; round++) { gc(); await turns(1); }
      assert.equal(exclusive(args[0], memory).tryTake(), null);
      await assert.rejects(exclusive(args[0], memory).take({ timeout: 5 }), { code: 'ETIMEDOUT' });
      for (let round = 0; round < 5; round++) { gc(); await turns(1); }
      memory.close();
      const guard = exclusive(args[0], other).takeSync();
      assert.equal(guard.abandoned, true);
      guard.recovered();
      guard.unlock();`;
    expect(await runPeer(source, { args: [kind], execArgv })).toMatchObject(clean);
  });
});
