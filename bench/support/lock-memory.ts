/**
 * The memory that the parties of a lock share; bench/floor/locks.c has the same. Lines of 128 bytes: who is there, the
 * words that the lock guards, and then each lock, with the time at which it was handed over.
 */
const lineBytes = 128;
const guardedAt = lineBytes / 4;
const guardedWords = 4;
const mostParties = 4;
const handedOverOffset = 64;
const lookMs = 0.05;

/** Before it: how many have come; the guarded words; a lock for each party, and the one that is free. */
export const lockMemoryBytes: number = lineBytes * (2 + mostParties + 1);

/** Where lock `index` is. */
export const lockOffset = (index: number): number => lineBytes * (2 + index);

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** One party's view of it. */
export class LockMemory {
  readonly words: Int32Array;
  readonly #times: Float64Array;
  readonly #parties: number;
  #runs = 0;

  constructor(buffer: ArrayBuffer | SharedArrayBuffer, parties: number) {
    this.words = new Int32Array(buffer);
    this.#times = new Float64Array(buffer);
    this.#parties = parties;
  }

  /** Returns when all parties are here, as often as they have been before. */
  comeTogether(): void {
    const all = ++this.#runs * this.#parties;
    Atomics.add(this.words, 0, 1);
    while (Atomics.load(this.words, 0) < all) Atomics.wait(nobodyWakes, 0, 0, lookMs);
  }

  /** How often the lock has been taken. REQUIRES that it is held. */
  get taken(): number {
    return this.words[guardedAt] as number;
  }

  /** REQUIRES that the lock is held. */
  touch(): void {
    const { words } = this;
    const before = words[guardedAt] as number;
    for (let word = guardedAt; word < guardedAt + guardedWords; word++) {
      if (words[word] !== before) throw new Error('two sides have held the lock');
      words[word] = before + 1;
    }
  }

  /** REQUIRES that nobody takes the lock. */
  clear(): void {
    this.words.fill(0, guardedAt, guardedAt + guardedWords);
  }

  /** Nanoseconds at which a lock was handed over last. */
  handedOver(lock: number): number {
    return this.#times[(lockOffset(lock) + handedOverOffset) / 8] as number;
  }

  handOver(lock: number, time: number): void {
    this.#times[(lockOffset(lock) + handedOverOffset) / 8] = time;
  }
}
