/** Those of one thread who wait for a lock: what becomes of their line when others change the lock, close it or cut it off. */
import { truncateSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  Barrier,
  Condition,
  MappedFile,
  Mutex,
  Once,
  RwLock,
  SharedEvent,
  SharedMemory,
  wake,
} from '../../dist/index.js';
import { WordWaiting } from '../../dist/sync/lock-word.js';
import { shmName, tempPath } from '../support/names.js';

/** Whether the first word says that somebody sleeps on it. */
const hasWaiters = (words: Int32Array) => Atomics.load(words, 0) < 0;

/** Two views of the same memory, as two parts of a program have them. */
function twoViews(): [SharedMemory, SharedMemory] {
  const name = shmName();
  return [SharedMemory.create(name, { size: 4096 }), SharedMemory.open(name)];
}

/** Once the state word of the mutex says that somebody sleeps. */
const asleep = (words: Int32Array) => expect.poll(() => hasWaiters(words)).toBe(true);

it('the last party of a barrier goes on, too, where the others of its thread are asleep', async () => {
  using memory = SharedMemory.anonymous({ size: 4096 });
  const barrier = Barrier.at(memory, 0, { parties: 2 });
  const first = barrier.wait();
  await expect.poll(() => wake(memory, 0, 1)).toBe(1); // it sleeps, and will do so again
  expect(await Promise.all([first, barrier.wait()])).toEqual([false, true]);
});

it('memory is busy from the moment in which a call of run() has its turn', async () => {
  const [memory, other] = twoViews();
  const ran = Once.at(memory, 0).run(() => expect(memory.closed).toBe(false));
  expect(() => memory.close()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_BUSY' }));
  expect(await ran).toBe(true);
  expect(Once.at(other, 0).done).toBe(true);
  memory.close();
  other.close();
});

it('nobody notifies those whose memory was closed while they waited', async () => {
  const [memory, other] = twoViews();
  const held = Mutex.at(memory, 1024).lockSync();
  const waiting = Condition.at(memory, 0).wait(held);
  const condition = Condition.at(other, 0); // the same owner: as far as others know it lives
  await expect.poll(() => condition.waiting).toBe(1);
  memory.close();
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  expect([condition.waiting, condition.notifyOne()]).toEqual([0, 0]);
  other.close();
});

it('what was notified of memory that is closed then goes to somebody else', async () => {
  const [memory, other] = twoViews();
  const [lost, kept] = [Condition.at(memory, 0), Condition.at(other, 0)];
  const mutex = Mutex.at(other, 1024);
  const waitingHere = lost.wait(Mutex.at(memory, 1024).lockSync());
  await expect.poll(() => kept.waiting).toBe(1);
  expect(kept.notifyOne()).toBe(1);
  const held = mutex.lockSync();
  const waitingThere = kept.wait(held);
  memory.close();
  await expect(waitingHere).rejects.toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
  await waitingThere;
  held.unlock();
  other.close();
});

it('a wait for a condition that fails to unlock leaves nobody behind who takes a notification', async () => {
  using memory = SharedMemory.anonymous({ size: 4096 });
  const condition = Condition.at(memory, 0);
  const mutex = Mutex.at(memory, 1024);
  const released = mutex.lockSync();
  const options = {
    get timeout() {
      if (!released.released) released.unlock();
      return undefined;
    },
  };
  await expect(condition.wait(released, options as object)).rejects.toMatchObject({
    code: 'ERR_INTERPROC_NOT_HELD',
  });
  expect(condition.waiting).toBe(0);
  const held = mutex.lockSync();
  const waiting = condition.wait(held);
  expect(condition.notifyOne()).toBe(1);
  await waiting;
  held.unlock();
});

it('who sleeps on a lock that is truncated away hears of it', async () => {
  const path = tempPath();
  writeFileSync(path, Buffer.alloc(65_536));
  using memory = MappedFile.open(path);
  const far = 8192;
  const mutex = Mutex.at(memory, far);
  const lock = RwLock.at(memory, far + 256);
  const guards = [mutex.lockSync(), lock.writeSync()];
  const held = Mutex.at(memory, 0).lockSync();
  const waits = {
    lock: mutex.lock(),
    read: lock.read(),
    write: lock.write(),
    condition: Condition.at(memory, far + 1024).wait(held),
    barrier: Barrier.at(memory, far + 2048, { parties: 2 }).wait(),
    event: SharedEvent.at(memory, far + 2560).wait(),
  };
  const ends = Object.entries(waits).map(async ([name, wait]) => [
    name,
    await wait.then(String, (e) => e.code),
  ]);
  await asleep(new Int32Array(memory.buffer, far));
  truncateSync(path, 4096);
  expect(Object.fromEntries(await Promise.all(ends))).toEqual(
    Object.fromEntries(Object.keys(waits).map((name) => [name, 'ERR_INTERPROC_TRUNCATED'])),
  );
  held.unlock();
  for (const guard of guards) {
    expect(() => guard.unlock()).toThrow(expect.objectContaining({ code: 'ERR_INTERPROC_TRUNCATED' }));
  }
});

it('a lock that one look has inherited is not forgotten by the next', () => {
  const inherits = [true, false];
  const word = {
    site: { id: 7 },
    state: 5,
    take: () => false,
    inherit: () => inherits.shift() as boolean,
    giveUp: () => expect.unreachable(),
  };
  const waiting = new WordWaiting('lock', word as never, false, (abandoned) => ({ abandoned }));
  // The wake-up of a sleep that the first one would end is on its way, and the second one comes before it.
  expect(waiting.look(true)).toBe(true);
  expect(waiting.look(true)).toBe(true);
  expect(waiting.giveUp()).toBe(false);
  expect(waiting.attempt()).toEqual({ abandoned: true });
});
