import { Condition, type LockGuard, Mutex, RwLock, SharedMemory } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, misuse, type Wrong } from '../support/failures.js';
import { turns } from '../support/locks.js';
import { shmName } from '../support/names.js';
import { clean, startPeer } from '../support/peer.js';
import { withWorkers } from '../support/workers.js';

const conditionAt = 1024;

function open(memory: SharedMemory) {
  onTestFinished(() => memory.close());
  const mutex = Mutex.at(memory, 0);
  return { memory, mutex, condition: Condition.at(memory, conditionAt) };
}

const make = () => open(SharedMemory.create(shmName(), { size: 4096 }));
const openAgain = ({ name }: SharedMemory) => open(SharedMemory.open(name as string));

type Made = ReturnType<typeof make>;

/** Locks, waits and unlocks. */
async function waitOnce(
  { mutex, condition }: Made,
  options?: Parameters<Condition['wait']>[1],
): Promise<void> {
  const held = await mutex.lock();
  try {
    await condition.wait(held, options);
  } finally {
    held[Symbol.dispose](); // it is not held again where the memory is closed
  }
}

const until = (what: () => boolean) => expect.poll(what, { timeout: 20_000, interval: 2 }).toBe(true);
/** So many wait, and have let go of the mutex. */
const untilWaiting = ({ mutex, condition }: Made, count: number) =>
  until(() => condition.waiting === count && mutex.holder === null);

const peerHead = `
  const memory = SharedMemory.open(args[0]);
  const mutex = Mutex.at(memory, 0);
  const condition = Condition.at(memory, ${conditionAt});`;

/** A peer in which so many tasks wait, and each says so when it has been notified. */
const waiters = ({ memory }: Made, tasks: number) =>
  startPeer(
    `${peerHead}
    for (let task = 0; task < args[1]; task++) {
      mutex.lock().then(async (held) => { await condition.wait(held); held.unlock(); send(task); });
    }`,
    { args: [memory.name, tasks] },
  );
/** One that blocks. */
const blocked = ({ memory }: Made) =>
  startPeer(
    `${peerHead}
    const held = mutex.lockSync();
    condition.waitSync(held);
    held.unlock();
    send('woken');`,
    { args: [memory.name] },
  );

