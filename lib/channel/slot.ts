/**
 * A claimed piece of the ring that the sender writes its message into, in place. One object for all claims of a
 * sender: what it shows is the claim that is open.
 */
export interface SlotOwner {
  /** @internal */
  [commitSlot](length: number): void;
  /** @internal */
  [abortSlot](): void;
}

export const commitSlot: unique symbol = Symbol('commitSlot');
export const abortSlot: unique symbol = Symbol('abortSlot');

export class Slot {
  readonly #owner: SlotOwner;
  /** The whole ring; the claim is `length` bytes of it from `byteOffset` on. Write nowhere else. */
  readonly bytes: Uint8Array;
  /** The ring as int32; the claim begins at `int32Offset`. */
  readonly int32: Int32Array;
  /** The ring as float64; the claim begins at `float64Offset`: claims are aligned to 8 bytes. */
  readonly float64: Float64Array;
  byteOffset = 0;
  int32Offset = 0;
  float64Offset = 0;
  /** Bytes that were claimed. */
  length = 0;

  /** @internal */
  constructor(owner: SlotOwner, bytes: Uint8Array) {
    this.#owner = owner;
    this.bytes = bytes;
    this.int32 = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    this.float64 = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  }

  /** @internal Shows the claim of `length` bytes at `offset`. */
  show(offset: number, length: number): void {
    this.byteOffset = offset;
    this.int32Offset = offset >> 2;
    this.float64Offset = offset >> 3;
    this.length = length;
  }

  /**
   * Makes a message of the claim, or of its first `length` bytes; it is accepted then, as by `trySend`. Throws
   * `ERR_INTERPROC_NOT_CLAIMED` when no claim is open, `ERR_OUT_OF_RANGE`, `ERR_INTERPROC_CLOSED`.
   */
  commit(length: number = this.length): void {
    this.#owner[commitSlot](length);
  }

  /** Gives the claim back: no message comes of it. Throws `ERR_INTERPROC_NOT_CLAIMED` when none is open. */
  abort(): void {
    this.#owner[abortSlot]();
  }
}
