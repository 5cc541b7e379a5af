/**
 * One of those who share the locks of the storm (locks-storm.js), until it is killed or told to stop. Says `h` when it is at
 * hand, starts with the page ID when it reads `g ID`, and says `r`. With `worker` all that is in a worker thread: `t ID`
 * terminates that and starts another one with that page, and is answered by `t`.
 *
 * The ledger is behind descriptor 3, the locks are behind 4.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Condition, Mutex, RwLock, SharedMemory } from 'interproc';
import { seeded } from '../support/seeded.js';
import { Account } from './locks-account.js';
import { at, LocksLedger } from './locks-ledger.js';

/** @typedef {{ seed: number, sync: boolean, worker: boolean, parties: number, id: number }} Setup */
/** @type {Setup} */
const setup = isMainThread ? JSON.parse(process.argv[2] ?? '') : workerData;
const most = 4;
const parent = process.ppid;

/** @param {() => unknown} call */
async function isLate(call) {
  try {
    await call();
    return false;
  } catch (error) {
    const { code = '' } = /** @type {{ code?: string }} */ (error);
    if (code !== 'ETIMEDOUT' && code !== 'ABORT_ERR') throw error;
    return true;
  }
}

async function takePart() {
  const { id, sync, parties } = setup;
  const random = seeded(setup.seed + id);
  const ledger = new LocksLedger(SharedMemory.fromFd(3).buffer, parties);
  const memory = SharedMemory.fromFd(4);
  const account = new Account(ledger, memory.buffer, id);
  const mutex = Mutex.at(memory, at.mutex);
  const rwlock = RwLock.at(memory, at.rwlock);
  const queue = Mutex.at(memory, at.queueMutex);
  const notEmpty = Condition.at(memory, at.notEmpty);
  const notFull = Condition.at(memory, at.notFull);

  const stopped = () => {
    if (process.ppid !== parent) process.exit(1); // the runner is gone
    return ledger.head('stop') === 1;
  };
  const turn = () => new Promise(setImmediate);

  /** For a moment, in which it may be killed; at times over turns of the event loop. */
  const dawdle = async () => {
    const long = random(8) === 0;
    if (!sync && long) return void (await new Promise((resolve) => setTimeout(resolve, random(3))));
    if (!sync && random(4) === 0) await turn();
    const until = performance.now() + random(long ? 2000 : 100) / 1000;
    while (performance.now() < until);
  };
  /** Of some calls. */
  const limit = () => (random(8) === 0 ? { timeout: random(4000) / 1000 } : undefined);
  /** Undefined where it was given up. @template T @param {() => T | Promise<T>} call */
  const get = async (call) => {
    /** @type {T | undefined} */
    let got;
    await isLate(async () => {
      got = await call();
    });
    return got;
  };

  const useMutex = async () => {
    const form = random(4);
    const held = await get(() =>
      form === 0 ? mutex.tryLock() : sync ? mutex.lockSync(limit()) : mutex.lock(limit()),
    );
    if (!held) return;
    account.enter('mutex', held);
    await account.count('mutex', dawdle);
    account.leave('mutex');
    held.unlock();
  };

  const write = async () => {
    const form = random(4);
    const held = await get(() =>
      form === 0 ? rwlock.tryWrite() : sync ? rwlock.writeSync(limit()) : rwlock.write(limit()),
    );
    if (!held) return;
    account.enter('rwlock', held);
    await account.count('rwlock', dawdle);
    account.leave('rwlock');
    held.unlock();
  };

  const read = async () => {
    const form = random(4);
    const held = await get(() =>
      form === 0 ? rwlock.tryRead() : sync ? rwlock.readSync(limit()) : rwlock.read(limit()),
    );
    if (!held) return;
    if (held.abandoned) {
      account.enter('rwlock', held); // it has the lock alone
      account.leave('rwlock');
    }
    account.checkWhole('rwlock');
    await dawdle();
    account.checkWhole('rwlock');
    ledger.add(id, 'reads');
    held.unlock();
  };

  /** @param {import('interproc').MutexGuard} held */
  const enterQueue = (held) => {
    if (!account.enter('queue', held)) return;
    // The dead one may have used a notification in vain, or not given his.
    notEmpty.notifyAll();
    notFull.notifyAll();
  };

  /**
   * Counts once it may, and tells others.
   *
   * @param {'produced' | 'consumed'} counter
   * @param {Condition} awaited
   * @param {Condition} told
   * @param {() => boolean} may
   */
  const exchange = async (counter, awaited, told, may) => {
    const held = await get(() => (sync ? queue.lockSync(limit()) : queue.lock(limit())));
    if (!held) return;
    enterQueue(held);
    // Blocking, it has other things to do, too.
    const wait = () =>
      sync ? awaited.waitSync(held, { timeout: 1 + random(20) }) : awaited.wait(held, limit());
    let late = false;
    while (!may() && !late && !stopped()) {
      account.leave('queue');
      late = await isLate(wait);
      enterQueue(held);
    }
    if (may()) {
      await account.count(counter, dawdle);
      if (random(8) === 0) told.notifyAll();
      else told.notifyOne();
    }
    account.leave('queue');
    held.unlock();
  };
  const produce = () => exchange('produced', notFull, notEmpty, () => account.items < most);
  const consume = () => exchange('consumed', notEmpty, notFull, () => account.items > 0);

  const loops = [useMutex, write, read, produce, consume];
  if (sync) {
    while (!stopped()) await loops[random(loops.length)]?.();
  } else {
    await Promise.all(
      loops.map(async (step) => {
        while (!stopped()) {
          await step();
          if (random(3) === 0) await turn();
        }
      }),
    );
  }
  memory.close();
}

/** @param {number} id */
function startWorker(id) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { ...setup, id } });
  worker.on('error', (error) => {
    console.error(error);
    process.exit(1);
  });
  return worker;
}

if (!isMainThread) {
  await takePart();
} else {
  /** @type {Worker | undefined} */
  let worker;
  const lines = createInterface({ input: process.stdin });
  lines.once('close', () => process.exit(1)); // the runner is gone
  lines.on('line', async (line) => {
    const id = Number(line.slice(2));
    if (!setup.worker) {
      setup.id = id;
      writeSync(1, 'r');
      await takePart();
      process.exit();
    }
    worker?.removeAllListeners('exit');
    await worker?.terminate();
    worker = startWorker(id);
    worker.once('online', () => writeSync(1, line.slice(0, 1) === 'g' ? 'r' : 't'));
    worker.on('exit', (code) => process.exit(code));
  });
  writeSync(1, 'h');
}
