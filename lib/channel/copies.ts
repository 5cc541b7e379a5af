/**
 * Messages as Buffers of their own. Where several small ones lie side by side they are copied at once into one slab,
 * and each Buffer is a part of it, as those of Buffer.allocUnsafe() are of a pool.
 */
import { Buffer } from 'node:buffer';
import { markAsUntransferable } from 'node:worker_threads';
import { bufferOver, copyOut } from '../internal/bytes.js';
import type { RingReader } from './ring-reader.js';

const slabBytes = 8192; // as Buffer.poolSize
/** Longer ones have memory of their own: who keeps one would keep the slab with it. */
const smallBytes = 2048;
const none = new ArrayBuffer(0);

export class Copies {
  readonly #ring: RingReader;
  readonly #bytes: Uint8Array;
  #slab: ArrayBufferLike = none;
  /** The position in the ring of the slab's first byte. */
  #start = 0;

  /** @param bytes The ring. */
  constructor(ring: RingReader, bytes: Uint8Array) {
    this.#ring = ring;
    this.#bytes = bytes;
  }

  /** Of the message that the ring has found. */
  next(): Buffer {
    const { position, length } = this.#ring;
    const at = (position - this.#start) | 0;
    // As long as it really is: somebody may have moved its memory away, through a Buffer that has a part of it.
    if (at >= 0 && at + length <= this.#slab.byteLength) return bufferOver(this.#slab, at, length);
    return this.#begin();
  }

  /** Once messages are taken in other ways: a position comes again after 4 GiB. */
  forget(): void {
    this.#slab = none;
  }

  #begin(): Buffer {
    const { position, offset, length } = this.#ring;
    const run = length > smallBytes ? 0 : Math.min(this.#ring.run, slabBytes);
    // Another one must be there at least.
    if (run <= length + 16) {
      this.forget();
      return copyOut(this.#bytes, offset, length);
    }
    const slab = Buffer.allocUnsafeSlow(run);
    slab.set(new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + offset, run));
    markAsUntransferable(slab.buffer); // as the pool of Buffer.allocUnsafe is
    this.#slab = slab.buffer;
    this.#start = position;
    return bufferOver(this.#slab, 0, length);
  }
}
