/** Looking awake for what another process does, before sleeping until it does: a sleep and a wake-up cost more. */

/** Milliseconds that an async wait polls; each poll costs a turn of the event loop. */
export const pollMs = 0.05;

/** Whether to look for the peer's doing awake before sleeping: worth it while that is mostly to good purpose. */
export class Patience {
  static readonly #triedAnyway = 32;
  readonly #most: number;
  #left: number;
  #waits = 0;

  /** `most`: after so many times in vain it is not worth it any more. */
  constructor(most = 8) {
    this.#most = most;
    this.#left = most;
  }

  get worthwhile(): boolean {
    return this.#left > 0 || ++this.#waits % Patience.#triedAnyway === 0;
  }

  tell(found: boolean): void {
    this.#left = found ? this.#most : Math.max(0, this.#left - 1);
  }
}
