/**
 * The storm over queues and semaphores: processes that send, receive, take permits and operate on a set with `undo` are
 * killed (SIGKILL) at random moments and replaced, over and over. Those that are left go on. At the end each message and
 * each permit is accounted for: no message comes twice, or though it was given up; only those are missing that a dead
 * process may have taken; the semaphore lacks what the dead have held, and the set lacks nothing.
 *
 *   npm run chaos:objects -- --kills 500 --seed 7
 *
 * The seed decides who is killed after how long, and what each process does; how far it gets until then is for the machine.
 * Exits with 1 when something is wrong, a process fails, and when those that are left do nothing for 30 s.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MessageQueue, Semaphore, SharedMemory, SysvMessageQueue, SysvSemaphoreSet } from 'interproc';
import { seeded } from '../support/seeded.js';
import { givenUpBit, ledgerSize, maxMessages, ObjectsLedger, permit, readMessage } from './objects-ledger.js';
import { after, stormOptions, wholeNumber } from './storms.js';

const patienceMs = 30_000;
/** So long with nobody who has a permit means that one is gone. */
const leakMs = 5000;
const atOnce = 4;
const permits = 2;
const inSet = [2, 0];
const sideScript = fileURLToPath(new URL('objects-side.js', import.meta.url));
const name = `interproc-chaos-${process.pid}`;

const { kills: killsOption, seed: seedOption } = stormOptions;
const { values: options } = parseArgs({ options: { kills: killsOption, seed: seedOption } });
const kills = wholeNumber('kills', options.kills, 1);
const seed = wholeNumber('seed', options.seed, 0);
/** With those that end by themselves, having sent all they can. */
const processes = 2 * kills + 64;

const random = seeded(seed);

const memory = SharedMemory.anonymous({ size: ledgerSize(processes) });
const ledger = new ObjectsLedger(memory.buffer, processes);
const posix = MessageQueue.create(name, { maxMessages: 10, messageSize: 64 });
const sysv = SysvMessageQueue.create(null, { maxBytes: 200 });
const semaphore = Semaphore.create(name, { initial: permits });
const set = SysvSemaphoreSet.create(null, { count: inSet.length, initial: inSet });

/** @typedef {{ id: number, process: import('node:child_process').ChildProcess, over: Promise<unknown>, runs: boolean, killed: boolean }} Side */
/** @type {Set<Side>} */
const living = new Set();
let started = 0;
/** What went wrong with one of them. @type {Error | undefined} */
let failure;

function start() {
  const id = started++;
  if (id === processes) throw new Error('too many processes ended by themselves');
  const ids = { queueId: sysv.id, setId: set.id };
  const setup = { id, seed: random(2 ** 31), sync: random(2) === 0, processes, name, ...ids };
  const child = spawn(process.execPath, [sideScript, JSON.stringify(setup)], {
    stdio: ['ignore', 'pipe', 'inherit', memory.fd],
  });
  /** @type {Side} */
  const side = { id, process: child, over: once(child, 'exit'), runs: false, killed: false };
  child.stdout?.once('data', () => {
    side.runs = true;
  });
  living.add(side);
  side.over = once(child, 'exit').then(([code, signal]) => {
    living.delete(side);
    if (!side.killed && code !== 0) failure ??= new Error(`process ${id} ended by itself: ${code ?? signal}`);
    closePage(side);
  });
}

/** @type {readonly (0 | 1)[]} */
const queues = [0, 1];
/** What the dead may have taken, or held, at most. */
const dead = { receives: [0, 0], unsure: 0, held: 0 };
/** Permits that went with one who died while it was unsure who has them, and were replaced. */
let replaced = 0;

/** What a process leaves. @param {Side} side */
function closePage({ id, killed }) {
  const open = queues.map((which) => ledger.get(id, `asked${which}`) - ledger.get(id, `noted${which}`));
  const held = ledger.get(id, 'permit');
  if (!killed) {
    if (open.some((each) => each !== 0) || held !== permit.none)
      failure ??= new Error(`process ${id} ended in the middle of ${open} receives, with the permit ${held}`);
    return;
  }
  for (const which of queues) dead.receives[which] = Number(dead.receives[which]) + Number(open[which]);
  if (held === permit.held) {
    dead.held++;
    semaphore.release();
  } else if (held !== permit.none) {
    dead.unsure++;
  }
}

/** Whether a process has done some of everything since `then`. @param {Side} side @param {number[]} then */
function goesOn(side, then) {
  return progressOf(side).every((each, index) => each > Number(then[index])) || !living.has(side);
}

/** @param {Side} side */
function progressOf({ id }) {
  const sent = queues.map((which) => {
    const number = ledger.get(id, `sent${which}`);
    return number === maxMessages ? Number.POSITIVE_INFINITY : number;
  });
  const noted = queues.map((which) => ledger.get(id, `noted${which}`));
  return [...sent, ...noted, ledger.get(id, 'permits'), ledger.get(id, 'operations')];
}

function describe() {
  return [...living]
    .map((side) => `process ${side.id} (${side.process.pid}): ${progressOf(side)}`)
    .join('\n');
}

