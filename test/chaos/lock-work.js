/**
 * What those do who share locks, round by round: victims, survivors and successors, in processes of their own
 * (lock-actor.js) and in that of the test. Of an abandoned lock they tell `abandoned half` or `abandoned whole`, as its data
 * is; data that is half changed and not abandoned is an error.
 */
import { Barrier, Condition, Mutex, Once, RwLock, SharedEvent } from 'interproc';
import { Data, places } from './lock-places.js';

/** @typedef {import('interproc').SharedMemory} SharedMemory */
/** @typedef {import('interproc').MutexGuard} MutexGuard */
/** @typedef {{ readonly abandoned: boolean, recovered(): void, unlock(): void }} Guard */
/** @typedef {(line: string) => void} Tell */
/** One round; false: that was all. @typedef {() => Promise<boolean | void>} Round */

export const parties = 3;
const impatience = { timeout: 1 };
const turn = () => new Promise(setImmediate);
const cell = new Int32Array(new SharedArrayBuffer(4));
const isBlocking = (/** @type {string} */ form) => form.startsWith('sync');

/** Longer than others look awake, so that they sleep. @param {string} form */
async function linger(form) {
  if (isBlocking(form)) Atomics.wait(cell, 0, 0, 2);
  else await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Says that it is there, and waits until it may go on. @param {Data} data @param {string} form */
async function meet(data, form) {
  data.set('ready', 1);
  while (data.get('go') === 0) await linger(form);
}

/** Null where it was given up. @template T @param {() => T | Promise<T>} call @returns {Promise<T | null>} */
async function unlessLate(call) {
  try {
    return await call();
  } catch (error) {
    const { code = '' } = /** @type {{ code?: string }} */ (error);
    if (code !== 'ETIMEDOUT' && code !== 'ABORT_ERR') throw error;
    return null;
  }
}

/** @param {Data} data @param {Guard} guard @param {Tell} tell */
function makeWhole(data, guard, tell) {
  if (guard.abandoned) {
    tell(`abandoned ${data.whole ? 'whole' : 'half'}`);
    data.mend();
    guard.recovered();
  } else if (!data.whole) {
    throw new Error('the data is half changed, and nobody was told');
  }
}

/** @template T @param {Record<string, T>} table @param {string} form */
function formOf(table, form) {
  const found = table[form];
  if (found === undefined) throw new Error(`no form '${form}'`);
  return found;
}

/** @type {Record<string, (mutex: Mutex) => MutexGuard | null | Promise<MutexGuard | null>>} */
const locks = {
  async: (mutex) => mutex.lock(),
  sync: (mutex) => mutex.lockSync(),
  try: (mutex) => mutex.tryLock(),
  'async impatient': (mutex) => mutex.lock(impatience),
  'sync impatient': (mutex) => mutex.lockSync(impatience),
};

/** @type {Record<string, Record<'read' | 'write', (lock: RwLock) => Guard | null | Promise<Guard | null>>>} */
const readsAndWrites = {
  async: { read: (lock) => lock.read(), write: (lock) => lock.write() },
  sync: { read: (lock) => lock.readSync(), write: (lock) => lock.writeSync() },
  try: { read: (lock) => lock.tryRead(), write: (lock) => lock.tryWrite() },
  'async impatient': { read: (lock) => lock.read(impatience), write: (lock) => lock.write(impatience) },
  'sync impatient': {
    read: (lock) => lock.readSync(impatience),
    write: (lock) => lock.writeSync(impatience),
  },
};

/** @param {SharedMemory} memory */
const parts = (memory) => ({
  data: new Data(memory.buffer),
  mutex: Mutex.at(memory, places.mutex),
  condition: Condition.at(memory, places.condition),
});

/** @param {Condition} condition @param {string} form @param {MutexGuard} held @param {{ timeout?: number }} options */
function waitFor(condition, form, held, options = form.endsWith('impatient') ? impatience : {}) {
  return unlessLate(() =>
    isBlocking(form) ? condition.waitSync(held, options) : condition.wait(held, options),
  );
}

/** @param {Mutex} mutex @param {string} form */
async function lockPatiently(mutex, form) {
  return isBlocking(form) ? mutex.lockSync() : mutex.lock();
}

/** @param {(condition: Condition) => number} notify @returns {(memory: SharedMemory, form: string, tell: Tell) => Round} */
const produces = (notify) => (memory, form, tell) => {
  const { data, mutex, condition } = parts(memory);
  return async () => {
    const held = await lockPatiently(mutex, form);
    makeWhole(data, held, tell);
    if (data.get('items') === 0) {
      data.change();
      data.add('items', 1);
      notify(condition);
    }
    held.unlock();
    await turn();
  };
};

/** The work that `name` names. @type {Record<string, (memory: SharedMemory, form: string, tell: Tell) => Round>} */
export const works = {
  mutex(memory, form, tell) {
    const mutex = Mutex.at(memory, places.mutex);
    const data = new Data(memory.buffer);
    let count = 0;
    return async () => {
      const guard = await unlessLate(() => formOf(locks, form)(mutex));
      if (guard === null) return void (await turn());
      makeWhole(data, guard, tell);
      data.change();
      if (++count % 3 === 0) await linger(form);
      guard.unlock();
      if (count % 2 === 0) await turn();
    };
  },

  rwlock(memory, form, tell) {
    const lock = RwLock.at(memory, places.rwlock);
    const data = new Data(memory.buffer);
    let count = 0;
    return async () => {
      const writes = ++count % 2 === 0;
      const guard = await unlessLate(() => formOf(readsAndWrites, form)[writes ? 'write' : 'read'](lock));
      if (guard === null) return void (await turn());
      makeWhole(data, guard, tell);
      if (writes) data.change();
      if (count % 4 < 2) await linger(form);
      guard.unlock();
      if (writes) await turn();
    };
  },

  /** Unlocks it once others have come: what it has inherited, without having made it whole. */
  'mutex ruin'(memory, form) {
    const mutex = Mutex.at(memory, places.mutex);
    return async () => {
      const guard = await formOf(locks, form)(mutex);
      await meet(new Data(memory.buffer), form);
      guard?.unlock();
    };
  },

  'rwlock ruin'(memory, form) {
    const lock = RwLock.at(memory, places.rwlock);
    return async () => {
      const guard = await formOf(readsAndWrites, form).write(lock);
      await meet(new Data(memory.buffer), form);
      guard?.unlock();
    };
  },

  /** Takes it as soon as it is free, and has it until all are to stop. */
  'mutex snatch'(memory, form) {
    const mutex = Mutex.at(memory, places.mutex);
    const data = new Data(memory.buffer);
    return async () => {
      data.set('ready', 2);
      let guard = null;
      while (guard === null) guard = mutex.tryLock();
      data.set('runs', 1);
      while (data.get('stop') === 0) await linger(form);
      guard.unlock();
    };
  },

  'mutex repair': (memory) => async () => Mutex.at(memory, places.mutex).tryRepair()?.unlock(),
  'rwlock repair': (memory) => async () => RwLock.at(memory, places.rwlock).tryRepair()?.unlock(),

  /** Consumes one item. */
  consume(memory, form, tell) {
    const { data, mutex, condition } = parts(memory);
    return async () => {
      const held = await lockPatiently(mutex, form);
      makeWhole(data, held, tell);
      while (data.get('items') === 0 && data.get('stop') === 0) {
        await waitFor(condition, form, held);
        makeWhole(data, held, tell);
      }
      if (data.get('items') > 0) {
        data.change();
        data.add('items', -1);
      }
      held.unlock();
    };
  },

  produce: produces((condition) => condition.notifyOne()),
  'produce for all': produces((condition) => condition.notifyAll()),

  /** Waits once, for long or not. */
  wait(memory, form, tell) {
    const { data, mutex, condition } = parts(memory);
    return async () => {
      const held = await lockPatiently(mutex, form);
      makeWhole(data, held, tell);
      await waitFor(condition, form, held, form.endsWith('impatient') ? { timeout: 20 } : {});
      makeWhole(data, held, tell);
      held.unlock();
      return false;
    };
  },

  /** Lets others come to the mutex before it waits; gives up when it is told to, or, blocking, after a second. */
  'wait in vain'(memory, form) {
    const { data, mutex, condition } = parts(memory);
    return async () => {
      const held = await lockPatiently(mutex, form);
      await meet(data, form);
      const aborting = new AbortController();
      const watch = setInterval(() => data.get('go') === 2 && aborting.abort(), 1);
      await unlessLate(() =>
        isBlocking(form)
          ? condition.waitSync(held, { timeout: 1000 })
          : condition.wait(held, { signal: aborting.signal }),
      );
      clearInterval(watch);
      held.unlock();
    };
  },

  barrier(memory, form, tell) {
    const barrier = Barrier.at(memory, places.barrier, { parties });
    return async () => {
      try {
        if (isBlocking(form)) barrier.waitSync();
        else if (form === 'async') await barrier.wait();
        else while (barrier.tryWait() === null) await turn();
        return true;
      } catch (error) {
        if (/** @type {{ code?: string }} */ (error).code !== 'ERR_INTERPROC_BROKEN') throw error;
        tell('broken');
        return false;
      }
    };
  },

  /** Gives up in vain. */
  'barrier late'(memory, form) {
    const barrier = Barrier.at(memory, places.barrier, { parties });
    return async () =>
      void (await unlessLate(() =>
        isBlocking(form) ? barrier.waitSync(impatience) : barrier.wait(impatience),
      ));
  },

  /** Takes part in three rounds. */
  'barrier leave'(memory, form, tell) {
    const round = works.barrier?.(memory, form, tell);
    let left = 3;
    return async () => {
      await round?.();
      if (--left > 0) return;
      Barrier.at(memory, places.barrier, { parties }).leave();
      return false;
    };
  },

  'barrier reset'(memory, form, tell) {
    const round = works.barrier?.(memory, form, tell);
    return async () => {
      if ((await round?.()) === false) Barrier.at(memory, places.barrier, { parties }).reset();
    };
  },

  'event set'(memory) {
    const event = SharedEvent.at(memory, places.event);
    return async () => event.set();
  },

  'event set automatic'(memory) {
    const event = SharedEvent.at(memory, places.event, { autoReset: true });
    return async () => event.set();
  },

  'event wait'(memory, form, tell) {
    const event = SharedEvent.at(memory, places.event);
    return waitsForEvent(event, form, tell);
  },

  'event wait automatic'(memory, form, tell) {
    const event = SharedEvent.at(memory, places.event, { autoReset: true });
    return waitsForEvent(event, form, tell);
  },

  /** Tells `ran`, with what it was told itself, and whether it was the one. */
  once(memory, form, tell) {
    const once = Once.at(memory, places.once);
    const data = new Data(memory.buffer);
    /** @param {import('interproc').OnceState} state */
    const work = ({ abandoned }) => {
      tell(`ran ${abandoned ? 'abandoned' : 'anew'}`);
      if (abandoned) data.mend();
      data.change();
      data.add('runs', 1);
    };
    return async () => {
      if (isBlocking(form)) once.runSync(work);
      else if (form === 'async') await once.run(work);
      else while (once.tryRun(work) === null) await turn();
      tell('done');
      return false;
    };
  },

  /** As `once`, and lets others come while it is at it. */
  'once slowly'(memory, form, tell) {
    const once = Once.at(memory, places.once);
    const data = new Data(memory.buffer);
    return async () => {
      const slowly = async () => {
        await meet(data, 'async');
        data.change();
        data.add('runs', 1);
      };
      const blocking = () => {
        data.set('ready', 1);
        while (data.get('go') === 0) Atomics.wait(cell, 0, 0, 1);
        data.change();
        data.add('runs', 1);
      };
      if (isBlocking(form)) once.runSync(blocking);
      else if (form === 'async') await once.run(slowly);
      else once.tryRun(blocking);
      tell('done');
      return false;
    };
  },
};

/** @param {SharedEvent} event @param {string} form @param {Tell} tell @returns {Round} */
function waitsForEvent(event, form, tell) {
  return async () => {
    if (isBlocking(form)) event.waitSync();
    else if (form === 'async') await event.wait();
    else while (event.tryWait() === null) await turn();
    tell('set');
    return false;
  };
}

/**
 * Does so many rounds (0: until all are to stop), which are counted for `who`.
 *
 * @param {SharedMemory} memory
 * @param {{ work: string, form: string, count: number, who: number, tell: Tell }} setup
 */
export async function takePart(memory, { work, form, count, who, tell }) {
  const data = new Data(memory.buffer);
  const round = formOf(works, work)(memory, form, tell);
  for (let done = 1; ; done++) {
    const more = (await round()) !== false;
    data.roundDone(who);
    if (!more || done === count || (count === 0 && data.get('stop') !== 0)) return;
  }
}
