/**
 * What is done with a message besides moving it: how its bytes are made and what is read of them. A contender writes
 * messages by `fill`, where it has memory for one, or takes them as `source` or `fresh`; and shows what arrived to
 * `take` or `takeOwned`.
 *
 * Each message carries its number in its first int32. Where all bytes count, lane i holds number + i, and the sum of
 * all must be right in the end; where bytes are copied, what is copied is checked when the run is over.
 */
import { Buffer } from 'node:buffer';
import type { Method } from '../scenarios/scenario.js';

/** Below it a loop is faster than the call of a builtin. */
const loopBytes = 256;
/** What in-place-sparse writes. */
const sparseLanes = 4;

/** bench/floor/channel.c has the same. */
const pattern = (lane: number) => Math.imul(lane, 0x9e3779b1);

const patternLanes = (bytes: number) => Int32Array.from({ length: bytes / 4 }, (_, lane) => pattern(lane));

export interface Producer {
  /** Makes message `number` at `lanes[at]`, in place. */
  fill(lanes: Int32Array, at: number, number: number): void;
  /** Message `number` in a buffer that is used again for the next one. */
  source(number: number): Buffer;
  /** Message `number` in a buffer that nothing else uses. */
  fresh(number: number): Buffer;
  /** Whether all but the first lane is the same in each message, so that it may be sent from where it lies. */
  readonly constant: boolean;
}

/** Messages of 64 bytes have a loop's worth of code of their own, as the C floor has by its compiler. */
const unrolledLanes = 16;

function fill16(to: Int32Array, at: number, number: number): void {
  to[at] = number;
  to[at + 1] = number + 1;
  to[at + 2] = number + 2;
  to[at + 3] = number + 3;
  to[at + 4] = number + 4;
  to[at + 5] = number + 5;
  to[at + 6] = number + 6;
  to[at + 7] = number + 7;
  to[at + 8] = number + 8;
  to[at + 9] = number + 9;
  to[at + 10] = number + 10;
  to[at + 11] = number + 11;
  to[at + 12] = number + 12;
  to[at + 13] = number + 13;
  to[at + 14] = number + 14;
  to[at + 15] = number + 15;
}

function copy16(to: Int32Array, toAt: number, from: Int32Array, at: number): void {
  to[toAt] = from[at] as number;
  to[toAt + 1] = from[at + 1] as number;
  to[toAt + 2] = from[at + 2] as number;
  to[toAt + 3] = from[at + 3] as number;
  to[toAt + 4] = from[at + 4] as number;
  to[toAt + 5] = from[at + 5] as number;
  to[toAt + 6] = from[at + 6] as number;
  to[toAt + 7] = from[at + 7] as number;
  to[toAt + 8] = from[at + 8] as number;
  to[toAt + 9] = from[at + 9] as number;
  to[toAt + 10] = from[at + 10] as number;
  to[toAt + 11] = from[at + 11] as number;
  to[toAt + 12] = from[at + 12] as number;
  to[toAt + 13] = from[at + 13] as number;
  to[toAt + 14] = from[at + 14] as number;
  to[toAt + 15] = from[at + 15] as number;
}

function sum4(of: Int32Array, at: number): number {
  const low = ((of[at] as number) + (of[at + 1] as number)) | 0;
  return (low + (((of[at + 2] as number) + (of[at + 3] as number)) | 0)) | 0;
}

function sum16(of: Int32Array, at: number): number {
  const low = (sum4(of, at) + sum4(of, at + 4)) | 0;
  return (low + ((sum4(of, at + 8) + sum4(of, at + 12)) | 0)) | 0;
}

abstract class Filling implements Producer {
  abstract readonly constant: boolean;
  readonly own: Int32Array;
  readonly #bytes: Buffer;
  #pool: Int32Array | undefined;

  constructor(own: Int32Array) {
    this.own = own;
    this.#bytes = Buffer.from(own.buffer as ArrayBuffer);
  }

  abstract fill(lanes: Int32Array, at: number, number: number): void;
  protected abstract refresh(number: number): void;

  source(number: number): Buffer {
    this.refresh(number);
    return this.#bytes;
  }

