/** Ends a run that spins for ever because the other side is gone: a look at the clock now and then. */
const looksPerCheck = 1 << 20;
const patienceMs = 60_000;

export class Patience {
  #looks = 0;
  #start = 0;

  /** At the start of a run. */
  start(): void {
    this.#start = performance.now();
  }

  /** For each look in vain. */
  look(): void {
    if ((++this.#looks & (looksPerCheck - 1)) !== 0) return;
    if (performance.now() - this.#start > patienceMs) throw new Error('the run takes too long');
  }
}
