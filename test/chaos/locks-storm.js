/**
 * The storm over locks: eight processes share a mutex, an RwLock, and a queue with a mutex and two conditions. Four of them
 * are killed (SIGKILL) at random moments, one about every 20 ms, and replaced, over and over; some are worker threads, which
 * are terminated. The other four go on. At the end each count is accounted for: what the locks guard adds up to what each of
 * them has counted, one at a time; and it was half changed only where somebody was told that it is abandoned.
 *
 *   node test/chaos/locks-storm.js --kills 500 --seed 7 --json FILE
 *
 * The seed decides who is killed after how long, and what each process does; how far it gets until then is for the machine.
 * Tells how long it took from a kill until another one had the lock that the dead one held. Exits with 1 when something is
 * wrong, a process fails, and when one of those that are left does nothing for 30 s.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
// Not of 'interproc', which is one module: what is inside of it must be of the same copy.
import { Condition, Mutex, RwLock, SharedMemory } from '../../dist/index.js';
import { native } from '../../dist/internal/native.js';
import { mappingOf } from '../../dist/internal/region.js';
import { seeded } from '../support/seeded.js';
import { Account } from './locks-account.js';
import { at, counters, LocksLedger, ledgerSize, locks, memorySize } from './locks-ledger.js';
import { after, now, stormOptions, summary, tellChecks, tellTimes, wholeNumber } from './storms.js';

const patienceMs = 30_000;
const survivors = 4;
const mortals = 4;
const betweenKillsMs = 20;
const sideScript = fileURLToPath(new URL('locks-side.js', import.meta.url));

const { values: options } = parseArgs({ options: stormOptions });
const kills = wholeNumber('kills', options.kills, 1);
const seed = wholeNumber('seed', options.seed, 0);
const random = seeded(seed);
/** Pages: of all who are started, and the runner. */
const parties = kills + survivors + mortals + 1;

const book = SharedMemory.anonymous({ size: ledgerSize(parties) });
const ledger = new LocksLedger(book.buffer, parties);
const memory = SharedMemory.anonymous({ size: memorySize });
const words = new Int32Array(memory.buffer);
const mine = newPage();
const account = new Account(ledger, memory.buffer, mine);

function newPage() {
  const id = ledger.head('started');
  ledger.setHead('started', id + 1);
  return id;
}

/**
 * @typedef {object} Side
 * @property {import('node:child_process').ChildProcess} process
 * @property {boolean} worker
 * @property {number} id
 * @property {boolean} killed
 * @property {Promise<unknown>} said What it says next.
 * @property {Promise<void>} over
 */
/** @type {Set<Side>} */
const living = new Set();
/** What went wrong with one of them. @type {Error | undefined} */
let failure;
let started = 0;
let terminated = 0;

/** Starts one that does nothing yet. @returns {Side} */
function start() {
  const worker = random(4) === 0;
  const setup = { worker, sync: started++ % 2 === 0, seed: random(2 ** 31), parties };
  const child = spawn(process.execPath, [sideScript, JSON.stringify(setup)], {
    stdio: ['pipe', 'pipe', 'inherit', book.fd, memory.fd],
  });
  child.stdin?.on('error', () => {}); // it was killed before it read
  /** @type {Side} */
  const side = { process: child, worker, id: -1, killed: false, said: says(child), over: Promise.resolve() };
  living.add(side);
  side.over = once(child, 'exit').then(([code, signal]) => {
    living.delete(side);
    if (!side.killed && code !== 0)
      failure ??= new Error(`page ${side.id} ended by itself: ${code ?? signal}`);
  });
  return side;
}

/** @param {import('node:child_process').ChildProcess} child */
function says({ stdout }) {
  return stdout === null ? Promise.reject(new Error('no stdout')) : once(stdout, 'data');
}

/** It has said what it was to say, or ended. @param {Side} side */
async function hear(side) {
  await Promise.race([side.said, side.over]);
  if (failure !== undefined) throw failure;
}

/** Lets one begin that is at hand. @param {Side} side @param {'g' | 't'} how */
async function begin(side, how) {
  side.said = says(side.process);
  side.id = newPage();
  side.process.stdin?.write(`${how} ${side.id}\n`);
  await hear(side);
}

/** @type {Side[]} */
const standbys = [];
/** Those who may be killed. @type {Set<Side>} */
const running = new Set();
/** Those who may not. @type {Side[]} */
const kept = [];

/** @param {Side} side */
function mark({ id }) {
  ledger.set(id, 'killedAt', now());
}

