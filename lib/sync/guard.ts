/**
 * What a lock gives: the right to it, until it is unlocked. Ownership is the guard's, not the process's: tasks of one
 * process contend like others.
 */
import { IpcError } from '../errors.js';

/** The lock, as its guards know it. */
export interface Guarded {
  /** How errors name it. */
  readonly [about]: string;
  /** `recovered`: false where its data may be half changed. */
  [letGo](guard: LockGuard, recovered: boolean): void;
}

export const about: unique symbol = Symbol('about');
export const letGo: unique symbol = Symbol('letGo');
export const lockOf: unique symbol = Symbol('lockOf');
/** Of a guard whose lock is taken again. */
export const takenAgain: unique symbol = Symbol('takenAgain');

export function notHeld(what: string): IpcError {
  return new IpcError('ERR_INTERPROC_NOT_HELD', `${what} is not held by this guard: it was unlocked`);
}

/** Bits of what a guard is. */
const isHeld = 1;
const isAbandoned = 2;
const needsRecovery = 4;
const ofDead = isHeld | isAbandoned | needsRecovery;

/** Of a lock of that kind. One class for all: to construct one of a derived class costs half as much as the lock itself. */
export class LockGuard<Lock extends Guarded = Guarded> {
  readonly #lock: Lock;
  #state: number;

  /** @internal Use the methods of the lock. */
  constructor(lock: Lock, abandoned: boolean) {
    this.#lock = lock;
    this.#state = abandoned ? ofDead : isHeld;
  }

  /**
   * Whether the one who had the lock before died with it: what it guards may be half changed. Make it whole, and say so with
   * `recovered()`.
   */
  get abandoned(): boolean {
    return (this.#state & isAbandoned) !== 0;
  }

  /** Whether it was unlocked. */
  get released(): boolean {
    return (this.#state & isHeld) === 0;
  }

  /**
   * What the lock guards is whole again. Without this an abandoned lock is not recoverable any more once it is unlocked, for
   * all. Of one that is not abandoned it does nothing. Throws `ERR_INTERPROC_NOT_HELD`.
   */
  recovered(): void {
    if (this.released) throw notHeld(this.#lock[about]);
    this.#state &= ~needsRecovery;
  }

  /** Unlocks, once. Throws `ERR_INTERPROC_NOT_HELD` after that; `ERR_INTERPROC_TRUNCATED`, `ERR_INTERPROC_CORRUPT`. */
  unlock(): void {
    const state = this.#state;
    const lock = this.#lock;
    if ((state & isHeld) === 0) throw notHeld(lock[about]);
    this.#state = state & ~isHeld;
    lock[letGo](this, (state & needsRecovery) === 0);
  }

  /** As `unlock`; once it was unlocked it does nothing. `using held = await mutex.lock()` */
  [Symbol.dispose](): void {
    if (!this.released) this.unlock();
  }

  /** @internal */
  [takenAgain](abandoned: boolean): void {
    this.#state = abandoned ? ofDead : isHeld;
  }

  /** @internal */
  get [lockOf](): Lock {
    return this.#lock;
  }
}