  fresh(number: number): Buffer {
    const message = Buffer.allocUnsafe(this.#bytes.length);
    // Small ones share a pool of some kilobytes, in which each begins at a multiple of 8.
    if (this.#pool?.buffer !== message.buffer) this.#pool = new Int32Array(message.buffer);
    this.fill(this.#pool as Int32Array, message.byteOffset >> 2, number);
    return message;
  }
}

class AllBytes extends Filling {
  readonly constant = false;
  readonly #lanes: number;

  constructor(bytes: number) {
    super(new Int32Array(bytes / 4));
    this.#lanes = bytes / 4;
  }

  fill(lanes: Int32Array, at: number, number: number): void {
    const count = this.#lanes;
    if (count === unrolledLanes) fill16(lanes, at, number);
    else for (let lane = 0; lane < count; lane++) lanes[at + lane] = number + lane;
  }

  protected refresh(number: number): void {
    this.fill(this.own, 0, number);
  }
}

class Sparse extends Filling {
  readonly constant = false;

  constructor(bytes: number) {
    super(new Int32Array(bytes / 4));
  }

  fill(lanes: Int32Array, at: number, number: number): void {
    for (let lane = 0; lane < sparseLanes; lane++) lanes[at + lane] = number + lane;
  }

  protected refresh(number: number): void {
    this.fill(this.own, 0, number);
  }
}

/** Sends data that lies there already. */
class Prepared extends Filling {
  readonly constant = true;
  readonly #small: boolean;

  constructor(bytes: number) {
    super(patternLanes(bytes));
    this.#small = bytes < loopBytes;
  }

  fill(lanes: Int32Array, at: number, number: number): void {
    const own = this.own;
    own[0] = number;
    if (own.length === unrolledLanes) copy16(lanes, at, own, 0);
    else if (this.#small)
      for (let lane = 0; lane < own.length; lane++) lanes[at + lane] = own[lane] as number;
    else lanes.set(own, at);
  }

  protected refresh(number: number): void {
    this.own[0] = number;
  }
}

export function producerOf(method: Method, bytes: number): Producer {
  if (method === 'in-place') return new AllBytes(bytes);
  return method === 'in-place-sparse' ? new Sparse(bytes) : new Prepared(bytes);
}

/** What arrives. */
export abstract class Consumer {
  protected number = 0;
  #count = 0;

  /** Expects `count` messages, from number 0 on. */
  begin(count: number): void {
    this.number = 0;
    this.#count = count;
  }

  /** A message that lies at `lanes[at]` for now. */
  abstract take(lanes: Int32Array, at: number): void;
  /** A message that is the receiver's own. */
  abstract takeOwned(bytes: Uint8Array): void;
  /** Whether all have come. */
  get done(): boolean {
    return this.number === this.#count;
  }

  /** Throws when what came is not what was sent. */
  finish(): void {
    if (!this.done) throw new Error(`${this.number} messages came, and not ${this.#count}`);
  }

  protected check(number: number): void {
    if (number !== this.number) throw new Error(`message ${this.number} came out of order, as ${number}`);
    this.number++;
  }
}

const firstLane = (bytes: Uint8Array) =>
  (bytes[0] as number) |
  ((bytes[1] as number) << 8) |
  ((bytes[2] as number) << 16) |
  ((bytes[3] as number) << 24);

class ReadAll extends Consumer {
  readonly #lanes: number;
  #sum = 0;

  constructor(bytes: number) {
    super();
    this.#lanes = bytes / 4;
  }

  override begin(count: number): void {
    super.begin(count);
    this.#sum = 0;
  }

  take(lanes: Int32Array, at: number): void {
    const end = at + this.#lanes;
    let sum = this.#sum;
    if (this.#lanes === unrolledLanes) sum = (sum + sum16(lanes, at)) | 0;
    else for (let lane = at; lane < end; lane++) sum = (sum + (lanes[lane] as number)) | 0;
    this.#sum = sum;
    this.check(lanes[at] as number);
  }

  takeOwned(bytes: Uint8Array): void {
    this.take(lanesOf(bytes), 0);
  }

  override finish(): void {
    super.finish();
    // Lane i of message k holds k + i, and sums are 32 bits wide.
    const [count, lanes] = [BigInt(this.number), BigInt(this.#lanes)];
    const expected = (lanes * count * (count - 1n)) / 2n + (count * lanes * (lanes - 1n)) / 2n;
    if (BigInt.asIntN(32, expected) !== BigInt(this.#sum)) throw new Error('the checksum is wrong');
  }
}

class ReadOne extends Consumer {
  take(lanes: Int32Array, at: number): void {
    this.check(lanes[at] as number);
  }

  takeOwned(bytes: Uint8Array): void {
    this.check(firstLane(bytes));
  }
}

const nothing = new Uint8Array(0);

/** Has each message whole, and checks the last one. */
abstract class Kept extends Consumer {
  readonly #expected: Int32Array;
  protected last: Uint8Array = nothing;

  constructor(bytes: number) {
    super();
    this.#expected = patternLanes(bytes);
  }

  takeOwned(bytes: Uint8Array): void {
    this.last = bytes;
    this.check(firstLane(bytes));
  }

  override finish(): void {
    super.finish();
    checkPattern(this.last, this.#expected);
  }
}

/** Copies what it may not keep into memory that is used again. */
class CopyOut extends Kept {
  readonly #own: Int32Array;

  constructor(bytes: number) {
    super(bytes);
    this.#own = new Int32Array(bytes / 4);
    this.last = new Uint8Array(this.#own.buffer);
  }

  take(lanes: Int32Array, at: number): void {
    const own = this.#own;
    const count = own.length;
    if (count === unrolledLanes) copy16(own, 0, lanes, at);
    else if (count < loopBytes / 4)
      for (let lane = 0; lane < count; lane++) own[lane] = lanes[at + lane] as number;
    else own.set(lanes.subarray(at, at + count));
    this.check(own[0] as number);
  }
}

/** Looks at each message where it lies, and keeps none. */
class Look extends Kept {
  readonly #bytes: number;
  #lanes = lanesOf(nothing);
  #at = 0;

  constructor(bytes: number) {
    super(bytes);
    this.#bytes = bytes;
  }

  take(lanes: Int32Array, at: number): void {
    this.#lanes = lanes;
    this.#at = at;
    this.last = nothing;
    this.check(lanes[at] as number);
  }

  override finish(): void {
    const { buffer, byteOffset } = this.#lanes;
    if (this.last === nothing) this.last = new Uint8Array(buffer, byteOffset + this.#at * 4, this.#bytes);
    super.finish();
  }
}

/** Wants each message as a Buffer that it may keep. */
class Own extends Kept {
  readonly #bytes: number;

  constructor(bytes: number) {
    super(bytes);
    this.#bytes = bytes;
  }

  take(lanes: Int32Array, at: number): void {
    const copy = Buffer.allocUnsafe(this.#bytes);
    copy.set(new Uint8Array(lanes.buffer, lanes.byteOffset + at * 4, this.#bytes));
    this.takeOwned(copy);
  }
}

function checkPattern(bytes: Uint8Array, expected: Int32Array): void {
  const lanes = lanesOf(bytes);
  const damaged =
    lanes.length !== expected.length || expected.some((lane, at) => at > 0 && lane !== lanes[at]);
  if (damaged) throw new Error('what was copied is damaged');
}

/** The int32 of a message; of a copy where it does not lie at a multiple of 4. */
export function lanesOf(bytes: Uint8Array): Int32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return new Int32Array(aligned.buffer, aligned.byteOffset, bytes.length >> 2);
}

export function consumerOf(method: Method, bytes: number): Consumer {
  if (method === 'in-place') return new ReadAll(bytes);
  if (method === 'in-place-sparse') return new ReadOne();
  return method === 'copy' ? new CopyOut(bytes) : new Own(bytes);
}

/** What the system has copied already: sent as for `copy`, and looked at where it landed. */
export function systemWork(bytes: number): { producer: Producer; consumer: Consumer } {
  return { producer: new Prepared(bytes), consumer: new Look(bytes) };
}
