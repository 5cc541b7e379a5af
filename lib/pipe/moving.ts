/** Bytes that the kernel moves on a thread of ours, between a pipe and something else, as one call of an end's turns. */
import { BackgroundCall } from '../internal/background-call.js';
import { withBytesWritten } from '../internal/bytes-written.js';
import { again, type Work } from '../internal/turns.js';

export interface Move {
  /** At most so many bytes. */
  length: number;
  /** Starts it, under an id. It gives how many it moved. */
  start(id: number): void;
  /** There is a result. */
  over?(): void;
  /** It ended half-way. */
  tear?(): void;
  kept: boolean;
}

export class Moving {
  readonly #move: Move;
  #call: BackgroundCall<number> | undefined;
  #moved = 0;
  readonly work: Work<number> = { step: () => this.#step(), giveUp: () => this.#giveUp() };

  constructor(move: Move) {
    this.#move = move;
  }

  keep(kept: boolean): void {
    this.#move.kept = kept;
    this.#call?.keep(kept);
  }

  /** Blocks until it is over, at most so long. */
  sleep(nanoseconds: number): void {
    this.#call?.sleep(nanoseconds);
  }

  /** The error, which tells how far it came. */
  failed(error: unknown): unknown {
    return withBytesWritten(error, this.#moved);
  }

  #step(): number | typeof again {
    const { length, start, over, kept } = this.#move;
    if (length === 0) return 0;
    if (this.#call === undefined) {
      this.#call = new BackgroundCall(start, over ?? (() => {}));
      this.#call.keep(kept);
    }
    const { result } = this.#call;
    return result === undefined ? again : result.value;
  }

  #giveUp(): boolean {
    if (this.#call === undefined) return true;
    this.#call.cancel();
    try {
      // It had come to its end, by itself, before that.
      if (this.#call.result !== undefined) return false;
    } catch (error) {
      this.#moved = (error as { bytesWritten?: number }).bytesWritten ?? 0;
    }
    if (this.#moved > 0) this.#move.tear?.();
    return true;
  }
}
