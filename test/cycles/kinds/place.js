/**
 * What a kind of object is cycled with: names of its own, which are the same in each cycle, so that one that is left makes the
 * next cycle fail; and what cycles have in common.
 */
import assert from 'node:assert/strict';

/**
 * @typedef {object} Place
 * @property {string} name For POSIX objects.
 * @property {number} key For System V objects.
 * @property {string} path Where no file is yet.
 *
 * @typedef {(drop: boolean) => void | Promise<void>} Cycle Makes, uses and closes; `drop`: leaves the closing to the collection.
 * @typedef {(place: Place) => Cycle} Kind
 */

export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** @param {boolean} drop @param {{ close(): void }[]} objects */
export function close(drop, ...objects) {
  if (!drop) for (const each of objects) each.close();
}

/**
 * Starts waits, and aborts them when the event loop has come round.
 *
 * @param {((options: { signal: AbortSignal }) => Promise<unknown>)[]} calls
 */
export async function aborted(...calls) {
  const controller = new AbortController();
  const { signal } = controller;
  const waits = Promise.allSettled(calls.map((call) => call({ signal })));
  await turn();
  controller.abort();
  expectRejected(await waits, 'ABORT_ERR');
}

/** Starts a wait, and closes what it waits on. @param {{ close(): void }} object @param {(() => Promise<unknown>)[]} calls */
export async function closedInWait(object, ...calls) {
  const waits = Promise.allSettled(calls.map((call) => call()));
  await turn();
  object.close();
  expectRejected(await waits, 'ERR_INTERPROC_CLOSED');
}

/** @param {(() => Promise<unknown>)[]} calls Each has its timeout. */
export async function timedOut(...calls) {
  expectRejected(await Promise.allSettled(calls.map((call) => call())), 'ETIMEDOUT');
}

/** @param {PromiseSettledResult<unknown>[]} outcomes @param {string} code */
function expectRejected(outcomes, code) {
  for (const each of outcomes) assert.equal(each.status === 'rejected' && each.reason.code, code);
}