/** At times one on its way in; else one that is busy, mostly with a lock in hand. */
async function choose() {
  const early = random(8) === 0;
  const withLock = random(4) > 0;
  const pick = random(mortals);
  for (const start = now(); ; await new Promise(setImmediate)) {
    if (failure !== undefined) throw failure;
    const isPatient = now() - start < betweenKillsMs;
    const likely = [...running].filter((side) => {
      if (early) return true;
      if (withLock && isPatient) return locks.some((lock) => ledger.get(side.id, `${lock}Held`) === 1);
      return progressOf(side).some((count) => count > 0);
    });
    const victim = likely[pick % likely.length];
    if (victim !== undefined) return victim;
    if (running.size === 0) await after(1);
  }
}

async function replace() {
  const side = standbys.shift() ?? start();
  standbys.push(start());
  await hear(side);
  await begin(side, 'g');
  running.add(side);
}

async function killAll() {
  for (let count = 0; count < survivors; count++) kept.push(start());
  for (let count = 0; count < mortals; count++) standbys.push(start());
  for (const side of kept) await hear(side);
  await Promise.all(kept.map((side) => begin(side, 'g')));
  await Promise.all(Array.from({ length: mortals }, replace));
  /** @type {Set<Promise<void>>} */
  const replacing = new Set();
  for (let killed = 0; killed < kills; killed++) {
    await after(random(2 * betweenKillsMs));
    const victim = await choose();
    running.delete(victim);
    const last = kills - killed <= replacing.size + mortals;
    const isTerminated = victim.worker && random(4) > 0;
    mark(victim);
    if (isTerminated) {
      terminated++;
      track(begin(victim, 't').then(() => void running.add(victim)));
    } else {
      victim.killed = true;
      victim.process.kill('SIGKILL');
      // The last ones are not replaced: nobody would be killed in their place.
      if (!last || running.size + replacing.size === 0) track(victim.over.then(replace));
    }
  }
  await Promise.all(replacing);
  /** @param {Promise<void>} one */
  function track(one) {
    const tracked = one.catch((error) => void (failure ??= error)).finally(() => replacing.delete(tracked));
    replacing.add(tracked);
  }
}

/** @param {Side} side */
const progressOf = ({ id }) =>
  [...counters.map((counter) => ledger.get(id, `${counter}Done`)), ledger.get(id, 'reads')].map(Number);

/** Each of those who are left does all that there is to do, some more times. */
async function goOn() {
  const then = kept.map(progressOf);
  const done = () =>
    kept.every((side, index) =>
      progressOf(side).every((count, which) => count > Number(then[index]?.[which]) + 3),
    );
  while (!done()) {
    if (failure !== undefined) throw failure;
    await after(5);
  }
}

/** Rejects when one of those who are never killed doesn't go on. */
function stalled() {
  const last = new Map();
  return new Promise((_, reject) => {
    setInterval(() => {
      for (const side of kept) {
        for (const [which, count] of progressOf(side).entries()) {
          const key = `${side.id} ${which}`;
          if (last.get(key)?.count !== count) last.set(key, { count, at: now() });
          else if (now() - last.get(key).at > patienceMs)
            reject(new Error(`page ${side.id} has not done ${counters[which] ?? 'a read'} any more`));
        }
      }
    }, 1000).unref();
  });
}

/** Lets all come to an end, those also who wait for others. */
async function end() {
  ledger.setHead('stop', 1);
  const conditions = [Condition.at(memory, at.notEmpty), Condition.at(memory, at.notFull)];
  for (const side of [...living]) {
    if (side.id >= 0) continue;
    side.killed = true; // it was at hand, and has not begun
    side.process.kill('SIGKILL');
  }
  while (living.size > 0) {
    for (const condition of conditions) condition.notifyAll();
    await after(5);
  }
  if (failure !== undefined) throw failure;
}

/** How many stand in the slots of a lock. @param {number} place @param {{ first: number, count: number, stride: number }} slots */
function entered(place, { first, count, stride }) {
  const owners = Array.from({ length: count }, (_, slot) => words[place / 4 + first + slot * stride]);
  return owners.filter((owner) => owner !== 0).length;
}

