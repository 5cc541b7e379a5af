/**
 * A claimed piece of the ring that the sender writes its message into, in place. One object for all claims of a
 * sender: what it shows is the claim that is open.
 */
import { RecordView } from './record-view.js';
import { type RingWriter, unclaimed } from './ring-writer.js';

/** The sender, as its slot knows it. */
export interface SlotOwner {
  /** How many bytes a commit of `length` makes a message of. Throws what is wrong with it. */
  [checkCommit](length: number | undefined): number;
  /** After a claim was committed or aborted: others may have waited for it. */
  [afterClaim](): void;
}

export const checkCommit: unique symbol = Symbol('checkCommit');
export const afterClaim: unique symbol = Symbol('afterClaim');

/**
 * A claimed piece of the ring, into which the sender writes its message in place; the same object for all claims of a
 * sender.
 */
export class Slot extends RecordView {
  readonly #owner: SlotOwner;
  readonly #ring: RingWriter;

  /** @internal */
  constructor(owner: SlotOwner, ring: RingWriter, bytes: Uint8Array) {
    super(bytes);
    this.#owner = owner;
    this.#ring = ring;
  }

  /**
   * Makes a message of the claim, or of its first `length` bytes; it is accepted then, as by `trySend`. Throws
   * `ERR_INTERPROC_NOT_CLAIMED` when no claim is open, `ERR_OUT_OF_RANGE`, `ERR_INTERPROC_CLOSED`.
   */
  commit(length?: number): void {
    const ring = this.#ring;
    let size = ring.claimed;
    if (size < 0 || length !== undefined) size = this.#owner[checkCommit](length);
    ring.accept(size);
    if (ring.queued) this.#owner[afterClaim]();
  }

  /** Gives the claim back: no message comes of it. Throws `ERR_INTERPROC_NOT_CLAIMED` when none is open. */
  abort(): void {
    this.#owner[checkCommit](undefined);
    this.#ring.claimed = unclaimed;
    this.#owner[afterClaim]();
  }
}
