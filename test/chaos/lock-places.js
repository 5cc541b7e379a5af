/** Where the locks of the tests lie in their memory, and what they guard: two words that are equal whenever nobody has the lock. */

/** Bytes from the start of the memory. */
export const places = {
  mutex: 0,
  rwlock: 256,
  condition: 1024,
  barrier: 2048,
  event: 2560,
  once: 2576,
  data: 4096,
};
export const memorySize = 8192;

// 32-bit words from `places.data` on; lock-actor.c knows the first three, and where the rounds begin.
const words = /** @type {const} */ ([
  'left',
  'right',
  'stop', // 1: all are to come to their end
  'items', // produced, and not consumed yet
  'ready', // of two who meet: one is there
  'go', // and may go on
  'runs', // how often something was done that is to be done once
]);
/** @typedef {(typeof words)[number]} Word */
const roundsAt = 8;

/** The step between the two words, at which a process can die as at those of a lock. */
export const halfway = 'data.half';
const [failpoint, hit = '1'] = (process.env.INTERPROC_FAILPOINT ?? '').split(':');
let passed = 0;

export class Data {
  #words;

  /** @param {ArrayBufferLike} buffer */
  constructor(buffer) {
    this.#words = new Int32Array(buffer, places.data);
  }

  /** @param {Word} word */
  get(word) {
    return Atomics.load(this.#words, words.indexOf(word));
  }

  /** @param {Word} word @param {number} value */
  set(word, value) {
    Atomics.store(this.#words, words.indexOf(word), value);
  }

  /** @param {Word} word @param {number} by */
  add(word, by) {
    Atomics.add(this.#words, words.indexOf(word), by);
  }

  /** How many rounds one of them has done. @param {number} who */
  rounds(who) {
    return Atomics.load(this.#words, roundsAt + who);
  }

  /** @param {number} who */
  roundDone(who) {
    Atomics.add(this.#words, roundsAt + who, 1);
  }

  get whole() {
    return this.get('left') === this.get('right');
  }

  mend() {
    this.set('right', this.get('left'));
  }

  /** REQUIRES the lock. Not with atomic additions: two who have it at once are found out. */
  change() {
    this.set('left', this.get('left') + 1);
    if (failpoint === halfway && ++passed === Number(hit)) process.kill(process.pid, 'SIGKILL');
    this.set('right', this.get('right') + 1);
  }
}
