/** What is left to chance in the soak: when a side takes its time, and when it gives a call up. */

/** @typedef {import('../support/seeded.js').Random} Random */
export { seeded } from '../support/seeded.js';

/** How many of 8 messages take a while, by the block of 4096 of them; and how many of the whiles are short. */
export const pace = {
  brisk: { thoughtful: [0, 1, 4, 1], short: 7 / 8 },
  /** More and longer ones: polling finds most of what comes sooner. */
  calm: { thoughtful: [1, 4, 8, 4], short: 3 / 4 },
};

/**
 * Takes a while, or none: so that the other side is found awake, asleep, and on its way there.
 *
 * @param {number} number Of the message.
 * @param {number} chance 32 bits.
 */
export function think(number, chance, { thoughtful, short } = pace.brisk) {
  if (chance >>> 29 >= /** @type {number} */ (thoughtful[(number >>> 12) % thoughtful.length])) return;
  const part = (chance % 1024) / 1024;
  const until = performance.now() + (part < short ? part / 8 : part); // milliseconds
  while (performance.now() < until);
}

/** One of four calls: of those, some are over before. @param {Random} random */
export const isImpatient = (random) => random(4) === 0;

/** Calls `act` after so many turns of the event loop: some microseconds each. @param {number} turns @param {() => void} act */
export function afterTurns(turns, act) {
  if (turns === 0) act();
  else setImmediate(() => afterTurns(turns - 1, act));
}

/**
 * Options under which a call ends soon, by a timeout or an abort: before it has waited, while it waits, about when what it
 * waits for comes, or too late.
 *
 * @param {Random} random
 * @returns {{ timeout?: number, signal?: AbortSignal }}
 */
export function impatience(random) {
  const timeout = random(2000) / 1000;
  const aborting = new AbortController();
  const abort = () => aborting.abort();
  const { signal } = aborting;
  switch (random(6)) {
    case 0:
      return { timeout: 0 };
    case 1:
      return { timeout };
    case 2:
      queueMicrotask(abort);
      return { signal };
    case 3:
      afterTurns(1 + random(24), abort);
      return { signal };
    case 4:
      afterTurns(1 + random(24), abort);
      return { signal, timeout };
    default:
      setTimeout(abort, random(3));
      return { signal };
  }
}

/** The same for a call that blocks. @param {Random} random */
export function syncImpatience(random) {
  return { timeout: random(4) === 0 ? 0 : random(1000) / 1000 };
}

/** Whether a call was given up: then it has done nothing. @param {unknown} error */
export function isGivenUp(error) {
  const { code = '' } = /** @type {{ code?: string }} */ (error);
  return ['ETIMEDOUT', 'ABORT_ERR', 'ERR_INTERPROC_CLOSED'].includes(code);
}
