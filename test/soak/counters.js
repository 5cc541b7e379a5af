/**
 * What the two sides of the soak count in the memory that they share with the runner: the one who asks, then the one who
 * answers. Behind that is room for a semaphore.
 *
 * @param {import('interproc').SharedMemory} memory
 */
export function countersOf({ buffer }) {
  const pair = (/** @type {number} */ index) => new Uint32Array(buffer, 8 * index, 2);
  return {
    /** Messages, or permits, that came. */
    received: pair(0),
    /** Those that were sent. */
    sent: pair(1),
    /** Calls that were given up: aborted, timed out, closed, or tried in vain. */
    givenUp: pair(2),
    /** How often a thread gave its CPU up. */
    slept: pair(3),
  };
}

export const semaphoreOffset = 64;
export const countersSize = 128;