describe('notifyOne()', () => {
  it.each(['with', 'without'])(
    'ends one wait of all processes and tasks each time, %s the mutex',
    async (how) => {
      const made = make();
      let woken = 0;
      const count = () => void woken++;
      const own = [0, 1, 2].map(() => waitOnce(made).then(count));
      const [two, one, sync] = [waiters(made, 2), waiters(made, 1), blocked(made)];
      const messages = [two, two, one, sync].map((peer) => peer.next().then(count));
      await untilWaiting(made, 7);
      for (let notified = 1; notified <= 7; notified++) {
        const held = how === 'with' ? await made.mutex.lock() : undefined;
        expect(made.condition.notifyOne()).toBe(1);
        if (held !== undefined) {
          await turns(20);
          expect(woken).toBe(notified - 1);
          held.unlock();
        }
        await until(() => woken === notified);
        await untilWaiting(made, 7 - notified);
      }
      expect(made.condition.notifyOne()).toBe(0);
      await Promise.all([...own, ...messages]);
      for (const peer of [two, one, sync]) expect(await peer.exited).toMatchObject(clean);
    },
  );

  it('goes round those who wait: nobody is passed over', async () => {
    const made = make();
    const others = [1, 2].map(() => openAgain(made.memory));
    const turnsOf = [0, 0, 0];
    const stop = new AbortController();
    const all = [made, ...others].map(async (each, i) => {
      const held = await each.mutex.lock();
      for (;;) {
        try {
          await each.condition.wait(held, { signal: stop.signal });
        } catch {
          return held.unlock();
        }
        (turnsOf[i] as number)++;
      }
    });
    for (let round = 0; round < 30; round++) {
      await untilWaiting(made, 3);
      expect(made.condition.notifyOne()).toBe(1);
      await until(() => turnsOf.reduce((sum, each) => sum + each) === round + 1);
    }
    expect(turnsOf).toEqual([10, 10, 10]);
    await untilWaiting(made, 3);
    stop.abort();
    await Promise.all(all);
  });

  it('ends the longest wait of a thread', async () => {
    const made = make();
    const order: number[] = [];
    const all = [0, 1, 2, 3].map((i) => waitOnce(made).then(() => order.push(i)));
    await untilWaiting(made, 4);
    for (let i = 1; i <= 4; i++) {
      made.condition.notifyOne();
      await until(() => order.length === i);
    }
    expect(order).toEqual([0, 1, 2, 3]);
    await Promise.all(all);
  });

  it('is kept for nobody who comes later', async () => {
    const made = make();
    expect(made.condition.notifyOne()).toBe(0);
    expect(made.condition.notifyAll()).toBe(0);
    await expect(waitOnce(made, { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });

  it('that comes with an abort counts: the wait fulfils, and nobody else is woken', async () => {
    const made = make();
    const other = openAgain(made.memory);
    const abort = new AbortController();
    const first = waitOnce(made, { signal: abort.signal });
    await untilWaiting(made, 1);
    const second = waitOnce(other, { timeout: 80 });
    await untilWaiting(made, 2);
    // Slots are looked through from the first on.
    expect(other.condition.notifyOne()).toBe(1);
    abort.abort();
    await first;
    await expect(second).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  });

  it("given to one who has given up and has not got the mutex back is another one's", async () => {
    const made = make();
    const other = openAgain(made.memory);
    const abort = new AbortController();
    const first = failureOf(() => waitOnce(made, { signal: abort.signal }));
    await untilWaiting(made, 1);
    const held = await other.mutex.lock();
    abort.abort();
    await turns(20);
    // He is all who is there yet.
    expect(other.condition.notifyOne()).toBe(1);
    const second = other.condition.wait(held);
    expect(await first).toMatchObject({ code: 'ABORT_ERR' });
    await second;
    held.unlock();
    expect(made.condition.waiting).toBe(0);
  });

  it('wakes those whose mutex lies in other memory', async () => {
    const made = make();
    const elsewhere = make();
    const waiting = waitOnce({ ...made, mutex: elsewhere.mutex });
    await untilWaiting({ ...made, mutex: elsewhere.mutex }, 1);
    made.condition.notifyOne();
    await waiting;
  });
});

describe('notifyAll()', () => {
  it.each(['with', 'without'])('ends all waits of all processes and tasks, %s the mutex', async (how) => {
    const made = make();
    let woken = 0;
    const own = Array.from({ length: 150 }, () => waitOnce(made).then(() => woken++));
    const peers = [waiters(made, 40), waiters(made, 1), blocked(made)];
    await untilWaiting(made, 192);
    const held = how === 'with' ? await made.mutex.lock() : undefined;
    expect(made.condition.notifyAll()).toBe(192);
    expect(made.condition.notifyAll()).toBe(0);
    if (held !== undefined) {
      await turns(20);
      expect(woken).toBe(0);
      held.unlock();
    }
    await Promise.all(own);
    for (const peer of peers) expect(await peer.exited).toMatchObject(clean);
    expect(made.condition.waiting).toBe(0);
  });

  it('leaves alone who waits again', async () => {
    const made = make();
    let rounds = 0;
    const held = await made.mutex.lock();
    const loop = (async () => {
      for (; rounds < 2; rounds++) await made.condition.wait(held);
    })();
    await untilWaiting(made, 1);
    made.condition.notifyAll();
    await until(() => rounds === 1);
    await turns(30);
    expect(rounds).toBe(1);
    made.condition.notifyAll();
    await loop;
    held.unlock();
  });
});

describe('the guard of a wait', () => {
  const ends: Record<string, (made: Made, held: LockGuard<Mutex>) => Promise<unknown>> = {
    'a notification': async (made, held) => {
      const waiting = made.condition.wait(held);
      openAgain(made.memory).condition.notifyOne();
      return waiting;
    },
    'a timeout': (made, held) => failureOf(() => made.condition.wait(held, { timeout: 2 })),
    'a timeout of a blocking call': (made, held) =>
      failureOf(() => made.condition.waitSync(held, { timeout: 2 })),
    'one try': (made, held) => failureOf(() => made.condition.wait(held, { timeout: 0 })),
    'one try of a blocking call': (made, held) =>
      failureOf(() => made.condition.waitSync(held, { timeout: 0 })),
    'an abort': async (made, held) => {
      const abort = new AbortController();
      const waiting = failureOf(() => made.condition.wait(held, { signal: abort.signal }));
      abort.abort();
      return waiting;
    },
    'a signal that was aborted before': (made, held) =>
      failureOf(() => made.condition.wait(held, { signal: AbortSignal.abort() })),
    'a wrong option': (made, held) => failureOf(() => made.condition.wait(held, { timeout: -1 })),
    'a signal that is none': (made, held) =>
      failureOf(() => made.condition.wait(held, { signal: 1 as Wrong })),
  };

  it.each(Object.entries(ends))('has the mutex again after %s', async (_, end) => {
    const made = make();
    const held = await made.mutex.lock();
    await end(made, held);
    expect(held.released).toBe(false);
    expect(held.abandoned).toBe(false);
    expect(made.mutex.holder).toMatchObject({ pid: process.pid });
    expect(openAgain(made.memory).mutex.tryLock()).toBeNull();
    held.unlock();
    expect(made.condition.waiting).toBe(0);
    openAgain(made.memory).mutex.lockSync({ timeout: 0 }).unlock();
  });

  const awaited = Object.entries(ends).filter(([name]) => !/blocking|wrong/.test(name));
  it.each(awaited)('has the mutex before it is told of %s, however long that takes', async (_, end) => {
    const made = make();
    const held = await made.mutex.lock();
    const next = made.mutex.lock(); // its turn comes as soon as the wait unlocks
    let isOver = false;
    const waiting = end(made, held).then(() => (isOver = true));
    const holder = await next;
    await turns(60);
    expect(isOver).toBe(false);
    holder.unlock();
    await waiting;
    expect(held.released).toBe(false);
    held.unlock();
  });

  it('is not held meanwhile: it can neither be unlocked nor wait once more', async () => {
    const made = make();
    const held = await made.mutex.lock();
    const waiting = made.condition.wait(held);
    expect(held.released).toBe(true);
    const notHeld = { code: 'ERR_INTERPROC_NOT_HELD' };
    expect(() => held.unlock()).toThrow(expect.objectContaining(notHeld));
    await expect(made.condition.wait(held)).rejects.toMatchObject(notHeld);
    expect(() => made.condition.waitSync(held)).toThrow(expect.objectContaining(notHeld));
    made.condition.notifyOne();
    await waiting;
    held.unlock();
    await expect(made.condition.wait(held)).rejects.toMatchObject(notHeld);
    expect(() => made.condition.waitSync(held)).toThrow(expect.objectContaining(notHeld));
    expect(made.condition.waiting).toBe(0);
  });

  it('is that of a mutex', async () => {
    const made = make();
    const lock = RwLock.at(made.memory, 2048);
    const writing = lock.tryWrite() as Wrong;
    const guards = [undefined, {}, writing, made.mutex];
    const wrong = misuse('TypeError', 'ERR_INVALID_ARG_TYPE', 'held');
    for (const guard of guards as Wrong[]) {
      expect(await failureOf(() => made.condition.wait(guard))).toEqual(wrong);
      expect(await failureOf(() => made.condition.waitSync(guard))).toEqual(wrong);
    }
    writing.unlock();
    const reading = lock.tryRead() as Wrong;
    expect(await failureOf(() => made.condition.wait(reading))).toEqual(wrong);
    reading.unlock();
  });
});

describe('a condition', () => {
  it('whose memory is closed passes its notifications on, where its thread has it open once more', async () => {
    const made = make();
    const other = openAgain(made.memory);
    const first = failureOf(() => waitOnce(made));
    await untilWaiting(made, 1);
    const second = waitOnce(other);
    await untilWaiting(made, 2);
    expect(other.condition.notifyOne()).toBe(1);
    made.memory.close();
    expect(await first).toMatchObject({ code: 'ERR_INTERPROC_CLOSED' });
    await second;
    expect(other.condition.waiting).toBe(0);
    // Nobody is left whom a notification could go to.
    expect(other.condition.notifyOne()).toBe(0);
  });

  it('is waited for by workers of one process, each for itself', async () => {
    const made = make();
    const peer = startPeer(
      `${withWorkers}
      const worker = (call) => startWorker(\`
        const memory = SharedMemory.open(workerData);
        const mutex = Mutex.at(memory, 0), condition = Condition.at(memory, ${conditionAt});
        const held = mutex.lockSync();
        await condition.\${call}(held);
        held.unlock();
        say();\`, args[0]);
      const workers = ['wait', 'waitSync', 'wait', 'waitSync'].map(worker);
      let woken = 0;
      const all = Promise.all(workers.map((each) => reply(each).then(() => send(++woken))));
      await all;
      for (const each of workers) await each.terminate();`,
      { args: [made.memory.name], execArgv: ['--expose-gc'] },
    );
    await untilWaiting(made, 4);
    expect(made.condition.notifyOne()).toBe(1);
    expect(await peer.next()).toBe(1);
    expect(made.condition.notifyAll()).toBe(3);
    expect(await peer.exited).toMatchObject(clean);
    expect(made.condition.waiting).toBe(0);
  });

  it('is waited for by 32,767 tasks of a thread at most', async () => {
    const made = make();
    const abort = new AbortController();
    const first = failureOf(() => waitOnce(made, { signal: abort.signal }));
    await untilWaiting(made, 1);
    const words = new Int32Array(made.memory.buffer, conditionAt);
    words[9] = 0x7fff << 16; // as if so many did
    await expect(waitOnce(made)).rejects.toMatchObject({ code: 'ERR_INTERPROC_BUSY' });
    words[9] = 1 << 16;
    abort.abort();
    expect(await first).toMatchObject({ code: 'ABORT_ERR' });
    expect(made.condition.waiting).toBe(0);
  });

  it('is waited for in 124 processes and threads at most', async () => {
    const made = make();
    const words = new Int32Array(made.memory.buffer, conditionAt);
    // As if each of them had somebody who waits, with an id that lives.
    const held = await made.mutex.lock();
    const id = (new Int32Array(made.memory.buffer)[0] as number) & 0x3fff_ffff;
    for (let slot = 0; slot < Condition.maxWaiters; slot++) {
      words[8 + 2 * slot] = id;
      words[9 + 2 * slot] = 0x1_0000;
    }
    const busy = { code: 'ERR_INTERPROC_BUSY' };
    await expect(made.condition.wait(held)).rejects.toMatchObject(busy);
    expect(() => made.condition.waitSync(held)).toThrow(expect.objectContaining(busy));
    expect(held.released).toBe(false);
    expect(made.condition.waiting).toBe(124);
    // One leaves: he can.
    words.fill(0, 8 + 2 * 100, 10 + 2 * 100);
    await expect(made.condition.wait(held, { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    // All are dead: an id that nobody has.
    for (let slot = 0; slot < Condition.maxWaiters; slot++) words[8 + 2 * slot] = id ^ 1;
    await expect(made.condition.wait(held, { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(made.condition.waiting).toBe(0);
    held.unlock();
  });
});
