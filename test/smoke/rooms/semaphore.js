import assert from 'node:assert/strict';
import { ftok, Semaphore, SharedMemory, SysvSemaphoreSet } from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

/** @param {TestContext} t @param {number} initial */
const named = (t, initial) => {
  const name = t.name(Semaphore);
  return { name, semaphore: t.closing(Semaphore.create(name, { initial })) };
};

/** @param {TestContext} t @param {readonly number[]} initial */
const set = (t, initial) => {
  const key = ftok(t.file(), 1);
  const semaphores = SysvSemaphoreSet.create(key, { count: initial.length, initial });
  const { id } = semaphores;
  t.after(() => SysvSemaphoreSet.remove(id));
  t.closing(semaphores);
  return { key, semaphores };
};

const rounds = 50;
const take = [{ index: 0, delta: -1 }];
const give = [{ index: 1, delta: 1 }];

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'the three forms of acquiring': async (t) => {
    const { semaphore } = named(t, 1);
    const permit = await semaphore.acquire();
    assert.equal(semaphore.value, 0);
    assert.equal(semaphore.tryAcquire(), null);
    const pending = semaphore.acquire();
    permit.release();
    (await pending).release();
    semaphore.acquireSync().release();
    assert.equal(semaphore.value, 1);
  },

  'waits for a permit end by timeout, by an abort and by closing': async (t) => {
    const { semaphore } = named(t, 0);
    await assert.rejects(semaphore.acquire({ timeout: 5 }), { code: 'ETIMEDOUT' });
    assert.throws(() => semaphore.acquireSync({ timeout: 5 }), { code: 'ETIMEDOUT' });
    const controller = new AbortController();
    const aborted = assert.rejects(semaphore.acquire({ signal: controller.signal }), { code: 'ABORT_ERR' });
    controller.abort();
    await aborted;
    const closed = assert.rejects(semaphore.acquire(), { code: 'ERR_INTERPROC_CLOSED' });
    semaphore.close();
    await closed;
  },

  'two processes take turns with two named semaphores': async (t) => {
    const [mine, theirs] = [named(t, 1), named(t, 0)];
    const side = t.side('takesTurns', [mine.name, theirs.name]);
    for (let i = 0; i < rounds; i++) {
      await theirs.semaphore.acquire();
      mine.semaphore.release();
    }
    await side.done();
    assert.equal(mine.semaphore.value, 1);
  },

  'two processes share semaphores in memory': async (t) => {
    const name = t.name(SharedMemory);
    const memory = t.closing(SharedMemory.create(name, { size: 4096 }));
    const mine = t.closing(Semaphore.at(memory, 0, { initial: 1 }));
    const theirs = t.closing(Semaphore.at(memory, 64, { initial: 0 }));
    const side = t.side('takesTurnsInMemory', name);
    for (let i = 0; i < rounds; i++) {
      await theirs.acquire();
      mine.release();
    }
    await side.done();
    assert.equal(mine.value, 1);
  },

  'names that are taken or not there have the codes of the system': (t) => {
    const { name } = named(t, 0);
    assert.throws(() => Semaphore.create(name, { initial: 0 }), { name: 'IpcError', code: 'EEXIST' });
    assert.throws(() => Semaphore.open(`${name}-none`), { code: 'ENOENT', syscall: 'sem_open' });
  },

  'the three forms of operations on a System V set': async (t) => {
    const { semaphores } = set(t, [1, 0]);
    assert.equal(semaphores.tryOp(take), true);
    assert.equal(semaphores.tryOp(take), false);
    const pending = semaphores.op(take);
    semaphores.opSync([{ index: 0, delta: 1 }, ...give]);
    await pending;
    assert.deepEqual(semaphores.getAll(), [0, 1]);
  },

  'waits on a System V set end by timeout, by an abort and by closing': async (t) => {
    const { semaphores } = set(t, [0]);
    await assert.rejects(semaphores.op(take, { timeout: 5 }), { code: 'ETIMEDOUT' });
    assert.throws(() => semaphores.opSync(take, { timeout: 5 }), { code: 'ETIMEDOUT' });
    const controller = new AbortController();
    const aborted = assert.rejects(semaphores.op(take, { signal: controller.signal }), { code: 'ABORT_ERR' });
    controller.abort();
    await aborted;
    const closed = assert.rejects(semaphores.op(take), { code: 'ERR_INTERPROC_CLOSED' });
    semaphores.close();
    await closed;
  },

  'two processes take turns with a System V set': async (t) => {
    const { key, semaphores } = set(t, [1, 0]);
    const side = t.side('takesTurnsSysv', key);
    for (let i = 0; i < rounds; i++) {
      await semaphores.op([{ index: 1, delta: -1 }]);
      await semaphores.op([{ index: 0, delta: 1 }]);
    }
    await side.done();
    assert.deepEqual(semaphores.getAll(), [1, 0]);
  },

  'what a killed process held with undo is given back': async (t) => {
    const { key, semaphores } = set(t, [1]);
    const side = t.side('holdsWithUndo', key, { alone: true });
    assert.equal(await side.next(), 'held');
    assert.equal(semaphores.tryOp(take), false);
    const pending = semaphores.op(take);
    await side.kill();
    await pending;
  },

  'a set that is not there has the code of the system': async (t) => {
    const key = ftok(t.file(), 1);
    await assert.rejects(SysvSemaphoreSet.open(key), { name: 'IpcError', code: 'ENOENT', syscall: 'semget' });
  },

  'a worker takes turns with the main thread': async (t) => {
    const [mine, theirs] = [named(t, 1), named(t, 0)];
    const { key, semaphores } = set(t, [1, 0]);
    const worker = t.worker('takesTurns', { names: [mine.name, theirs.name], key });
    for (let i = 0; i < rounds; i++) {
      await theirs.semaphore.acquire();
      mine.semaphore.release();
    }
    for (let i = 0; i < rounds; i++) {
      await semaphores.op([{ index: 1, delta: -1 }]);
      await semaphores.op([{ index: 0, delta: 1 }]);
    }
    await worker.done();
  },
};

