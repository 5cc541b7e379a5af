/**
 * Looks for room that the kernel does not tell of. A datagram socket becomes writable only while less than a quarter of its
 * buffer is unread, at any receiver; until then nothing is told of room at the one that is waited for (unix_dgram_poll).
 */
import type { Turns } from '../internal/turns.js';

const lookMs = 25;

export class LateLooks {
  readonly #turns: Turns;
  #timer: NodeJS.Timeout | undefined;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** While calls wait. What keeps the process alive is their waiting. */
  start(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#turns.serve();
      if (!this.#turns.idle) this.start();
    }, lookMs).unref();
  }
}
