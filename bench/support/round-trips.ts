/** Both ends of a ping-pong: what goes there and comes back is 16 int32, number + i. */
export const pingBytes = 64;
export const lanesPerPing = pingBytes / 4;

export function fillPing(into: Int32Array, at: number, number: number): void {
  for (let lane = 0; lane < lanesPerPing; lane++) into[at + lane] = number + lane;
}

export function checkPing(from: Int32Array, at: number, number: number): void {
  for (let lane = 0; lane < lanesPerPing; lane++) {
    if (from[at + lane] !== number + lane) throw new Error(`round trip ${number} came back wrong`);
  }
}

/** The stop watch of the lead: one look at the clock a round trip. */
export class Stopwatch {
  readonly #times: Float64Array;
  #count = 0;
  #before = 0;

  constructor(most: number) {
    this.#times = new Float64Array(most);
  }

  start(): void {
    this.#count = 0;
    this.#before = performance.now();
  }

  lap(): void {
    const now = performance.now();
    this.#times[this.#count++] = now - this.#before;
    this.#before = now;
  }

  /** Nanoseconds. */
  laps(): number[] {
    return Array.from(this.#times.subarray(0, this.#count), (ms) => Math.max(1, Math.round(ms * 1e6)));
  }
}
