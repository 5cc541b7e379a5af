/** Waiting for a lock that somebody else has, in each of three ways: order, timeouts, aborts, and what a wait costs. */
import { readFile } from 'node:fs/promises';
import { type LockGuard, SharedMemory } from 'interproc';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../support/failures.js';
import { exclusive, kinds, turns, withLocks, word } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, runPeer, startPeer } from '../support/peer.js';
import { seeded } from '../support/random.js';

const timedOut = expect.objectContaining({ name: 'IpcError', code: 'ETIMEDOUT' });
const aborted = expect.objectContaining({ name: 'AbortError', code: 'ABORT_ERR' });
const busy = expect.objectContaining({ name: 'IpcError', code: 'ERR_INTERPROC_BUSY' });
const waiters = -0x8000_0000;

/** A lock that a task of this process has, and for which others of it wait. */
function heldLock(kind: (typeof kinds)[number]) {
  const memory = SharedMemory.anonymous({ size: 4096 });
  const guard = exclusive(kind, memory).takeSync();
  return { memory, guard, lock: exclusive(kind, memory) };
}

describe.each(kinds)('%s: who waits', (kind) => {
  it('gets the lock of another process, in each of three ways, once that unlocks', async () => {
    using memory = SharedMemory.create(shmName(), { size: 4096 });
    const lock = exclusive(kind, memory);
    const peer = startPeer(
      `${withLocks}
      const lock = exclusive(args[0], SharedMemory.open(args[1]));
      for (const how of ['sync', 'async', 'try']) {
        await next();
        send(how);
        const guard = await had(lock, how);
        assert.equal(guard.abandoned, false);
        await send('has it');
        await next();
        guard.unlock();
      }`,
      { args: [kind, memory.name] },
    );
    for (const how of ['sync', 'async', 'try']) {
      const guard = lock.takeSync();
      peer.send('go');
      expect(await peer.next()).toBe(how);
      if (how !== 'try') await expect.poll(() => word(memory)[0]).toBeLessThan(0);
      expect(lock.holder?.pid).toBe(process.pid);
      guard.unlock();
      expect(await peer.next()).toBe('has it');
      expect(lock.tryTake()).toBe(null);
      expect(lock.holder).toEqual({ pid: peer.process.pid, alive: true });
      peer.send('unlock');
      (await lock.take()).unlock();
    }
    expect(await peer.exited).toMatchObject(clean);
  });

  it('ends in ETIMEDOUT after its time, also of zero or a fraction, and has not taken it', async () => {
    const { memory, guard, lock } = heldLock(kind);
    for (const timeout of [0, 0.4, 3])
      expect(await failureOf(() => lock.take({ timeout }))).toEqual(timedOut);
    const peer = `${withLocks}
      const { lock, takeSync } = exclusive(args[0], SharedMemory.fromFd(4));
      for (const timeout of [0, 0.4, 3, 25]) assert.throws(() => takeSync({ timeout }), { code: 'ETIMEDOUT' });`;
    expect(await runPeer(peer, { args: [kind], fds: [memory.fd] })).toMatchObject(clean);
    guard.unlock();
    for (const timeout of [0, 0.4, Number.POSITIVE_INFINITY]) {
      (await lock.take({ timeout })).unlock();
      lock.takeSync({ timeout }).unlock();
    }
    memory.close();
  });

  it('waits for ever with a timeout of Infinity', async () => {
    const { memory, guard, lock } = heldLock(kind);
    let settled = false;
    const waited = lock.take({ timeout: Number.POSITIVE_INFINITY }).finally(() => {
      settled = true;
    });
    await turns(500);
    expect(settled).toBe(false);
    guard.unlock();
    (await waited).unlock();
    memory.close();
  });

  it('ends in an AbortError with its cause: aborted before, and while it waits', async () => {
    const { memory, guard, lock } = heldLock(kind);
    const reason = new Error('enough');
    expect(await failureOf(() => lock.take({ signal: AbortSignal.abort(reason) }))).toMatchObject({
      name: 'AbortError',
      code: 'ABORT_ERR',
      cause: reason,
    });
    const controller = new AbortController();
    const waited = failureOf(() => lock.take({ signal: controller.signal }));
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    controller.abort(reason);
    expect(await waited).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    expect(lock.lock.closed).toBe(false);
    guard.unlock();
    expect(await failureOf(() => lock.take({ signal: controller.signal }))).toEqual(aborted);
    lock.takeSync().unlock();
    memory.close();
  });

  it('that is aborted in the tick in which it was unlocked has the lock, or nobody has', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const lock = exclusive(kind, memory);
    for (let round = 0; round < 200; round++) {
      const guard = lock.takeSync();
      const controller = new AbortController();
      const waited = lock.take({ signal: controller.signal }).catch((error) => error.code as string);
      await turns(round % 4);
      if (round % 2 === 0) {
        guard.unlock();
        controller.abort();
      } else {
        controller.abort();
        guard.unlock();
      }
      const got = await waited;
      if (typeof got === 'string') expect(got).toBe('ABORT_ERR');
      else got.unlock();
      expect(typeof got === 'string').toBe(round % 2 === 1);
      lock.takeSync().unlock();
    }
  });

  it('that is aborted as another process unlocks passes its turn on', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const [holder, lock] = [exclusive(kind, memory), exclusive(kind, again)];
    for (let round = 0; round < 100; round++) {
      const guard = holder.takeSync();
      const controller = new AbortController();
      const waited = lock.take({ signal: controller.signal }).catch(() => undefined);
      const next = lock.take();
      await turns(round % 5);
      guard.unlock();
      controller.abort();
      (await waited)?.unlock();
      (await next).unlock();
    }
  });

  it('comes in the order of all in its process, without those who gave up in the middle', async () => {
    const { memory, guard, lock } = heldLock(kind);
    const random = seeded(7);
    const came: number[] = [];
    const left: number[] = [];
    const controllers: AbortController[] = [];
    const waits = Array.from({ length: 200 }, async (_, index) => {
      const controller = new AbortController();
      controllers.push(controller);
      try {
        const held = await lock.take({ signal: controller.signal });
        came.push(index);
        if (index % 3 === 0) await turns(1);
        held.unlock();
      } catch (error) {
        expect(error).toEqual(aborted);
        left.push(index);
      }
    });
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    const gone = new Set(Array.from({ length: 80 }, () => random(200)).concat(0, 199));
    for (const index of gone) controllers[index]?.abort();
    guard.unlock();
    await Promise.all(waits);
    expect(new Set(left)).toEqual(gone);
    expect(came).toEqual(
      Array.from({ length: 200 }, (_, index) => index).filter((index) => !gone.has(index)),
    );
    lock.takeSync().unlock();
    memory.close();
  });

  it('comes before who only tries or blocks: null, and ERR_INTERPROC_BUSY', async () => {
    const { memory, guard, lock } = heldLock(kind);
    const waited = lock.take();
    expect(lock.tryTake()).toBe(null);
    expect(() => lock.takeSync()).toThrow(busy);
    expect(() => lock.takeSync({ timeout: 0 })).toThrow(busy);
    guard.unlock();
    const second = await waited;
    expect(lock.tryTake()).toBe(null);
    second.unlock();
    lock.takeSync().unlock();
    memory.close();
  });

  it('does not forget those of other processes when one of its own task is served first', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const [lock, other] = [exclusive(kind, memory), exclusive(kind, again)];
    const guard = lock.takeSync();
    const own = lock.take();
    await expect.poll(() => word(memory)[0], { interval: 1 }).toBeLessThan(0);
    const foreign = other.take();
    await turns(200); // it sleeps by then: or the test shows less
    guard.unlock();
    const held = await own;
    expect((word(memory)[0] as number) & waiters).toBe(waiters);
    held.unlock();
    (await foreign).unlock();
  });

  it('says anew that it waits where somebody has taken that away, and has not woken it', async () => {
    const { memory, guard, lock } = heldLock(kind);
    const waiting = lock.take();
    for (let time = 0; time < 3; time++) {
      await expect.poll(() => word(memory)[0]).toBeLessThan(0);
      Atomics.and(word(memory), 0, ~waiters);
    }
    await expect.poll(() => word(memory)[0]).toBeLessThan(0);
    guard.unlock();
    (await waiting).unlock();
    memory.close();
  });

  it('leaves the event loop and the pool of threads to others', async () => {
    using memory = SharedMemory.anonymous({ size: 1 << 20 });
    const locks = Array.from({ length: 400 }, (_, index) => exclusive(kind, memory, index * 256));
    const guards = locks.map((lock) => lock.takeSync());
    const waits = locks.map((lock) => lock.take());
    for (let round = 0; round < 20; round++) {
      expect((await readFile(import.meta.filename)).length).toBeGreaterThan(0);
    }
    for (const guard of guards) guard.unlock();
    for (const wait of waits) (await wait).unlock();
  });

  it('uses no CPU meanwhile', async () => {
    const source = `${withLocks}
      import { readdirSync, readFileSync } from 'node:fs';
      const memory = SharedMemory.anonymous({ size: 1 << 20 });
      const idle = readdirSync('/proc/self/task');
      const locks = Array.from({ length: 100 }, (_, index) => exclusive(args[0], memory, index * 256));
      const guards = locks.map((lock) => lock.takeSync());
      const waits = locks.map((lock) => lock.take());
      const words = new Int32Array(memory.buffer);
      while (locks.some((_, index) => words[index * 64] >= 0)) await turns(1);
      const threads = readdirSync('/proc/self/task').filter((task) => !idle.includes(task));
      assert.notEqual(threads.length, 0);
      const status = (task) => readFileSync('/proc/self/task/' + task + '/status', 'utf8');
      while (!threads.every((task) => /State:\\tS/.test(status(task)))) await turns(1);
      const switches = () => threads.map((task) => status(task).match(/ctxt_switches:\\t\\d+/g).join());
      const before = switches();
      await turns(2000);
      assert.deepEqual(switches(), before); // none of them ran
      for (const guard of guards) guard.unlock();
      for (const wait of waits) (await wait).unlock();`;
    expect(await runPeer(source, { args: [kind] })).toMatchObject(clean);
  });

  it('keeps its process alive, unless it is unref()ed; ref() undoes that', async () => {
    const { memory, guard } = heldLock(kind);
    const options = { args: [kind], fds: [memory.fd] };
    const source = (head: string) => `${withLocks}
      const { lock, take } = exclusive(args[0], SharedMemory.fromFd(4));
      ${head}
      const first = take().then((held) => { console.log('had it'); held.unlock(); });
      take({ timeout: 1e8 }).then((held) => held.unlock());
      await send('waiting');`;
    expect(await runPeer(source('lock.unref();'), options)).toMatchObject({ ...clean, stdout: '' });
    const kept = ['', 'lock.unref().ref();'].map((head) => startPeer(source(head), options));
    for (const peer of kept) expect(await peer.next()).toBe('waiting');
    guard.unlock();
    for (const peer of kept) expect(await peer.exited).toMatchObject({ ...clean, stdout: 'had it\n' });
    memory.close();
  });

  it('lets its process end that sleeps already, once it is unref()ed', async () => {
    const { memory, guard } = heldLock(kind);
    const source = `${withLocks}
      const { lock, take } = exclusive(args[0], SharedMemory.fromFd(4));
      const words = new Int32Array(SharedMemory.fromFd(4).buffer);
      take().then(() => console.log('had it'));
      while (words[0] >= 0) await turns(1);
      lock.unref();`;
    expect(await runPeer(source, { args: [kind], fds: [memory.fd] })).toMatchObject({ ...clean, stdout: '' });
    guard.unlock();
    memory.close();
  });

  it('rejects with ERR_INTERPROC_CLOSED when its memory is closed, all of them', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    const again = SharedMemory.fromFd(memory.fd);
    const guard = exclusive(kind, memory).takeSync();
    const lock = exclusive(kind, again);
    const controller = new AbortController();
    const waits = [{}, { timeout: 1e6 }, { signal: controller.signal }, undefined].map((options) =>
      failureOf(() => lock.take(options)),
    );
    again.close();
    controller.abort();
    for (const wait of waits) expect(await wait).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    guard.unlock();
    exclusive(kind, memory).takeSync().unlock();
  });

  it('goes on in the order of all that come and go, at random: every guard is unlocked once', async () => {
    using memory = SharedMemory.anonymous({ size: 4096 });
    using again = SharedMemory.fromFd(memory.fd);
    const locks = [exclusive(kind, memory), exclusive(kind, again)];
    const random = seeded(11);
    let inside = 0;
    let count = 0;
    const had = async (guard: LockGuard) => {
      expect(++inside).toBe(1);
      count++;
      await turns(random(3));
      inside--;
      guard.unlock();
    };
    const task = async (index: number) => {
      const lock = locks[index % 2] as (typeof locks)[0];
      for (let round = 0; round < 60; round++) {
        const form = random(4);
        if (form === 0) await had(await lock.take());
        if (form === 1) {
          const guard = await lock.take({ timeout: random(3) }).catch(() => undefined);
          if (guard !== undefined) await had(guard);
        }
        if (form === 2) {
          const controller = new AbortController();
          const waited = lock.take({ signal: controller.signal }).catch(() => undefined);
          await turns(random(3));
          controller.abort();
          const guard = await waited;
          if (guard !== undefined) await had(guard);
        }
        if (form === 3) {
          const guard = lock.tryTake();
          if (guard !== null) await had(guard);
        }
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, index) => task(index)));
    expect(count).toBeGreaterThan(100);
    expect(inside).toBe(0);
    for (const lock of locks) lock.takeSync().unlock();
  });
});
