import assert from 'node:assert/strict';
import { Barrier, Condition, Mutex, Once, RwLock, SharedEvent, SharedMemory, waitOn, wake } from 'interproc';
import { aborted, close, closedInWait, timedOut } from './place.js';

const size = 8192;
/** @template T @param {T | null} guard @returns {T} */
function had(guard) {
  assert.ok(guard);
  return guard;
}

/** @type {Record<string, import('./place.js').Kind>} */
export const syncKinds = {
  Mutex: () => (drop) => {
    const memory = SharedMemory.anonymous({ size });
    const guard = had(Mutex.at(memory, 0).tryLock());
    if (!drop) guard.unlock();
    close(drop, memory);
  },
  RwLock: () => (drop) => {
    const memory = SharedMemory.anonymous({ size });
    const lock = RwLock.at(memory, 0);
    had(lock.tryRead()).unlock();
    const guard = had(lock.tryWrite());
    if (!drop) guard.unlock();
    close(drop, memory);
  },
  Condition: () => (drop) => {
    const memory = SharedMemory.anonymous({ size });
    Condition.at(memory, 1024).notifyAll();
    close(drop, memory);
  },
  Barrier: () => async (drop) => {
    const memory = SharedMemory.anonymous({ size });
    const [one, other] = [Barrier.at(memory, 0, { parties: 2 }), Barrier.at(memory, 0, { parties: 2 })];
    await Promise.all([one.wait(), other.wait()]);
    close(drop, memory);
  },
  SharedEvent: () => (drop) => {
    const memory = SharedMemory.anonymous({ size });
    const event = SharedEvent.at(memory, 0);
    event.set();
    event.tryWait();
    close(drop, memory);
  },
  Once: () => (drop) => {
    const memory = SharedMemory.anonymous({ size });
    assert.equal(
      Once.at(memory, 0).tryRun(() => {}),
      true,
    );
    close(drop, memory);
  },
  'locks of one memory': () => {
    const memory = SharedMemory.anonymous({ size });
    return () => {
      had(Mutex.at(memory, 0).tryLock()).unlock();
      had(RwLock.at(memory, 1024).tryRead()).unlock();
      SharedEvent.at(memory, 4096).set();
    };
  },
  'locks that are waited for': () => async (drop) => {
    const memory = SharedMemory.anonymous({ size });
    const mutex = Mutex.at(memory, 0);
    const guard = had(mutex.tryLock());
    const lock = RwLock.at(memory, 1024);
    const writing = had(lock.tryWrite());
    const event = SharedEvent.at(memory, 4096);
    const condition = Condition.at(memory, 5120);
    const held = had(Mutex.at(memory, 7168).tryLock());
    const barrier = Barrier.at(memory, 6144, { parties: 2 });
    await aborted(
      (options) => mutex.lock(options),
      (options) => lock.read(options),
      (options) => lock.write(options),
      (options) => event.wait(options),
      (options) => barrier.wait(options),
      (options) => condition.wait(held, options),
    );
    if (drop) await timedOut(() => event.wait({ timeout: 0.01 }));
    if (drop) return;
    for (const each of [guard, held, writing]) each.unlock();
    await closedInWait(
      memory,
      () => barrier.wait(),
      () => event.wait(),
    );
  },
  'words that are waited for': () => async (drop) => {
    const memory = SharedMemory.anonymous({ size });
    await aborted(
      (options) => waitOn(memory, 0, 0, options),
      (options) => waitOn(memory, 4, 0, options),
    );
    const woken = waitOn(memory, 0, 0);
    new Int32Array(memory.buffer)[0] = 1;
    wake(memory, 0);
    await woken;
    if (!drop) await closedInWait(memory, () => waitOn(memory, 4, 0));
  },
};
