/**
 * One side of the soak of a queue: sends a round of messages through one queue and waits for the other side's round in
 * another one, or answers so. Some calls are impatient, and now and then a queue is closed under those that wait,
 * and opened again. soak.js starts it.
 */
import { writeSync } from 'node:fs';
import { SharedMemory } from 'interproc';
import { Account, laneOf, longestBurst, messageOf } from './account.js';
import { afterTurns, impatience, isGivenUp, isImpatient, seeded, syncImpatience, think } from './chance.js';
import { countersOf } from './counters.js';
import { lastLane, queues } from './queues.js';

/** @typedef {import('./queues.js').Wanted} Wanted */

/** @type {{ kind: string, sync: boolean, asks: boolean, count: number, seed: number, addresses: [unknown, unknown] }} */
const { kind, sync, asks, count, seed, addresses } = JSON.parse(/** @type {string} */ (process.argv[2]));
const { received, sent, givenUp, slept } = countersOf(SharedMemory.fromFd(3));
const mine = asks ? 0 : 1;
const random = seeded(seed + mine);
const { open, choices } = /** @type {import('./queues.js').QueueKind} */ (queues[kind]);
const [outAddress, inAddress] = asks ? addresses : [...addresses].reverse();

/** @template T @param {readonly T[]} list @returns {T} */
const oneOf = (list) => /** @type {T} */ (list[random(list.length)]);
const seldom = () => random(512) === 0;
const add = (/** @type {Uint32Array} */ counter) => Atomics.add(counter, mine, 1);

/** False: it was given up. @param {unknown} error */
function wasGivenUp(error) {
  if (!isGivenUp(error)) throw error;
  add(givenUp);
  return false;
}

let out = open(outAddress);
function reopenOut() {
  out.close();
  out = open(outAddress);
}

/** False: there was no room. @param {Buffer} data @param {number} lane */
function trySend(data, lane) {
  const done = out.trySend(data, lane);
  add(done ? sent : givenUp);
  return done;
}

/** Whether it was sent. @param {Buffer} data @param {number} lane */
async function send(data, lane) {
  try {
    if (!isImpatient(random)) await out.send(data, lane);
    else if (random(8) > 0) await out.send(data, lane, impatience(random));
    else return trySend(data, lane);
    add(sent);
    return true;
  } catch (error) {
    return wasGivenUp(error);
  }
}

/** As `send`, blocking. @param {Buffer} data @param {number} lane */
function sendSync(data, lane) {
  try {
    if (!isImpatient(random)) out.sendSync(data, lane);
    else if (random(8) > 0) out.sendSync(data, lane, syncImpatience(random));
    else return trySend(data, lane);
    add(sent);
    return true;
  } catch (error) {
    return wasGivenUp(error);
  }
}

/** The number of the next message. */
let number = 0;

/** Sends a round: mostly only what ends it. @param {number} round @param {boolean} end */
async function talk(round, end) {
  const burst = random(4) > 0 ? 0 : 1 + random(longestBurst);
  const together = !sync && random(2) === 0;
  let bits = 0;
  /** @type {Promise<void>[]} */
  const sending = [];
  if (seldom()) sync ? reopenOut() : afterTurns(random(24), reopenOut);
  for (let index = 0; index < burst; index++, number++) {
    const data = messageOf(number, round);
    const lane = laneOf(number);
    const note = (/** @type {boolean} */ done) => void (bits |= done ? 1 << index : 0);
    if (random(8) === 0) think(4 * round, random(2 ** 32));
    if (sync) note(sendSync(data, lane));
    else if (together) sending.push(send(data, lane).then(note));
    else note(await send(data, lane));
  }
  await Promise.all(sending);
  const last = messageOf(number++, round, { sent: bits >>> 0, burst, end });
  while (!(sync ? sendSync(last, lastLane) : await send(last, lastLane)));
}

/** @typedef {{ queue: import('./queues.js').Queue, choice: Wanted[], waiting: Uint8Array }} Source */

/** @returns {Source} */
function openSource() {
  const choice = oneOf(choices);
  return { queue: open(inAddress), choice, waiting: new Uint8Array(choice.length) };
}

let source = openSource();
function reopenSource() {
  source.queue.close();
  source = openSource();
}

/** What came. @type {import('./queues.js').Message[]} */
const inbox = [];
/** Called when a receive has ended. */
let listener = () => {};

/** Asks for one more. @param {Source} from @param {number} which */
async function ask({ queue, choice, waiting }, which) {
  const wanted = /** @type {Wanted} */ (choice[which]);
  waiting[which] = Number(waiting[which]) + 1;
  try {
    inbox.push(await queue.receive(wanted, isImpatient(random) ? impatience(random) : undefined));
  } catch (error) {
    wasGivenUp(error);
  }
  waiting[which] = Number(waiting[which]) - 1;
  listener();
}

/** Takes one if there is one. @param {Wanted} wanted */
function tryToHear(wanted) {
  const message = source.queue.tryReceive(wanted);
  if (message === null) add(givenUp);
  else inbox.push(message);
}

/** Waits until a receive has ended. @param {number} depth How many wait at once for the same. */
async function hear(depth) {
  if (isImpatient(random) && random(8) === 0) return tryToHear(oneOf(source.choice));
  const something = new Promise((resolve) => {
    listener = () => resolve(undefined);
  });
  for (const which of source.choice.keys()) {
    while (/** @type {number} */ (source.waiting[which]) < depth) void ask(source, which);
  }
  await something;
}

/** As `hear`, blocking. */
function hearSync() {
  const wanted = oneOf(oneOf(choices));
  try {
    if (!isImpatient(random)) inbox.push(source.queue.receiveSync({}));
    else if (random(8) > 0) inbox.push(source.queue.receiveSync(wanted, syncImpatience(random)));
    else tryToHear(wanted);
  } catch (error) {
    wasGivenUp(error);
  }
}

/** The number of the other side's next message. */
let expected = 0;

/** Takes in a round, and tells whether it is the last one. @param {number} round */
async function listen(round) {
  const account = new Account(round, expected);
  const depth = oneOf([1, 1, 1, 2, 4]);
  if (seldom()) sync ? reopenSource() : afterTurns(random(24), reopenSource);
  while (!account.isComplete) {
    if (inbox.length === 0) sync ? hearSync() : await hear(depth);
    for (const message of inbox.splice(0)) {
      account.add(message);
      add(received);
      if (random(8) === 0) think(4 * round, random(2 ** 32));
    }
  }
  const { end, next } = account.close();
  expected = next;
  return end;
}

if (!asks) writeSync(1, 'there');
for (let round = 0; ; round++) {
  if (asks) {
    const end = Math.min(Number(sent[mine]), Number(received[mine])) >= count;
    await talk(round, end);
    if (end) break;
  }
  if (await listen(round)) break;
  think(4 * round, random(2 ** 32));
  if (!asks) await talk(round, false);
}
slept[mine] = process.resourceUsage().voluntaryContextSwitches;
out.close();
source.queue.close();