/** Takes each lock once, mends it where it is to be mended, and looks at what is left. */
async function close() {
  const mutex = Mutex.at(memory, at.mutex);
  const rwlock = RwLock.at(memory, at.rwlock);
  const queue = Mutex.at(memory, at.queueMutex);
  for (const [lock, guard] of /** @type {const} */ ([
    ['mutex', mutex.tryLock()],
    ['rwlock', rwlock.tryWrite()],
    ['queue', queue.tryLock()],
  ])) {
    if (guard === null) throw new Error(`${lock} is held by somebody who lives`);
    account.enter(lock, guard);
    account.leave(lock);
    guard.unlock();
  }
  // One who waits for a while buries the dead.
  for (const place of [at.notEmpty, at.notFull]) {
    const condition = Condition.at(memory, place);
    const held = queue.lockSync();
    try {
      condition.waitSync(held, { timeout: 200 });
    } catch (error) {
      if (/** @type {{ code?: string }} */ (error).code !== 'ETIMEDOUT') throw error;
    }
    held.unlock();
  }
  const slots = { first: 8, count: Condition.maxWaiters, stride: 2 };
  const mapping = /** @type {import('../../dist/internal/native.js').NativeMapping} */ (memory[mappingOf]());
  const owner = native.ownerOf(mapping);
  const word = (/** @type {number} */ place) => words[place / 4];
  return [
    {
      name: 'all locks are free',
      ok: [at.mutex, at.rwlock, at.queueMutex].every((place) => word(place) === 0),
    },
    { name: 'nobody writes', ok: words[at.rwlock / 4 + 3] === 0 },
    {
      name: 'no reader is left',
      ok: entered(at.rwlock, { first: 4, count: RwLock.maxReaders, stride: 1 }) === 0,
    },
    { name: 'no waiter is left', ok: entered(at.notEmpty, slots) + entered(at.notFull, slots) === 0 },
    { name: 'no owner is left', ok: owner !== null && native.ownerList(owner).length === 1 },
    { name: 'the queue is right', ok: account.items >= 0 },
  ];
}

/** @param {{ name: string, ok: boolean }[]} left @param {number} tookMs */
function report(left, tookMs) {
  const times = locks.map((lock) => [`${lock}Had`, summary(ledger.samples(lock))]);
  const all = summary(locks.flatMap((lock) => ledger.samples(lock)));
  const counts = Object.fromEntries(counters.map((counter) => [counter, account.left(counter)]));
  const result = {
    seed,
    kills,
    terminatedWorkers: terminated,
    seconds: Math.round(tookMs / 100) / 10,
    ...counts,
    abandoned: ledger.head('abandoned'),
    // From the kill until another one had the lock that the dead one held.
    milliseconds: { ...Object.fromEntries(times), anyHad: all },
    checks: [
      { name: `nothing is wrong: ${ledger.complaint}`, ok: ledger.complaint === '' },
      ...counters.flatMap((counter) => [
        { name: `${counter}: both words`, ok: account.left(counter) === account.right(counter) },
        {
          name: `${counter}: ${account.left(counter)} are ${ledger.sum(counter)} of all`,
          ok: account.left(counter) === ledger.sum(counter) && account.left(counter) > 0,
        },
      ]),
      ...left,
    ].map(({ name, ok }) => ({ name: `locks: ${name}`, ok })),
  };
  tellTimes(result.milliseconds);
  const rate = Math.round((kills / tookMs) * 1e4) / 10;
  console.log(`${result.seconds} s, ${rate} kills/s, ${terminated} of them of worker threads`);
  console.log(
    `locks: kills ${kills}, abandoned ${result.abandoned}, counted ${JSON.stringify(counts)}, and all of it is accounted for: ` +
      `${result.checks.every(({ ok }) => ok)}`,
  );
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  tellChecks(result.checks);
}

function describe() {
  const sides = [...living].map((side) => `page ${side.id} (${side.process.pid}): ${progressOf(side)}`);
  const shown = (/** @type {number} */ place) => [...words.subarray(place / 4, place / 4 + 24)].join(' ');
  return [...sides, ...Object.entries(at).map(([name, place]) => `${name}: ${shown(place)}`)].join('\n  ');
}

process.on('exit', () => {
  for (const { process: child } of living) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

console.log(`seed ${seed}`);
const begun = now();
try {
  const all = (async () => {
    await killAll();
    await goOn();
    await end();
    return close();
  })();
  const left = /** @type {Awaited<typeof all>} */ (await Promise.race([all, stalled()]));
  report(left, now() - begun);
} catch (error) {
  console.error(error instanceof Error ? error.stack : error);
  console.error(`${describe()}\n  ${ledger.complaint}`);
  console.log('0 passed, 1 failed');
  process.exit(1);
}
