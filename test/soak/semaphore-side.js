/**
 * One side of the soak of two semaphores: gives a round of permits to one of them and takes the other side's round from the
 * other one, or answers so. Both know how many there are in each round: one that is lost stops them, one too many is found.
 * Some calls are impatient, and now and then a semaphore is closed under those that wait, and opened again.
 * soak.js starts it.
 */
import { writeSync } from 'node:fs';
import { SharedMemory } from 'interproc';
import {
  afterTurns,
  impatience,
  isGivenUp,
  isImpatient,
  pace,
  seeded,
  syncImpatience,
  think,
} from './chance.js';
import { countersOf } from './counters.js';
import { semaphores } from './semaphores.js';

/** @type {{ kind: string, sync: boolean, asks: boolean, count: number, seed: number, address: unknown }} */
const { kind, sync, asks, count, seed, address } = JSON.parse(/** @type {string} */ (process.argv[2]));
const memory = SharedMemory.fromFd(3);
const { received, sent, givenUp, slept } = countersOf(memory);
const mine = asks ? 0 : 1;
const plan = seeded(seed);
const random = seeded(seed + 1 + mine);
const { open } = /** @type {import('./semaphores.js').SemaphoreKind} */ (semaphores[kind]);
const longestBurst = 24;

const seldom = () => random(512) === 0;
const turn = () => new Promise(setImmediate);

const given = open(address, mine, memory);
let taken = open(address, 1 - mine, memory);
function reopen() {
  taken.close();
  taken = open(address, 1 - mine, memory);
}

let round = 0;

/** Gives so many, at once or one by one. @param {number} permits */
async function give(permits) {
  const atOnce = random(2) === 0;
  // Waiting for zero, behind it: the last one who takes wakes who waits here, too.
  const watch = random(4) === 0;
  for (let left = permits; left > 0; ) {
    const now = atOnce ? left : 1;
    left -= now;
    Atomics.add(sent, mine, now);
    given.give(now);
    if (left === 0) break;
    if (random(8) === 0) think(4 * round, random(2 ** 32));
    if (!sync && random(4) === 0) await turn();
  }
  if (watch) sync ? given.allTakenSync?.() : await given.allTaken?.();
}

/** How many are to be taken yet. */
let wanted = 0;

/** Has taken `permits`, or not. @param {number} permits @param {boolean} done */
function note(permits, done) {
  if (!done) wanted += permits;
  Atomics.add(done ? received : givenUp, mine, done ? permits : 1);
}

/** @param {number} permits @param {unknown} error */
function noteGivenUp(permits, error) {
  if (!isGivenUp(error)) throw error;
  note(permits, false);
}

/** Takes so many, or gives up. @param {number} permits */
async function takeSome(permits) {
  try {
    if (!isImpatient(random)) await taken.take(permits);
    else if (random(8) > 0) await taken.take(permits, impatience(random));
    else return note(permits, taken.tryTake(permits));
    note(permits, true);
  } catch (error) {
    noteGivenUp(permits, error);
  }
}

/** As `takeSome`, blocking. @param {number} permits */
function takeSomeSync(permits) {
  try {
    if (!isImpatient(random)) taken.takeSync(permits);
    else if (random(8) > 0) taken.takeSync(permits, syncImpatience(random));
    else return note(permits, taken.tryTake(permits));
    note(permits, true);
  } catch (error) {
    noteGivenUp(permits, error);
  }
}

/** Takes so many, one after the other or all at the same time. @param {number} permits */
async function take(permits) {
  if (seldom()) sync ? reopen() : afterTurns(random(24), reopen);
  const together = !sync && random(2) === 0;
  wanted = permits;
  while (wanted > 0) {
    /** @type {Promise<void>[]} */
    const taking = [];
    while (wanted > 0) {
      const now = 1 + random(Math.min(wanted, taken.most));
      wanted -= now;
      if (sync) takeSomeSync(now);
      else if (together) taking.push(takeSome(now));
      else await takeSome(now);
      if (random(8) === 0) think(4 * round, random(2 ** 32));
    }
    await Promise.all(taking);
  }
  if (taken.value() !== 0)
    throw new Error(`of ${permits} permits all were taken, and ${taken.value()} are left`);
}

if (!asks) writeSync(1, 'there');
for (let done = [0, 0]; Math.min(...done) < count; round++) {
  const permits = done.map(() => (plan(4) > 0 ? 1 : 1 + plan(longestBurst)));
  const [question = 0, answer = 0] = permits;
  done = done.map((each, index) => each + Number(permits[index]));
  if (asks) {
    await give(question);
    await take(answer);
    think(4 * round, random(2 ** 32), pace.calm);
  } else {
    await take(question);
    think(4 * round, random(2 ** 32), pace.calm);
    await give(answer);
  }
}
slept[mine] = process.resourceUsage().voluntaryContextSwitches;
given.close();
taken.close();
