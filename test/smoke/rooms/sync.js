import assert from 'node:assert/strict';
import {
  Barrier,
  Condition,
  Mutex,
  Once,
  RwLock,
  SharedEvent,
  SharedMemory,
  waitOn,
  waitOnSync,
  wake,
} from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

// Where everything lies in the memory that both sides have. Zeros are a free lock.
const places = { words: 0, mutex: 128, event: 192, once: 256, barrier: 512, condition: 1024, rwLock: 2048 };
const size = 4096;
const rounds = 50;

/** @param {TestContext} t */
const shared = (t) => {
  const name = t.name(SharedMemory);
  const memory = t.closing(SharedMemory.create(name, { size }));
  return { name, memory, words: new Int32Array(memory.buffer, places.words, 8) };
};

/** @param {(options: any) => Promise<unknown>} call @param {(options: any) => unknown} callSync */
async function waits(call, callSync) {
  await assert.rejects(call({ timeout: 5 }), { code: 'ETIMEDOUT' });
  assert.throws(() => callSync({ timeout: 5 }), { code: 'ETIMEDOUT' });
  const controller = new AbortController();
  const aborted = assert.rejects(call({ signal: controller.signal }), { code: 'ABORT_ERR' });
  controller.abort();
  await aborted;
}

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'the three forms of waiting on a word': async (t) => {
    const { memory, words } = shared(t);
    await waits(
      (options) => waitOn(memory, 0, 0, options),
      (options) => waitOnSync(memory, 0, 0, options),
    );
    const pending = waitOn(memory, 0, 0);
    Atomics.store(words, 0, 1);
    wake(memory, 0);
    await pending;
    await waitOn(memory, 0, 0); // it differs already
    waitOnSync(memory, 0, 0);
    const closed = assert.rejects(waitOn(memory, 0, 1), { code: 'ERR_INTERPROC_CLOSED' });
    memory.close();
    await closed;
  },

  'two processes wait on a word and wake each other': async (t) => {
    const { name, memory, words } = shared(t);
    const side = t.side('bounces', name);
    await bounce(memory, words, 0);
    await side.done();
  },

  'many waits are pending at a time': async (t) => {
    const { memory, words } = shared(t);
    const pending = Array.from({ length: 200 }, (_, i) => waitOn(memory, (i % 4) * 4, 0));
    for (let i = 0; i < 4; i++) {
      Atomics.store(words, i, 1);
      wake(memory, i * 4);
    }
    await Promise.all(pending);
  },

  'the three forms of a mutex': async (t) => {
    const { memory } = shared(t);
    const mutex = Mutex.at(memory, places.mutex);
    const held = await mutex.lock();
    assert.equal(mutex.tryLock(), null);
    assert.throws(() => mutex.lockSync(), { code: 'ERR_INTERPROC_DEADLOCK' });
    await assert.rejects(mutex.lock({ timeout: 5 }), { code: 'ETIMEDOUT' });
    const controller = new AbortController();
    const aborted = assert.rejects(mutex.lock({ signal: controller.signal }), { code: 'ABORT_ERR' });
    controller.abort();
    await aborted;
    assert.equal(mutex.holder?.pid, process.pid);
    held.unlock();
    mutex.lockSync().unlock();
    mutex.tryLock()?.unlock();
    assert.equal(mutex.holder, null);
    assert.throws(() => held.unlock(), { code: 'ERR_INTERPROC_NOT_HELD' });
  },

  'two processes count under a mutex and lose nothing': async (t) => {
    const { name, memory, words } = shared(t);
    const side = t.side('counts', name);
    await count(memory, words);
    await side.done();
    assert.equal(words[1], 2 * rounds);
  },

  'a mutex whose holder was killed is handed on, and that is told': async (t) => {
    const { name, memory } = shared(t);
    const mutex = Mutex.at(memory, places.mutex);
    const side = t.side('holds', name, { alone: true });
    assert.equal(await side.next(), 'held');
    assert.equal(mutex.tryLock(), null);
    const pending = mutex.lock();
    await side.kill();
    const held = await pending;
    assert.equal(held.abandoned, true);
    held.recovered();
    held.unlock();
    const next = mutex.lockSync();
    assert.equal(next.abandoned, false);
    next.unlock();
  },

  'readers share a lock, a writer has it alone, and both wait': async (t) => {
    const { name, memory } = shared(t);
    const lock = RwLock.at(memory, places.rwLock);
    const side = t.side('reads', name);
    assert.equal(await side.next(), 'reads');
    lock.readSync({ timeout: 20_000 }).unlock();
    assert.equal(lock.tryWrite(), null);
    await waits(
      (options) => lock.write(options),
      (options) => lock.writeSync(options),
    );
    const pending = lock.write();
    side.send('stop');
    (await pending).unlock();
    (await lock.read()).unlock();
    await side.done();
  },

  'a condition wakes another process, which has the mutex then': async (t) => {
    const { name, memory, words } = shared(t);
    const mutex = Mutex.at(memory, places.mutex);
    const condition = Condition.at(memory, places.condition);
    const side = t.side('produces', name);
    const held = await mutex.lock();
    await waits(
      (options) => condition.wait(held, options),
      (options) => condition.waitSync(held, options),
    );
    side.send('go');
    while (words[0] === 0) await condition.wait(held);
    words[0] = 2;
    condition.notifyAll();
    held.unlock();
    await side.done();
  },

  'a barrier lets both processes on when both have come': async (t) => {
    const { name, memory, words } = shared(t);
    const side = t.side('meets', name);
    const barrier = Barrier.at(memory, places.barrier, { parties: 2 });
    assert.equal(barrier.tryWait(), null);
    await waits(
      (options) => barrier.wait(options),
      (options) => barrier.waitSync(options),
    );
    side.send('go');
    assert.equal(await side.next(), 'there'); // who blocks its thread before may have sent nothing yet
    await meet(barrier, words, 0);
    await side.done();
    barrier.leave();
  },

  'an event that is set lets another process on': async (t) => {
    const { name, memory } = shared(t);
    const event = SharedEvent.at(memory, places.event);
    assert.equal(event.tryWait(), null);
    await waits(
      (options) => event.wait(options),
      (options) => event.waitSync(options),
    );
    const pending = event.wait();
    const side = t.side('sets', name);
    await pending;
    event.waitSync();
    assert.equal(event.tryWait(), true);
    await side.done();
  },

  'what is made once is made by one of two processes': async (t) => {
    const { name, memory, words } = shared(t);
    const once = Once.at(memory, places.once);
    const side = t.side('makes', name);
    const work = () => Atomics.add(words, 0, 1);
    await once.run(work);
    assert.equal(once.runSync(work), false);
    assert.equal(once.tryRun(work), false);
    await side.done();
    assert.equal(words[0], 1);
  },

  'what is no lock of this kind has a code': (t) => {
    const { memory } = shared(t);
    Mutex.at(memory, places.mutex);
    assert.throws(() => SharedEvent.at(memory, places.mutex), { code: 'ERR_INTERPROC_OVERLAP' });
    assert.throws(() => Mutex.at(memory, 3), { code: 'ERR_OUT_OF_RANGE' });
  },

  'a worker counts with the main thread, waits and wakes': async (t) => {
    const { name, memory, words } = shared(t);
    const worker = t.worker('countsAndBounces', name);
    await count(memory, words);
    assert.equal(await worker.next(), 'counted');
    assert.equal(words[1], 2 * rounds);
    await bounce(memory, words, 0);
    await worker.done();
  },

  'a worker that blocks in Sync forms can be terminated': async (t) => {
    const { name, memory, words } = shared(t);
    const held = Mutex.at(memory, places.mutex).lockSync();
    const worker = t.worker('blocksAgainAndAgain', name);
    assert.equal(await worker.next(), 'blocks');
    await worker.terminate();
    try {
      const waiting = waitOn(memory, 0, Atomics.load(words, 0), { timeout: 1000 });
      await assert.rejects(waiting, { code: 'ETIMEDOUT' }, 'it goes on');
    } finally {
      Atomics.store(words, 1, 1); // what goes on ends here
    }
    held.unlock();
  },

  'a worker that is terminated with a mutex in hand leaves it abandoned': async (t) => {
    const { name, memory } = shared(t);
    const worker = t.worker('holds', name);
    assert.equal(await worker.next(), 'holds');
    await worker.terminate();
    const held = await Mutex.at(memory, places.mutex).lock({ timeout: 20_000 });
    assert.equal(held.abandoned, true);
    held.recovered();
    held.unlock();
  },
};

