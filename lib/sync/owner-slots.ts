/**
 * Slots of a lock that each name one owner: who reads, who waits, who takes part. A bare count could not give back what a
 * dead one had.
 */
import { ownerMask } from './lock-layout.js';
import { LockMemory, type LockSite } from './lock-memory.js';

export interface SlotsLayout {
  /** The word of the first one, from the start of the lock. */
  first: number;
  count: number;
  /** Words from one to the next. */
  stride: number;
}

const privateWord = new Int32Array(1);

/** On arm64 an acquiring load is not passed by what follows it, and does not pass a releasing store. */
export function fullFence(): void {
  Atomics.store(privateWord, 0, 0);
  Atomics.load(privateWord, 0);
}

export class OwnerSlots {
  readonly count: number;
  readonly #site: LockSite;
  readonly #first: number;
  readonly #stride: number;
  /** Where the last one was found. */
  #hint = 0;

  constructor(site: LockSite, { first, count, stride }: SlotsLayout) {
    this.#site = site;
    this.#first = site.at + first;
    this.#stride = stride;
    this.count = count;
  }

  /** The index of a slot's word among those of the piece. */
  wordOf(slot: number): number {
    return this.#first + slot * this.#stride;
  }

  /** What the word of a slot says: an owner id, with what bits the kind of lock adds; 0 for a free one. */
  get(slot: number): number {
    return Atomics.load(this.#site.words, this.wordOf(slot));
  }

  ownerOf(slot: number): number {
    return this.get(slot) & ownerMask;
  }

  /** Enters this env in a free slot; -1 where there is none. */
  claim(): number {
    const { words, id } = this.#site;
    for (let tried = 0; tried < this.count; tried++) {
      const slot = (this.#hint + tried) % this.count;
      if (Atomics.compareExchange(words, this.wordOf(slot), 0, id) !== 0) continue;
      this.#hint = slot;
      return slot;
    }
    return -1;
  }

  /** Frees a slot of this env; gives what its word said. */
  leave(slot: number): number {
    return Atomics.exchange(this.#site.words, this.wordOf(slot), 0);
  }

  /** Whether a slot names somebody who is dead: one system call. */
  isDead(slot: number): boolean {
    const owner = this.ownerOf(slot);
    return owner !== 0 && !LockMemory.isAlive(this.#site, owner);
  }

  /**
   * Whether nobody stands in one of them. Plain loads, as so many atomic ones take longer than all else; what this env has
   * stored before comes first, by a full fence.
   */
  isEmpty(): boolean {
    fullFence();
    const { words } = this.#site;
    const stride = this.#stride;
    const end = this.#first + this.count * stride;
    for (let word = this.#first; word < end; word += stride) if (words[word] !== 0) return false;
    return true;
  }

  /** Whether one of them is free. */
  anyFree(): boolean {
    for (let slot = 0; slot < this.count; slot++) if (this.get(slot) === 0) return true;
    return false;
  }

  /** Whether this env stands in one of them. */
  hasOurs(): boolean {
    for (let slot = 0; slot < this.count; slot++) if (this.ownerOf(slot) === this.#site.id) return true;
    return false;
  }

  /** Whether somebody who lives stands in one of them. */
  anyAlive(): boolean {
    for (let slot = 0; slot < this.count; slot++) if (this.get(slot) !== 0 && !this.isDead(slot)) return true;
    return false;
  }

  /** Frees a slot if it says so still. */
  clear(slot: number, there: number): boolean {
    return Atomics.compareExchange(this.#site.words, this.wordOf(slot), there, 0) === there;
  }

  /** Frees those of the dead, of each that was found dead while `still` holds; whether there were any. */
  clearDead(still: () => boolean = () => true): boolean {
    let any = false;
    for (let slot = 0; slot < this.count; slot++) {
      const there = this.get(slot);
      if (there === 0 || LockMemory.isAlive(this.#site, there & ownerMask)) continue;
      if (still() && this.clear(slot, there)) any = true;
    }
    return any;
  }
}
