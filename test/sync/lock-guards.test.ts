/** What a lock gives who has it alone, and what it refuses: a mutex, and an RwLock that is written through. */
import { type LockGuard, Mutex, RwLock, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { exclusive, kinds } from '../support/locks.js';
import { clean, runPeer } from '../support/peer.js';

const notHeld = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_NOT_HELD' });
const deadlock = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_DEADLOCK' });

describe.each(kinds)('%s: a guard', (kind) => {
  it('is given in each of three ways, to one at a time', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    for (const take of [lock.take, lock.tryTake, lock.takeSync]) {
      const guard = (await take()) as LockGuard;
      expect([guard.abandoned, guard.released]).toEqual([false, false]);
      expect(lock.tryTake()).toBe(null);
      expect(await failureOf(() => lock.take({ timeout: 0 }))).toMatchObject({ code: 'ETIMEDOUT' });
      guard.unlock();
      expect([guard.abandoned, guard.released]).toEqual([false, true]);
    }
  });

  it('unlocks once: again is an error, also where another one has the lock by then', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    const first = lock.takeSync();
    first.unlock();
    expect(() => first.unlock()).toThrow(notHeld);
    const second = lock.takeSync();
    expect(() => first.unlock()).toThrow(notHeld);
    expect(() => first.recovered()).toThrow(notHeld);
    first[Symbol.dispose]();
    expect(lock.tryTake()).toBe(null);
    second.unlock();
    lock.takeSync().unlock();
  });

  it('unlocks at the end of its block, also when that throws or has unlocked it', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    const failed = await failureOf(async () => {
      using _held = await lock.take();
      throw new Error('within');
    });
    expect(failed).toMatchObject({ message: 'within' });
    {
      using held = lock.takeSync();
      held.unlock();
    }
    lock.takeSync().unlock();
  });

  it('that found nothing abandoned has nothing to recover: recovered() changes nothing', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    const guard = lock.takeSync();
    guard.recovered();
    expect([guard.abandoned, guard.released]).toEqual([false, false]);
    guard.unlock();
    lock.takeSync().unlock();
  });

  it.each(['the same region', 'another region of the same memory'])(
    'keeps its own thread from blocking for ever, through %s: ERR_INTERPROC_DEADLOCK',
    (through) => {
      using memory = SharedMemory.anonymous({ size: 4096 });
      using again = SharedMemory.fromFd(memory.fd);
      const guard = exclusive(kind, memory).takeSync();
      const other = exclusive(kind, through === 'the same region' ? memory : again);
      for (const options of [undefined, {}, { timeout: 0 }, { timeout: 5 }]) {
        expect(() => other.takeSync(options)).toThrow(deadlock);
      }
      expect(other.tryTake()).toBe(null);
      guard.unlock();
      other.takeSync().unlock();
    },
  );

  it('excludes what another region object of the same memory would take, and lets it in afterwards', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const [one, other] = [exclusive(kind, memory), exclusive(kind, again)];
    expect(other.lock).not.toBe(one.lock);
    const guard = one.takeSync();
    let served = false;
    const waited = other.take().then((held) => {
      served = true;
      return held;
    });
    await expect.poll(() => new Int32Array(memory.buffer)[0]).toBeLessThan(0);
    expect(served).toBe(false);
    guard.unlock();
    (await waited).unlock();
  });

  it('is told by the lock: the pid of its process, that it lives; null for nobody', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    expect(lock.holder).toBe(null);
    const guard = lock.takeSync();
    expect(lock.holder).toEqual({ pid: process.pid, alive: true });
    guard.unlock();
    expect(lock.holder).toBe(null);
  });
});

