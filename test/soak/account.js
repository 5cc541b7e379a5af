/**
 * The messages of a queue in the soak, and the account of them. They come in rounds: some, and then one in the last lane
 * that tells which of those were sent. Whoever gave a send up doesn't try again: that number must never come.
 */
import { lanes, lastLane, messageSize } from './queues.js';

const at = { number: 0, round: 4, sent: 8, lane: 12, burst: 13, end: 14 };
const headSize = 16;
/** As many as `sent` has bits. */
export const longestBurst = 32;

/** Each number has its lane. @param {number} number */
export function laneOf(number) {
  return (Math.imul(number + 1, 0x9e3779b1) >>> 16) % lanes;
}

/** @typedef {{ sent: number, burst: number, end: boolean }} Last What the last message of a round tells: bits of those sent. */

/** @param {number} number @param {number} round @param {Last} [last] */
export function messageOf(number, round, last) {
  const length = headSize + ((Math.imul(number + 1, 0x85ebca6b) >>> 16) % (messageSize - headSize + 1));
  const bytes = Buffer.alloc(length, number & 0xff);
  bytes.writeUInt32LE(number, at.number);
  bytes.writeUInt32LE(round, at.round);
  bytes.writeUInt32LE(last?.sent ?? 0, at.sent);
  bytes.writeUInt8(last === undefined ? laneOf(number) : lastLane, at.lane);
  bytes.writeUInt8(last?.burst ?? 0, at.burst);
  bytes.writeUInt8(last?.end ? 1 : 0, at.end);
  return bytes;
}

/** What came of one round. */
export class Account {
  #round;
  #first;
  /** @type {number[][]} */
  #came = Array.from({ length: lanes }, () => []);
  #count = 0;
  /** @type {(Last & { number: number }) | undefined} */
  #last;

  /** @param {number} round @param {number} first The number of its first message. */
  constructor(round, first) {
    this.#round = round;
    this.#first = first;
  }

  /** @param {import('./queues.js').Message} message */
  add({ data, lane }) {
    const number = data.length < headSize ? -1 : data.readUInt32LE(at.number);
    const last =
      lane === lastLane
        ? {
            sent: data.readUInt32LE(at.sent),
            burst: data.readUInt8(at.burst),
            end: data.readUInt8(at.end) === 1,
          }
        : undefined;
    if (
      number < 0 ||
      !data.equals(messageOf(number, this.#round, last)) ||
      lane !== (last ? lastLane : laneOf(number))
    ) {
      throw new Error(`in round ${this.#round} this came in lane ${lane}: ${data.toString('hex')}`);
    }
    if (last !== undefined && this.#last !== undefined) throw new Error(`round ${this.#round} ended twice`);
    if (last !== undefined) this.#last = { ...last, number };
    else this.#came[lane]?.push(number);
    this.#count++;
  }

  /** Whether as many came as were sent. */
  get isComplete() {
    const { sent = 0 } = this.#last ?? {};
    return this.#last !== undefined && this.#count > bitsOf(sent);
  }

  /** Throws unless it was those that were sent, in the order of their lanes. REQUIRES isComplete. */
  close() {
    const { sent, burst, end, number } = /** @type {Last & { number: number }} */ (this.#last);
    if (number !== this.#first + burst)
      throw new Error(`round ${this.#round} ended with ${number}, not ${this.#first + burst}`);
    /** @type {number[][]} */
    const expected = Array.from({ length: lanes }, () => []);
    for (let index = 0; index < burst; index++) {
      if (((sent >>> index) & 1) === 1) expected[laneOf(this.#first + index)]?.push(this.#first + index);
    }
    const [came, was] = [this.#came, expected].map((each) => JSON.stringify(each));
    if (came !== was) throw new Error(`in round ${this.#round} ${was} were sent, and ${came} came`);
    return { end, count: this.#count, next: number + 1 };
  }
}

/** @param {number} bits How many are set. */
export function bitsOf(bits) {
  let count = 0;
  for (let left = bits >>> 0; left !== 0; left = (left & (left - 1)) >>> 0) count++;
  return count;
}