/** @param {Semaphore} mine what this side waits for @param {Semaphore} theirs */
async function takeTurns(mine, theirs) {
  for (let i = 0; i < rounds; i++) {
    if (i % 2 === 0) await mine.acquire();
    else mine.acquireSync({ timeout: 20_000 });
    theirs.release();
  }
}

/** @param {[string, string]} names */
async function takeTurnsNamed([mine, theirs]) {
  const semaphores = [Semaphore.open(mine), Semaphore.open(theirs)];
  await takeTurns(.../** @type {[Semaphore, Semaphore]} */ (semaphores));
  for (const each of semaphores) each.close();
}

/** @param {number} key */
async function takeTurnsSysv(key) {
  const semaphores = await SysvSemaphoreSet.open(key);
  for (let i = 0; i < rounds; i++) {
    if (i % 2 === 0) await semaphores.op(take);
    else semaphores.opSync(take, { timeout: 20_000 });
    await semaphores.op(give);
  }
  semaphores.close();
}

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  takesTurns: ({ args }) => takeTurnsNamed(args),
  takesTurnsInMemory: async ({ args }) => {
    const memory = SharedMemory.open(args);
    await takeTurns(Semaphore.at(memory, 0), Semaphore.at(memory, 64));
    memory.close();
  },
  takesTurnsSysv: ({ args }) => takeTurnsSysv(args),
  holdsWithUndo: async ({ args, send, next }) => {
    const semaphores = await SysvSemaphoreSet.open(args);
    await semaphores.op([{ index: 0, delta: -1, undo: true }]);
    send('held');
    await next();
  },
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  takesTurns: async ({ names, key }) => {
    await takeTurnsNamed(names);
    await takeTurnsSysv(key);
  },
};
