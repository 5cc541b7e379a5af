/** Looking awake for what another process does, before sleeping until it does: a sleep and a wake-up cost more. */

/** Milliseconds that an async wait polls; each poll costs a turn of the event loop. */
export const pollMs = 0.05;

/** Whether to look for the peer's doing awake before sleeping: worth it while that is mostly to good purpose. */
export class Patience {
  static readonly #most = 8;
  static readonly #triedAnyway = 32;
  #left = Patience.#most;
  #waits = 0;

  get worthwhile(): boolean {
    return this.#left > 0 || ++this.#waits % Patience.#triedAnyway === 0;
  }

  tell(found: boolean): void {
    this.#left = found ? Patience.#most : Math.max(0, this.#left - 1);
  }
}
