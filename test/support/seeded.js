/** @typedef {(below: number) => number} Random A whole number from 0 on. */

/** Random numbers (mulberry32); the same come again for the same start. @param {number} start @returns {Random} */
export function seeded(start) {
  let state = start | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
