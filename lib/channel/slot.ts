/**
 * A claimed piece of the ring that the sender writes its message into, in place. One object for all claims of a
 * sender: what it shows is the claim that is open.
 */
import { RecordView } from './record-view.js';

export interface SlotOwner {
  /** @internal */
  [commitSlot](length: number | undefined): void;
  /** @internal */
  [abortSlot](): void;
}

export const commitSlot: unique symbol = Symbol('commitSlot');
export const abortSlot: unique symbol = Symbol('abortSlot');

export class Slot extends RecordView {
  readonly #owner: SlotOwner;

  /** @internal */
  constructor(owner: SlotOwner, bytes: Uint8Array) {
    super(bytes);
    this.#owner = owner;
  }

  /**
   * Makes a message of the claim, or of its first `length` bytes; it is accepted then, as by `trySend`. Throws
   * `ERR_INTERPROC_NOT_CLAIMED` when no claim is open, `ERR_OUT_OF_RANGE`, `ERR_INTERPROC_CLOSED`.
   */
  commit(length?: number): void {
    this.#owner[commitSlot](length);
  }

  /** Gives the claim back: no message comes of it. Throws `ERR_INTERPROC_NOT_CLAIMED` when none is open. */
  abort(): void {
    this.#owner[abortSlot]();
  }
}