/** Word 0 goes up by turns. @param {SharedMemory} memory @param {Int32Array} words @param {0 | 1} mine */
async function bounce(memory, words, mine) {
  for (let i = 0; i < rounds; i++) {
    for (let seen = Atomics.load(words, 0); seen % 2 !== mine; seen = Atomics.load(words, 0)) {
      if (i % 4 < 2) await waitOn(memory, 0, seen);
      else waitOnSync(memory, 0, seen, { timeout: 20_000 });
    }
    Atomics.add(words, 0, 1);
    wake(memory, 0);
  }
}

/** Word 1 is read and written with a pause between. @param {SharedMemory} memory @param {Int32Array} words */
async function count(memory, words) {
  const mutex = Mutex.at(memory, places.mutex);
  for (let i = 0; i < rounds; i++) {
    const held = i % 2 === 0 ? await mutex.lock() : mutex.lockSync({ timeout: 20_000 });
    const seen = words[1] ?? 0;
    if (i % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
    words[1] = seen + 1;
    held.unlock();
  }
}

/** @param {Barrier} barrier @param {Int32Array} words @param {0 | 1} mine */
async function meet(barrier, words, mine) {
  for (let i = 1; i <= rounds; i++) {
    Atomics.store(words, 2 + mine, i);
    if (i % 2 === 0) await barrier.wait();
    else barrier.waitSync({ timeout: 20_000 });
    assert.equal(Atomics.load(words, 3 - mine), i);
    await barrier.wait(); // the other one has looked, too
  }
}

/** @param {string} name */
const open = (name) => {
  const memory = SharedMemory.open(name);
  return { memory, words: new Int32Array(memory.buffer, places.words, 8) };
};

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  bounces: async ({ args }) => {
    const { memory, words } = open(args);
    await bounce(memory, words, 1);
    memory.close();
  },
  counts: async ({ args }) => {
    const { memory, words } = open(args);
    await count(memory, words);
    memory.close();
  },
  holds: async ({ args, send, next }) => {
    const { memory } = open(args);
    const held = await Mutex.at(memory, places.mutex).lock();
    send('held');
    await next();
    held.unlock();
  },
  reads: async ({ args, send, next }) => {
    const { memory } = open(args);
    const held = await RwLock.at(memory, places.rwLock).read();
    send('reads');
    await next();
    held.unlock();
    memory.close();
  },
  produces: async ({ args, next }) => {
    const { memory, words } = open(args);
    const mutex = Mutex.at(memory, places.mutex);
    const condition = Condition.at(memory, places.condition);
    await next();
    const held = await mutex.lock();
    words[0] = 1;
    condition.notifyOne();
    while (words[0] === 1) await condition.wait(held);
    held.unlock();
    memory.close();
  },
  meets: async ({ args, send, next }) => {
    const { memory, words } = open(args);
    const barrier = Barrier.at(memory, places.barrier, { parties: 2 });
    await next();
    send('there');
    await meet(barrier, words, 1);
    barrier.leave();
    memory.close();
  },
  sets: ({ args }) => {
    const { memory } = open(args);
    SharedEvent.at(memory, places.event).set();
    memory.close();
  },
  makes: async ({ args }) => {
    const { memory, words } = open(args);
    await Once.at(memory, places.once).run(() => Atomics.add(words, 0, 1));
    memory.close();
  },
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  countsAndBounces: async (name, send) => {
    const { memory, words } = open(name);
    await count(memory, words);
    send('counted');
    await bounce(memory, words, 1);
    memory.close();
  },
  blocksAgainAndAgain: (name, send) => {
    const { memory, words } = open(name);
    const mutex = Mutex.at(memory, places.mutex);
    send('blocks');
    while (Atomics.load(words, 1) === 0) {
      assert.throws(() => mutex.lockSync({ timeout: 5 }), { code: 'ETIMEDOUT' });
      Atomics.add(words, 0, 1);
      wake(memory, 0);
    }
  },
  holds: (name, send) => {
    const { memory } = open(name);
    const held = Mutex.at(memory, places.mutex).lockSync();
    setInterval(() => held.unlock(), 1e6); // it stays, and so does what it holds
    send('holds');
  },
};
