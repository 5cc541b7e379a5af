/** The sides of those who take locks, in calls that block the thread or are awaited. */
import type { LockCalls } from '../scenarios/scenario.js';
import type { LockMemory } from '../support/lock-memory.js';
import type { Side, Task } from './contender.js';

/** A lock that this party has. */
export interface Held {
  unlock(): void;
}

/** How a party takes locks, by their place. */
export type Calls = { waits: 'blocking'; lock(place: number): Held } | Awaited;

interface Awaited {
  waits: 'awaiting';
  lock(place: number): Promise<Held>;
}

const privateRounds = 32;

/** Nanoseconds of CLOCK_MONOTONIC. */
const now = (): number => Number(process.hrtime.bigint());

export function locking(task: Task, shape: LockCalls, memory: LockMemory, calls: Calls): Side {
  switch (shape.work) {
    case 'pair':
      return { run: pairs(calls) };
    case 'contended':
      return new Contest(task, memory).side(calls);
    case 'hand-over':
      return new Ring(task, shape, memory).side(calls);
  }
}

// Each loop is there twice: in an async function the same is several times as slow, also where nothing is awaited.

function pairs(calls: Calls): Side['run'] {
  if (calls.waits === 'blocking') {
    return (count) => {
      for (let number = 0; number < count; number++) calls.lock(0).unlock();
    };
  }
  return async (count) => {
    for (let number = 0; number < count; number++) (await calls.lock(0)).unlock();
  };
}

/** One party of those that take the lock as often as they can. */
class Contest {
  readonly #task: Task;
  readonly #memory: LockMemory;
  #share = 0;
  #word = 0;

  constructor(task: Task, memory: LockMemory) {
    this.#task = task;
    this.#memory = memory;
  }

  side(calls: Calls): Side {
    return {
      prepare: () => {
        if (this.#task.role === 'lead') this.#memory.clear();
        this.#share = 0;
        this.#memory.comeTogether();
      },
      run: calls.waits === 'blocking' ? this.#blocking(calls.lock) : this.#awaiting(calls.lock),
      share: () => this.#share,
    };
  }

  #blocking(lock: (place: number) => Held): Side['run'] {
    return (count) => {
      for (let over = false; !over; this.#workAlone()) {
        const held = lock(0);
        over = this.#useLock(count);
        held.unlock();
      }
    };
  }

  #awaiting(lock: Awaited['lock']): Side['run'] {
    return async (count) => {
      for (let over = false; !over; this.#workAlone()) {
        const held = await lock(0);
        over = this.#useLock(count);
        held.unlock();
      }
    };
  }

  /** Returns whether all parties together have taken it `count` times. */
  #useLock(count: number): boolean {
    if (this.#memory.taken >= count) return true;
    this.#memory.touch();
    this.#share++;
    return false;
  }

  #workAlone(): void {
    let word = this.#word;
    for (let round = 0; round < privateRounds; round++) word = (Math.imul(word, 1664525) + 1013904223) | 0;
    this.#word = word;
  }
}

/** One party on the ring: see scenarios/lock.ts. */
class Ring {
  readonly #parties: number;
  readonly #index: number;
  readonly #heldNs: number;
  readonly #memory: LockMemory;
  /** Nanoseconds of each hand-over to it that it had been waiting for. */
  readonly #latencies: Float64Array;
  #timed = 0;
  /** Which lock it has, and which one it waits for. */
  #place = 0;
  #next = 0;
  #held: Held | undefined;

  constructor({ index, most }: Task, { parties, heldUs }: LockCalls, memory: LockMemory) {
    this.#parties = parties;
    this.#index = index;
    this.#heldNs = heldUs * 1000;
    this.#memory = memory;
    this.#latencies = new Float64Array(Math.ceil(most / parties));
  }

  side(calls: Calls): Side {
    return {
      prepare: async () => {
        this.#timed = 0;
        this.#moveTo(this.#index);
        this.#held = await calls.lock(this.#place);
        this.#memory.comeTogether();
      },
      run: calls.waits === 'blocking' ? this.#blocking(calls.lock) : this.#awaiting(calls.lock),
      latencies: () => Array.from(this.#latencies.subarray(0, this.#timed)),
    };
  }

  #blocking(lock: (place: number) => Held): Side['run'] {
    return (count) => {
      for (let number = 0; number < count; number += this.#parties) {
        const asked = now();
        this.#step(lock(this.#next), asked, now());
      }
      this.#held?.unlock();
    };
  }

  #awaiting(lock: Awaited['lock']): Side['run'] {
    return async (count) => {
      for (let number = 0; number < count; number += this.#parties) {
        const asked = now();
        this.#step(await lock(this.#next), asked, now());
      }
      this.#held?.unlock();
    };
  }

  /** It has asked for the next lock, and got it: it lets go of the one it had. */
  #step(next: Held, asked: number, got: number): void {
    const began = this.#memory.handedOver(this.#next);
    if (began > asked) this.#latencies[this.#timed++] = got - began;
    const held = this.#heldNs;
    while (held > 0 && now() - got < held);
    const left = this.#held;
    const leftPlace = this.#place;
    this.#held = next;
    this.#moveTo(this.#next);
    this.#memory.handOver(leftPlace, now());
    left?.unlock();
  }

  #moveTo(place: number): void {
    this.#place = place;
    this.#next = (place + 1) % (this.#parties + 1);
  }
}
