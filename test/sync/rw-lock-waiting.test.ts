/** Waiting to read: in each of three ways, with timeouts and aborts; and a writer who gives up as readers leave. */
import { type ReadGuard, RwLock, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../support/failures.js';
import { turns, word } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';

/** Of whoever reads first, in bytes; its sign bit says that somebody waits for him to leave. */
const firstSlot = 16;

const ipcError = (code: string) => expect.objectContaining({ name: 'IpcError', code });

function written() {
  const memory = SharedMemory.create(shmName(), { size: 4096 });
  const lock = RwLock.at(memory, 0);
  return { memory, lock, guard: lock.writeSync() };
}

describe('who waits to read', () => {
  it('comes in once the writer of another process is done, in each of three ways, all together', async () => {
    const { memory, lock, guard } = written();
    const source = `
      const memory = SharedMemory.open(args[0]);
      const lock = RwLock.at(memory, 0);
      const words = new Int32Array(memory.buffer);
      await send('waits');
      let guard = args[1] === 'sync' ? lock.readSync() : args[1] === 'async' ? await lock.read() : lock.tryRead();
      while (guard === null) {
        await new Promise(setImmediate);
        guard = lock.tryRead();
      }
      assert.deepEqual([guard.abandoned, words[1000]], [false, 1]);
      await send('reads');
      await next();
      guard.unlock();`;
    const peers = ['sync', 'async', 'try', 'sync'].map((how) =>
      startPeer(source, { args: [memory.name, how] }),
    );
    for (const peer of peers) expect(await peer.next()).toBe('waits');
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    expect(lock.readers).toBe(0);
    new Int32Array(memory.buffer)[1000] = 1;
    guard.unlock();
    // None of them leaves before all have come.
    for (const peer of peers) expect(await peer.next()).toBe('reads');
    expect(lock.readers).toBe(4);
    expect(lock.tryWrite()).toBe(null);
    for (const peer of peers) peer.send('go');
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    lock.writeSync().unlock();
    memory.close();
  });

  it("ends in ETIMEDOUT or in an AbortError, and stands in nobody's way", async () => {
    const { memory, lock, guard } = written();
    for (const timeout of [0, 0.5, 3]) {
      expect(await failureOf(() => lock.read({ timeout }))).toMatchObject({ code: 'ETIMEDOUT' });
    }
    const controller = new AbortController();
    const waits = [0, 1, 2].map(() => failureOf(() => lock.read({ signal: controller.signal })));
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    controller.abort();
    for (const wait of waits) expect(await wait).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    expect(await failureOf(() => lock.read({ signal: controller.signal }))).toMatchObject({
      code: 'ABORT_ERR',
    });
    const source = `
      const lock = RwLock.at(SharedMemory.open(args[0]), 0);
      for (const timeout of [0, 0.5, 30]) assert.throws(() => lock.readSync({ timeout }), { code: 'ETIMEDOUT' });
      assert.equal(lock.tryRead(), null);`;
    expect(await runPeer(source, { args: [memory.name] })).toMatchObject(clean);
    expect(lock.readers).toBe(0);
    guard.unlock();
    lock.writeSync().unlock();
    memory.close();
  });

  it('is first: sync reads are ERR_INTERPROC_BUSY, and tryRead gives null', async () => {
    const { memory, lock, guard } = written();
    const read = lock.read();
    expect(() => lock.readSync()).toThrow(ipcError('ERR_INTERPROC_BUSY'));
    expect(lock.tryRead()).toBe(null);
    guard.unlock();
    (await read).unlock();
    lock.readSync().unlock();
    memory.close();
  });

  it('hears of it when the memory is closed', async () => {
    const { memory, guard } = written();
    const again = SharedMemory.open(memory.name as string);
    const waits = [0, 1].map(() => failureOf(() => RwLock.at(again, 0).read()));
    await turns(50);
    again.close();
    for (const wait of waits) expect(await wait).toEqual(ipcError('ERR_INTERPROC_CLOSED'));
    guard.unlock();
    memory.close();
  });
});

describe('a writer who waits for readers to leave', () => {
  it.each(['timeout', 'abort', 'close'] as const)('and gives up lets all go on: %s', async (how) => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const again = SharedMemory.open(memory.name as string);
    const lock = RwLock.at(memory, 0);
    const reading = lock.readSync();
    const controller = new AbortController();
    const options = { timeout: { timeout: 20 }, abort: { signal: controller.signal }, close: {} }[how];
    const write = failureOf(() => RwLock.at(again, 0).write(options));
    await expect
      .poll(() => RwLock.at(memory, 0).writer?.pid ?? how)
      .toSatisfy((pid) => pid === process.pid || how === 'timeout');
    if (how === 'abort') controller.abort();
    if (how === 'close') again.close();
    const code = { timeout: 'ETIMEDOUT', abort: 'ABORT_ERR', close: 'ERR_INTERPROC_CLOSED' }[how];
    expect(await write).toMatchObject({ code });
    expect(lock.writer).toBe(null);
    lock.readSync().unlock();
    expect(lock.tryWrite()).toBe(null);
    reading.unlock();
    const guard = lock.writeSync();
    expect(guard.abandoned).toBe(false);
    guard.unlock();
    again.close();
  });

  it('says anew that he sleeps on the slot of one where that was taken away, and he was not woken', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const reading = RwLock.at(memory, 0).readSync();
    const slot = new Int32Array(memory.buffer, firstSlot, 1);
    const write = RwLock.at(again, 0).write();
    for (let time = 0; time < 3; time++) {
      await expect.poll(() => slot[0]).toBeLessThan(0);
      Atomics.and(slot, 0, 0x7fff_ffff);
    }
    await expect.poll(() => slot[0]).toBeLessThan(0);
    reading.unlock();
    (await write).unlock();
  });

  it('is aborted as the last reader leaves: it has the lock, or nobody has', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const [lock, other] = [RwLock.at(memory, 0), RwLock.at(again, 0)];
    for (let round = 0; round < 200; round++) {
      const reading = lock.tryRead() as ReadGuard;
      const controller = new AbortController();
      const write = other.write({ signal: controller.signal }).catch((error) => error.code as string);
      const next = other.read();
      await turns(round % 5);
      reading.unlock();
      await turns(round % 3);
      controller.abort();
      const got = await write;
      if (typeof got === 'string') expect(got).toBe('ABORT_ERR');
      else got.unlock();
      (await next).unlock();
      expect([lock.writer, lock.readers]).toEqual([null, 0]);
    }
  });

  it('in another process, and dies waiting, holds nobody up', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = RwLock.at(memory, 0);
    const reading = lock.readSync();
    const peer = startPeer(`RwLock.at(SharedMemory.open(args[0]), 0).writeSync();`, { args: [memory.name] });
    await expect.poll(() => lock.writer?.pid).toBe(peer.process.pid);
    const [read, write] = [lock.read(), lock.write()];
    peer.process.kill('SIGKILL');
    const second = await read;
    expect(second.abandoned).toBe(false);
    reading.unlock();
    second.unlock();
    const guard = await write;
    expect(guard.abandoned).toBe(false);
    guard.unlock();
  });
});