/** Resolves when those that live have done some of everything. */
async function survivorsGoOn() {
  const sides = [...living].filter(({ runs }) => runs).map((side) => ({ side, then: progressOf(side) }));
  const since = performance.now();
  let leakedSince = since;
  while (!sides.every(({ side, then }) => goesOn(side, then))) {
    if (failure !== undefined) throw failure;
    await after(1);
    const waited = performance.now() - since;
    if (waited > patienceMs) throw new Error(`those that are left do nothing any more:\n${describe()}`);
    const isHeld = [...living].some(({ id }) => ledger.get(id, 'permit') > permit.acquiring);
    if (isHeld || semaphore.value > 0) leakedSince = performance.now();
    if (performance.now() - leakedSince < leakMs || replaced === dead.unsure) continue;
    replaced++;
    semaphore.release();
  }
}

async function killAll() {
  for (let killed = 0; killed < kills; ) {
    while (living.size < atOnce) start();
    await survivorsGoOn();
    await after(random(50));
    const victims = [...living].filter(({ runs }) => runs);
    const victim = victims[random(Math.max(1, victims.length))];
    if (victim === undefined) continue;
    victim.killed = true;
    victim.process.kill('SIGKILL');
    await victim.over;
    killed++;
    const [left = 0, right = 0] = set.getAll();
    if (left + right !== inSet.reduce((sum, each) => sum + each))
      throw new Error(`the set has ${left} and ${right}`);
  }
  await survivorsGoOn();
}

/** Lets those that live come to an end, and takes what they leave in the queues. */
async function finish() {
  ledger.stop = true;
  const watch = after(patienceMs).then(() => Promise.reject(new Error(`they don't end:\n${describe()}`)));
  watch.catch(() => {});
  await Promise.race([Promise.all([...living].map(({ over }) => over)), watch]);
  if (failure !== undefined) throw failure;
  for (const which of queues) {
    const queue = which === 0 ? posix : sysv;
    for (let message = queue.tryReceive(); message !== null; message = queue.tryReceive()) {
      const { author, number: count } = readMessage(message.data);
      ledger.came(which, author, count);
    }
  }
}

/** What became of all that was sent to one of the queues. @param {0 | 1} which */
function accountOf(which) {
  const account = { sent: 0, came: 0, missing: 0, twice: 0, unwanted: 0 };
  for (let author = 0; author < started; author++) {
    const [attempted, sent] = [ledger.get(author, `attempted${which}`), ledger.get(author, `sent${which}`)];
    for (let count = 0; count < attempted; count++) {
      const cell = ledger.cell(which, author, count);
      const times = cell & ~givenUpBit;
      const wasGivenUp = (cell & givenUpBit) !== 0;
      if (times > 0) account.came++;
      if (times > 1) account.twice++;
      if (wasGivenUp && times > 0) account.unwanted++;
      // Whose send was cut short by the kill may come or not.
      if (wasGivenUp || count >= sent) continue;
      account.sent++;
      if (times === 0) account.missing++;
    }
  }
  return account;
}

/** @param {() => unknown} call Whether it says that there is nothing. */
function isGone(call) {
  try {
    call();
    return false;
  } catch (error) {
    return ['ENOENT', 'EINVAL'].includes(/** @type {{ code: string }} */ (error).code);
  }
}

function remove() {
  for (const { process: child } of living) child.kill('SIGKILL');
  for (const object of [
    () => posix.unlink(),
    () => sysv.remove(),
    () => semaphore.unlink(),
    () => set.remove(),
  ]) {
    try {
      object();
    } catch {
      // It is gone, as it should be.
    }
  }
}
process.on('exit', remove);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

function report() {
  /** @type {string[]} */
  const wrong = [];
  const check = (/** @type {boolean} */ holds, /** @type {string} */ what) =>
    void (holds || wrong.push(what));
  for (const which of queues) {
    const kind = which === 0 ? 'POSIX queue' : 'System V queue';
    const { sent, came, missing, twice, unwanted } = accountOf(which);
    const most = Number(dead.receives[which]);
    const facts = `twice ${twice}, though given up ${unwanted}, missing ${missing}, of at most ${most} that the dead took`;
    console.log(`${kind}: sent ${sent}, came ${came}, ${facts}`);
    check(twice === 0 && unwanted === 0 && missing <= most, kind);
  }
  const { value } = semaphore;
  const lost = permits + replaced - value;
  console.log(
    `semaphore: the dead held ${dead.held}, and ${lost} of at most ${dead.unsure} that were on their way`,
  );
  check(lost >= replaced && lost <= dead.unsure, `semaphore: ${value}`);
  const values = set.getAll();
  console.log(`set: ${values}`);
  check(String(values) === String(inSet), 'set');
  remove();
  check(living.size === 0, 'processes are left');
  check(
    [
      () => MessageQueue.open(name),
      () => SysvMessageQueue.fromId(sysv.id),
      () => Semaphore.open(name),
      () => SysvSemaphoreSet.fromId(set.id),
    ].every(isGone),
    'objects are left',
  );
  for (const what of wrong) console.log(`failed: ${what}`);
  if (wrong.length === 0) console.log(`${kills} kills: every message and every permit is accounted for.`);
  process.exit(wrong.length === 0 ? 0 : 1);
}

console.log(`seed ${seed}`);
try {
  await killAll();
  await finish();
  report();
} catch (error) {
  console.log(`failed: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
