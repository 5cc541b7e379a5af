/** Random numbers that come again for the same seed, so that a failure can be repeated. */
export { type Random, seeded } from './seeded.js';