describe.each(kinds)('%s: the lock', (kind) => {
  const bytes = { Mutex: 16, RwLock: 256 }[kind];
  const byteLength = { Mutex, RwLock }[kind].byteLength;

  it('writes into its own bytes alone', async () => {
    expect(byteLength).toBe(bytes);
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const all = new Uint8Array(memory.buffer);
    all.fill(0xa5);
    all.fill(0, 1024, 1024 + bytes);
    const [one, other] = [exclusive(kind, memory, 1024), exclusive(kind, again, 1024)];
    const guard = one.takeSync();
    const waits = [one.take(), other.take(), other.take({ timeout: 2 }).catch(() => undefined)];
    await expect.poll(() => new Int32Array(memory.buffer)[256]).toBeLessThan(0);
    guard.unlock();
    for (const wait of waits) (await wait)?.unlock();
    expect(new Set(all.subarray(0, 1024))).toEqual(new Set([0xa5]));
    expect(new Set(all.subarray(1024 + bytes))).toEqual(new Set([0xa5]));
  });

  it('is one object for a region and an offset, with an offset and an end', () => {
    const memory = SharedMemory.anonymous({ size: 4096 });
    const { lock } = exclusive(kind, memory, 256);
    expect(exclusive(kind, memory, 256).lock).toBe(lock);
    expect(exclusive(kind, memory, 1024).lock).not.toBe(lock);
    expect([lock.offset, lock.closed]).toEqual([256, false]);
    memory.close();
    expect([lock.offset, lock.closed]).toEqual([256, true]);
  });

  it('is made by at() only', () => {
    const Class: Wrong = { Mutex, RwLock }[kind];
    expect(() => new Class()).toThrow(TypeError);
    expect(() => new Class({}, 0)).toThrow(TypeError);
  });

  it('refuses wrong options of a wait, and has not been taken then', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    const wrong: [Wrong, string, string][] = [
      [{ timeout: -1 }, 'ERR_OUT_OF_RANGE', 'timeout'],
      [{ timeout: Number.NaN }, 'ERR_OUT_OF_RANGE', 'timeout'],
      [{ timeout: '1' }, 'ERR_INVALID_ARG_TYPE', 'timeout'],
      [{ timeout: 1n }, 'ERR_INVALID_ARG_TYPE', 'timeout'],
      [5, 'ERR_INVALID_ARG_TYPE', 'options'],
      [null, 'ERR_INVALID_ARG_TYPE', 'options'],
    ];
    for (const [options, code, subject] of wrong) {
      const error = misuse(code === 'ERR_OUT_OF_RANGE' ? 'RangeError' : 'TypeError', code, subject);
      expect(() => lock.takeSync(options), String(options)).toThrow(error);
      expect(await failureOf(() => lock.take(options)), String(options)).toEqual(error);
    }
    const signal: Wrong = {};
    expect(await failureOf(() => lock.take({ signal }))).toEqual(
      misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'signal'),
    );
    expect(lock.holder).toBe(null);
    lock.takeSync().unlock();
  });

  it('makes no call of the addon while nobody contends', async () => {
    const source = `
      const { native } = await import(new URL('../internal/native.js', import.meta.resolve('interproc')));
      const lock = hold({ Mutex, RwLock }[args[0]].at(SharedMemory.anonymous({ size: 4096 }), 0));
      const calls = [];
      for (const name of Object.keys(native)) {
        if (typeof native[name] === 'function') native[name] = () => { calls.push(name); throw new Error(name); };
      }
      assert.throws(() => SharedMemory.anonymous({ size: 4096 })); // the package does use that object
      calls.length = 0;
      for (let round = 0; round < 100; round++) {
        for (const form of args[1]) {
          const guard = await lock[form]();
          assert.equal(guard.abandoned, false);
          guard.unlock();
        }
        await new Promise(setImmediate); // a turn of the event loop that has taken long puts promises off
      }
      assert.deepEqual(calls, []);`;
    const forms =
      kind === 'Mutex'
        ? ['lock', 'tryLock', 'lockSync']
        : ['read', 'tryRead', 'readSync', 'write', 'tryWrite', 'writeSync'];
    expect(await runPeer(source, { args: [kind, forms] })).toMatchObject(clean);
  });
});

describe('mutex.unlock()', () => {
  it('unlocks the guard that has it, and takes no other', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const [mutex, other] = [Mutex.at(memory, 0), Mutex.at(memory, 16)];
    const [guard, foreign] = [mutex.lockSync(), other.lockSync()];
    expect(() => mutex.unlock(foreign)).toThrow(notHeld);
    expect(foreign.released).toBe(false);
    mutex.unlock(guard);
    expect(guard.released).toBe(true);
    expect(() => mutex.unlock(guard)).toThrow(notHeld);
    const next = mutex.lockSync();
    expect(() => mutex.unlock(guard)).toThrow(notHeld);
    expect(next.released).toBe(false);
    next.unlock();
    foreign.unlock();
  });

  it('refuses what is no guard of a mutex', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const mutex = Mutex.at(memory, 0);
    using writing = RwLock.at(memory, 256).writeSync();
    const unlock: Wrong = (held: unknown) => mutex.unlock(held as never);
    for (const held of [undefined, null, {}, mutex, 1, writing]) {
      expect(() => unlock(held)).toThrow(misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'held'));
    }
    expect(writing.released).toBe(false);
  });

  it('takes no guard of the same lock that another region object gave', () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const guard = Mutex.at(memory, 0).lockSync();
    expect(() => Mutex.at(again, 0).unlock(guard)).toThrow(notHeld);
    guard.unlock();
  });
});
