/**
 * What the storm over locks keeps account in. The data that the locks guard lies beside them: of each counter two words,
 * which are equal whenever nobody has its lock, and of each lock who was the last to have it. What each of those who take
 * part has counted stands in a page of its own, in memory of the runner: first that it is about to count, then that it has.
 */

/** Where the locks are. */
export const at = { mutex: 0, rwlock: 256, queueMutex: 512, notEmpty: 1024, notFull: 2048, data: 4096 };
export const memorySize = 8192;

/** What is counted under which lock. */
export const counters = /** @type {const} */ (['mutex', 'rwlock', 'produced', 'consumed']);
/** @typedef {(typeof counters)[number]} Counter */
export const guarded = /** @type {const} */ ({
  mutex: ['mutex'],
  rwlock: ['rwlock'],
  queue: ['produced', 'consumed'],
});
/** @typedef {keyof typeof guarded} Lock */
export const locks = /** @type {readonly Lock[]} */ (['mutex', 'rwlock', 'queue']);

// All float64.
const heads = /** @type {const} */ ([
  'stop',
  'started',
  'abandoned',
  'mutexSamples',
  'rwlockSamples',
  'queueSamples',
]);
const fields = /** @type {const} */ ([
  'killedAt', // in milliseconds; of the runner
  'mutexHeld',
  'rwlockHeld',
  'queueHeld',
  'mutexBegun',
  'rwlockBegun',
  'producedBegun',
  'consumedBegun',
  'mutexDone',
  'rwlockDone',
  'producedDone',
  'consumedDone',
  'reads', // of the RwLock
]);
/** @typedef {(typeof heads)[number]} Head */
/** @typedef {(typeof fields)[number]} Field */
const samplesEach = 1 << 13;
const textBytes = 4096;
const samplesAt = heads.length;
const pagesAt = samplesAt + locks.length * samplesEach;

/** @param {number} parties */
export const ledgerSize = (parties) => (pagesAt + parties * fields.length) * 8 + textBytes;

export class LocksLedger {
  #numbers;
  #text;

  /** @param {ArrayBufferLike} buffer @param {number} parties */
  constructor(buffer, parties) {
    this.#numbers = new Float64Array(buffer, 0, pagesAt + parties * fields.length);
    this.#text = new Uint8Array(buffer, this.#numbers.byteLength, textBytes);
  }

  /** @param {Head} head */
  head(head) {
    return Number(this.#numbers[heads.indexOf(head)]);
  }

  /** @param {Head} head @param {number} value */
  setHead(head, value) {
    this.#numbers[heads.indexOf(head)] = value;
  }

  /** @param {number} id @param {Field} field */
  get(id, field) {
    return Number(this.#numbers[pagesAt + id * fields.length + fields.indexOf(field)]);
  }

  /** @param {number} id @param {Field} field @param {number} value */
  set(id, field, value) {
    this.#numbers[pagesAt + id * fields.length + fields.indexOf(field)] = value;
  }

  /** @param {number} id @param {Field} field */
  add(id, field) {
    this.set(id, field, this.get(id, field) + 1);
  }

  /** What all have counted. @param {Counter} counter */
  sum(counter) {
    let sum = 0;
    for (let id = 0; id < this.head('started'); id++) sum += this.get(id, `${counter}Done`);
    return sum;
  }

  /** Of how long it took until a lock was had that a dead one held. REQUIRES the lock. @param {Lock} lock @param {number} ms */
  addSample(lock, ms) {
    const count = this.head(`${lock}Samples`);
    if (count === samplesEach) return;
    this.#numbers[samplesAt + locks.indexOf(lock) * samplesEach + count] = ms;
    this.setHead(`${lock}Samples`, count + 1);
  }

  /** @param {Lock} lock */
  samples(lock) {
    const start = samplesAt + locks.indexOf(lock) * samplesEach;
    return [...this.#numbers.subarray(start, start + this.head(`${lock}Samples`))];
  }

  /** The first thing that went wrong, in words. */
  get complaint() {
    return Buffer.from(this.#text.subarray(0, Math.max(0, this.#text.indexOf(0)))).toString();
  }

  /** @param {string} text */
  complain(text) {
    if (this.#text[0] === 0) this.#text.set(Buffer.from(text).subarray(0, textBytes - 1));
  }
}
