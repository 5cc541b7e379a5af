/**
 * What the storm keeps account in: shared memory that the runner owns, so that nothing of it dies with a side. All are
 * float64. Each has one writer at a time: the sender, the receiver, or the runner.
 */
const fields = /** @type {const} */ ([
  // The runner.
  'stop', // 1: the sender is to close, and the receiver to read to the end
  'senderKilledAt', // in milliseconds of the system's monotonic clock
  'receiverKilledAt',
  // The sender.
  'author', // the last one's number
  'senderStartedAt',
  'sent', // all that was given to a call that sends
  'certain', // so many are published: a call has said so
  'senderNoticed', // how many samples there are of each kind
  'senderErrors',
  // The receiver.
  'handed', // all below were given out at least once
  'finished', // all below are finished
  'twice', // delivered again, and flagged
  'early', // flagged when first given out: the dead one had them in hand, and had not noted that yet
  'lost',
  'torn',
  'disordered',
  'unflagged', // delivered again, and not flagged
  'unfinished', // delivered again after they were finished
  'misflagged', // flagged behind one that was not
  'lastAuthor', // whose message was received last
  'receiverNoticed',
  'senderReplaced', // how long it was from the kill until a message came from its successor
  'receiverReplaced',
  'senderTookOver', // and how long from the start of the successor
  'receiverTookOver',
  'receiverErrors',
]);

/** @typedef {(typeof fields)[number]} Field */
const series = /** @type {const} */ ([
  'senderNoticed',
  'receiverNoticed',
  'senderReplaced',
  'receiverReplaced',
  'senderTookOver',
  'receiverTookOver',
]);
/** @typedef {(typeof series)[number]} Series */
const seriesLength = 1 << 14;
const textBytes = 4096;
const seriesAt = fields.length * 8;
const textAt = seriesAt + series.length * seriesLength * 8;

export const ledgerSize = textAt + textBytes;

export class Ledger {
  #numbers;
  #text;

  /** @param {ArrayBufferLike} buffer */
  constructor(buffer) {
    this.#numbers = new Float64Array(buffer, 0, textAt / 8);
    this.#text = new Uint8Array(buffer, textAt, textBytes);
  }

  /** @param {Field} field */
  get(field) {
    return /** @type {number} */ (this.#numbers[fields.indexOf(field)]);
  }

  /** @param {Field} field @param {number} value */
  set(field, value) {
    this.#numbers[fields.indexOf(field)] = value;
  }

  /** @param {Field} field @param {number} by */
  add(field, by = 1) {
    this.set(field, this.get(field) + by);
  }

  /** @param {Series} name @param {number} value */
  addSample(name, value) {
    const count = this.get(name);
    if (count >= seriesLength) return;
    this.#numbers[seriesAt / 8 + series.indexOf(name) * seriesLength + count] = value;
    this.set(name, count + 1);
  }

  /** @param {Series} name */
  samples(name) {
    const start = seriesAt / 8 + series.indexOf(name) * seriesLength;
    return [...this.#numbers.subarray(start, start + this.get(name))];
  }

  /** The first thing that went wrong, in words. */
  get complaint() {
    return Buffer.from(this.#text.subarray(0, Math.max(0, this.#text.indexOf(0)))).toString();
  }

  /** @param {string} text */
  complain(text) {
    if (this.#text[0] === 0) this.#text.set(Buffer.from(text).subarray(0, textBytes - 1));
  }

  /** All fields, for diagnostics. */
  toJSON() {
    return Object.fromEntries(fields.map((field) => [field, this.get(field)]));
  }
}
