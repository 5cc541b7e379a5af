/** Messages on a stream of bytes: a length of four bytes before each, or nothing where all know how long they are. */
import type { Buffer } from 'node:buffer';
import type { Writable } from 'node:stream';
import { lanesOf } from '../support/work.js';

export const headBytes = 4;

/** Messages out of the chunks of a stream. */
export interface Framing {
  /** Bytes of the length before each message. */
  head: typeof headBytes | 0;
  /** Bytes of each message. */
  bytes: number;
}

export class FrameReader {
  /** One that was cut. */
  readonly #cut: Int32Array;
  readonly #cutBytes: Uint8Array;
  /** How much of it is there, its length included. */
  #have = 0;
  readonly #head: number;
  readonly #bytes: number;
  readonly #take: (lanes: Int32Array, at: number) => void;

  constructor({ head, bytes }: Framing, take: (lanes: Int32Array, at: number) => void) {
    this.#head = head;
    this.#bytes = bytes;
    this.#cut = new Int32Array((head + bytes) / 4);
    this.#cutBytes = new Uint8Array(this.#cut.buffer);
    this.#take = take;
  }

  /** `lanes` shows the memory of `chunk`, whose bytes begin at a multiple of 4. */
  read(chunk: Uint8Array, lanes: Int32Array): void {
    const frame = this.#head + this.#bytes;
    let at = 0;
    if (this.#have > 0) {
      const missing = Math.min(frame - this.#have, chunk.length);
      this.#cutBytes.set(chunk.subarray(0, missing), this.#have);
      this.#have += missing;
      if (this.#have < frame) return;
      at = missing;
      this.#have = 0;
      this.#frame(this.#cut, 0);
    }
    for (; chunk.length - at >= frame; at += frame) {
      if ((at & 3) === 0) {
        this.#frame(lanes, at >> 2);
      } else {
        this.#cutBytes.set(chunk.subarray(at, at + frame));
        this.#frame(this.#cut, 0);
      }
    }
    if (at < chunk.length) {
      this.#cutBytes.set(chunk.subarray(at));
      this.#have = chunk.length - at;
    }
  }

  #frame(lanes: Int32Array, at: number): void {
    if (this.#head > 0 && lanes[at] !== this.#bytes)
      throw new Error(`a frame of ${lanes[at]} bytes, and not ${this.#bytes}`);
    this.#take(lanes, at + (this.#head >> 2));
  }
}

/** A buffer of one write. */
export interface Batch {
  bytes: Buffer;
  lanes: Int32Array;
}

/** At most so many may be out before the event loop gets its turn. */
const mostOut = 16;

/** Writes of whole batches, from buffers that come back when the system has taken what they hold. */
export class Batches {
  readonly #stream: Writable;
  readonly #free: Batch[] = [];
  #all = 0;
  readonly #make: () => Buffer;
  #wake: (() => void) | undefined;

  constructor(stream: Writable, make: () => Buffer) {
    this.#stream = stream;
    this.#make = make;
    stream.on('drain', () => this.#wake?.());
  }

  get(): Batch {
    const batch = this.#free.pop();
    if (batch !== undefined) return batch;
    this.#all++;
    const bytes = this.#make();
    return { bytes, lanes: lanesOf(bytes) };
  }

  /** Resolves when more may be written; undefined: at once. */
  write(batch: Batch, length: number): Promise<void> | undefined {
    const goesOn = this.#stream.write(batch.bytes.subarray(0, length), () => this.#free.push(batch));
    if (!goesOn) return this.drained();
    // What was written is told of between two turns: so many are out, or told of soon.
    if (this.#all - this.#free.length >= mostOut) return new Promise((resolve) => process.nextTick(resolve));
    return undefined;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
