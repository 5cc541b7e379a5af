/** What an acquire gives: the right to one of what a semaphore counts, until it is given back. */

export class Permit {
  #semaphore: { release(): void } | undefined;

  /** @internal Use the methods of `Semaphore`. */
  constructor(semaphore: { release(): void }) {
    this.#semaphore = semaphore;
  }

  /** Whether it was given back. */
  get released(): boolean {
    return this.#semaphore === undefined;
  }

  /** Gives it back, once; again does nothing. Throws as `release` of the semaphore. */
  release(): void {
    const semaphore = this.#semaphore;
    this.#semaphore = undefined;
    semaphore?.release();
  }

  /** `using permit = await semaphore.acquire()` */
  [Symbol.dispose](): void {
    this.release();
  }
}
