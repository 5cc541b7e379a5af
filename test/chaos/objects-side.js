/**
 * One of the processes of the storm over queues and semaphores (objects-storm.js): sends to both queues and receives from
 * them, takes and gives back permits, and moves permits of a set with `undo`, until it is killed or told to stop. With
 * `sync` it does so by blocking calls in turn, else all at once on its event loop. Says `r` when it starts.
 */
import { writeSync } from 'node:fs';
import { MessageQueue, Semaphore, SharedMemory, SysvMessageQueue, SysvSemaphoreSet } from 'interproc';
import { seeded } from '../support/seeded.js';
import { maxMessages, messageOf, ObjectsLedger, permit, readMessage } from './objects-ledger.js';

/** @type {{ id: number, seed: number, sync: boolean, processes: number, name: string, queueId: number, setId: number }} */
const setup = JSON.parse(process.argv[2] ?? '');
const { id, sync, name } = setup;
const ledger = new ObjectsLedger(SharedMemory.fromFd(3).buffer, setup.processes);

const random = seeded(setup.seed);

const lanes = 3;
/** Which messages of the System V queue one receive takes. Always the same ones, so that a lane has one line. */
const choices = [[{}], [{ type: 1 }, { type: 2 }, { type: 3 }], [{ type: -2 }, { type: 3 }]];
const choice = /** @type {{ type?: number }[]} */ (choices[random(choices.length)]);
const laneOf = (/** @type {number} */ number) => (Math.imul(number + 1, 0x9e3779b1) >>> 16) % lanes;

const posix = MessageQueue.open(name);
const sysv = SysvMessageQueue.fromId(setup.queueId);
const semaphore = Semaphore.open(name);
const set = SysvSemaphoreSet.fromId(setup.setId);
/** What is given back is given by these, which stay open to the end. */
const givesBack = { semaphore: Semaphore.open(name), set: SysvSemaphoreSet.fromId(setup.setId) };

/**
 * The calls in the form that this process uses.
 *
 * @typedef {import('interproc').WaitOptions} WaitOptions
 * @typedef {object} Queue
 * @property {{ type?: number }[]} lines What receives ask for.
 * @property {(data: Buffer, lane: number, options: WaitOptions) => unknown} send
 * @property {(wanted: { type?: number }, options: WaitOptions) => { data: Buffer } | Promise<{ data: Buffer }>} receive
 */
/** @type {[Queue, Queue]} */
const queues = [
  {
    lines: [{}],
    send: (data, priority, options) => posix[sync ? 'sendSync' : 'send'](data, { priority, ...options }),
    receive: (_, options) => posix[sync ? 'receiveSync' : 'receive'](options),
  },
  {
    lines: choice,
    send: (data, lane, options) => sysv[sync ? 'sendSync' : 'send'](lane + 1, data, options),
    receive: (wanted, options) => sysv[sync ? 'receiveSync' : 'receive']({ ...wanted, ...options }),
  },
];
const acquire = (/** @type {WaitOptions} */ options) => semaphore[sync ? 'acquireSync' : 'acquire'](options);
/** @param {import('interproc').SemaphoreOperation[]} operations @param {WaitOptions} options */
const operate = (operations, options) => set[sync ? 'opSync' : 'op'](operations, options);

/** What blocks is given up soon, so that all has its turn; else some of it. @returns {WaitOptions} */
function patience() {
  const timeout = random(3000) / 1000;
  if (sync) return { timeout };
  const kind = random(20);
  if (kind > 1) return {};
  if (kind > 0) return { timeout };
  const aborting = new AbortController();
  setTimeout(() => aborting.abort(), random(3));
  return { signal: aborting.signal };
}

/** Whether it was given up. @param {() => unknown} call */
async function isGivenUp(call) {
  try {
    await call();
    return false;
  } catch (error) {
    const { code = '' } = /** @type {{ code?: string }} */ (error);
    if (!['ETIMEDOUT', 'ABORT_ERR', 'ERR_INTERPROC_CLOSED'].includes(code)) throw error;
    return true;
  }
}

/** The numbers of the next messages. @type {[number, number]} */
const next = [0, 0];

/** @param {0 | 1} which */
async function send(which) {
  const number = next[which];
  if (number === maxMessages) return;
  next[which]++;
  ledger.set(id, `attempted${which}`, number + 1);
  const data = messageOf(id, number);
  if (await isGivenUp(() => queues[which].send(data, laneOf(number), patience())))
    ledger.giveUp(which, id, number);
  ledger.set(id, `sent${which}`, number + 1);
}

/** The last number that came in each lane of each process in each queue. @type {Map<string, number>} */
const last = new Map();

/** @param {0 | 1} which @param {{ type?: number }} wanted */
async function receive(which, wanted) {
  ledger.add(id, `asked${which}`);
  await isGivenUp(async () => {
    const { data } = await queues[which].receive(wanted, patience());
    const { author, number } = readMessage(data);
    ledger.came(which, author, number);
    const lane = `${which} ${author} ${laneOf(number)}`;
    const before = last.get(lane) ?? -1;
    if (number <= before) throw new Error(`after message ${before} of process ${author} came ${number}`);
    last.set(lane, number);
  });
  ledger.add(id, `noted${which}`);
}

/** For a moment, or longer than threads linger that have nothing to do. */
async function hold() {
  if (sync) {
    const until = performance.now() + random(200) / 1000;
    while (performance.now() < until);
  } else {
    await new Promise((resolve) => setTimeout(resolve, random(50) === 0 ? 200 : random(3)));
  }
}

async function usePermit() {
  ledger.set(id, 'permit', permit.acquiring);
  if (await isGivenUp(() => acquire(patience()))) return ledger.set(id, 'permit', permit.none);
  ledger.set(id, 'permit', permit.held);
  await hold();
  ledger.set(id, 'permit', permit.releasing);
  givesBack.semaphore.release();
  ledger.set(id, 'permit', permit.none);
  ledger.add(id, 'permits');
}

const there = [
  { index: 0, delta: -1, undo: true },
  { index: 1, delta: 1, undo: true },
];
const back = there.map((each) => ({ ...each, delta: -each.delta }));

async function moveOne() {
  if (await isGivenUp(() => operate(there, patience()))) return;
  await hold();
  // What a thread did that is gone by now must not have been undone with it.
  const [left, right = 0] = givesBack.set.getAll();
  if (right < 1) throw new Error(`one was moved, and the set has ${left} and ${right}`);
  if (!givesBack.set.tryOp(back)) throw new Error('what was moved was not there any more');
  ledger.add(id, 'operations');
}

const parent = process.ppid;
function isOver() {
  if (process.ppid !== parent) process.exit(1); // the runner is gone
  return ledger.stop || next.every((each) => each === maxMessages);
}
function close() {
  for (const object of [posix, sysv, semaphore, set]) object.close();
}

/** What it does, all at once or in turn. */
const loops = [
  () => send(0),
  () => send(1),
  ...[0, 1].flatMap((which) =>
    queues[/** @type {0 | 1} */ (which)].lines.map(
      (wanted) => () => receive(/** @type {0 | 1} */ (which), wanted),
    ),
  ),
  usePermit,
  moveOne,
];
writeSync(1, 'r');
if (sync) {
  while (!isOver()) await loops[random(loops.length)]?.();
  close();
} else {
  const watch = setInterval(() => {
    if (!isOver()) return;
    clearInterval(watch);
    close();
  }, 5);
  const turn = () => new Promise(setImmediate);
  await Promise.all(
    loops.map(async (step) => {
      while (!posix.closed) {
        await step();
        if (random(4) === 0) await turn();
      }
    }),
  );
}
