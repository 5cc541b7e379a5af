/** Ends a loop that spins for ever because the other side is gone: a look at the clock now and then. */
const looksPerCheck = 1 << 20;
const patienceMs = 60_000;

export class Patience {
  #looks = 0;
  #since = 0;

  look(): void {
    if ((++this.#looks & (looksPerCheck - 1)) !== 0) return;
    const now = performance.now();
    if (this.#since === 0) this.#since = now;
    if (now - this.#since > patienceMs) throw new Error('the other side is not heard of any more');
  }

  /** It was. */
  heard(): void {
    this.#looks = 0;
    this.#since = 0;
  }
}
