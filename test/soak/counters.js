/**
 * What the two sides of the soak count in the memory that they share with the runner: the one who asks, then the one who
 * answers.
 *
 * @param {import('interproc').SharedMemory} memory
 */
export function countersOf({ buffer }) {
  return /** @type {const} */ ([
    new Uint32Array(buffer, 0, 2), // messages that came
    new Uint32Array(buffer, 8, 2), // how often a thread gave its CPU up
  ]);
}

export const countersSize = 16;
