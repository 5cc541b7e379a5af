/**
 * A lock in shared memory for many readers or one writer. A mutex word says who writes; each env that reads has a slot
 * (lock-layout.ts), once for all its reads.
 *
 *   reader   enters its slot, then looks at the word: somebody has it, so it leaves the slot again and waits
 *   writer   takes the word, so that no reader comes in any more, then waits for each slot to come free
 *
 * Both are sequentially consistent, so one of the two sees the other. From then on until it is done the writer stands in
 * `writing`: who finds that set, though nobody writes, knows that the data may be half changed.
 *
 * Writers don't starve: whoever comes after a writer has taken the word waits. Readers don't either: one that has waited for
 * long says so in the word (`starving`), and what is unlocked then is free for readers, and for writers that have slept.
 */
import { IpcError } from '../errors.js';
import { construct } from '../internal/descriptor-object.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import type { SharedRegion } from '../internal/region.js';
import { again } from '../internal/turns.js';
import { checkTimeout, type SyncWaitOptions, timedOut, type WaitOptions } from '../internal/waiting.js';
import { everybody } from '../internal/word-waits.js';
import { about, type Guarded, LockGuard, letGo } from './guard.js';
import { kindWord, otherWord, ownerMask } from './lock-layout.js';
import { aboutSite, type LockKind, LockMemory, type LockOptions, type LockSite } from './lock-memory.js';
import { comesAnew, type LockHolder, LockWord } from './lock-word.js';
import { OwnerSlots } from './owner-slots.js';
import { Reading, type RwLockParts, type Trying, Writing, waitedFor } from './rw-waits.js';
import { SharedLock } from './shared-lock.js';

const slots = { first: 4, count: 60, stride: 1 };
const bytes = 4 * (slots.first + slots.count);
const kind: LockKind = { name: 'RwLock', bytes, hasOwners: true };

/** The right to read what the lock guards, until it is unlocked. */
export class ReadGuard extends LockGuard<RwLock> {
  /**
   * Refused, always: two readers that each wait for the other to leave would wait for ever. Unlock, `write()`, and look again
   * at what was read.
   *
   * @throws `ERR_INTERPROC_DEADLOCK`.
   */
  upgrade(): never {
    throw new IpcError(
      'ERR_INTERPROC_DEADLOCK',
      'A reader can not become a writer: two that try would each wait for the other to leave. Unlock, then write(), and ' +
        'look again at what was read',
    );
  }
}

/** The right to change what the lock guards, until it is unlocked. */
export type WriteGuard = LockGuard<RwLock>;

/** A lock in shared memory for many readers or one writer. docs/locks.md */
export class RwLock extends SharedLock implements Guarded {
  /** Bytes that one takes: 256. */
  static readonly byteLength: number = bytes;
  /** So many processes and threads can read at once; one more waits until one of them leaves. */
  static readonly maxReaders: number = slots.count;

  readonly #word: LockWord;
  readonly #slots: OwnerSlots;
  readonly #words: Int32Array;
  readonly #writing: number;
  readonly #parts: RwLockParts;
  /** Reads of this env through this object. */
  #readers = 0;
  #slot = -1;
  /** Who has it alone: a writer, or a reader that found it abandoned. */
  #alone: LockGuard | undefined;

  /** @internal Use `RwLock.at`. */
  constructor(key: symbol, site: LockSite) {
    super(key, site);
    this.#word = new LockWord(site, everybody);
    this.#slots = new OwnerSlots(site, slots);
    this.#words = site.words;
    this.#writing = site.at + otherWord;
    this.#parts = {
      word: this.#word,
      slots: this.#slots,
      words: this.#words,
      writing: this.#writing,
      readAlong: () => this.#readAlong(),
      readAlone: () => this.#haveAlone(new ReadGuard(this, true)),
      writeAlone: (abandoned) => this.#haveAlone(new LockGuard<RwLock>(this, abandoned)),
    };
  }

  /** The lock in the 256 bytes at `offset` of shared memory; as zeros they are a free one. As `Mutex.at`, and throws as that. */
  static at(memory: SharedRegion, offset: number, options?: LockOptions): RwLock {
    return LockMemory.lockAt(memory, offset, kind, options, (site) => new RwLock(construct, site));
  }

  /**
   * Waits until nobody writes or has waited to write before, and reads along with others. Where a writer has died, the guard
   * has `abandoned` set and the lock alone: it may make the data whole.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `ERR_INTERPROC_NOT_RECOVERABLE`; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INTERPROC_TRUNCATED`, `ERR_INTERPROC_NO_SPACE`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  read(options?: WaitOptions): Promise<ReadGuard> {
    return this.line.run(new Reading(this.#parts), options);
  }

  /** Reads if nobody writes, or a dead one does; else gives null, also while asynchronous calls wait. Throws as `read` rejects. */
  tryRead(): ReadGuard | null {
    return this.#readAtOnce() ?? this.#try(new Reading(this.#parts));
  }

  /**
   * As `read`, blocking the calling thread. Throws `ERR_INTERPROC_DEADLOCK` where a task of this thread writes, and where
   * one reads while somebody waits to write; `ERR_INTERPROC_BUSY` while asynchronous calls wait.
   */
  readSync(options?: SyncWaitOptions): ReadGuard {
    checkTimeout(options);
    const guard = this.#readAtOnce();
    if (guard !== undefined) return guard;
    this.line.checkFree();
    if (this.#word.isOurs) throw this.#deadlock('a task of this thread writes', 'readSync');
    if (!this.#slots.hasOurs()) return this.#runSync(new Reading(this.#parts), options);
    // Whoever waits to write waits for this thread.
    const along = this.#try(new Reading(this.#parts));
    if (along === null)
      throw this.#deadlock('a task of this thread reads, which a writer waits for', 'readSync');
    return along;
  }

  /** Waits until it has the lock alone. Rejects as `read`. */
  write(options?: WaitOptions): Promise<WriteGuard> {
    return this.line.run(new Writing(this.#parts), options);
  }

  /** Writes if nobody else has the lock, or only dead ones; else gives null, also while asynchronous calls wait. */
  tryWrite(): WriteGuard | null {
    const guard = this.#writeAtOnce();
    if (guard !== undefined) return guard;
    this.line.checkOpen();
    // Not to turn readers away for nothing.
    return this.#slots.anyAlive() ? null : this.#try(new Writing(this.#parts));
  }

  /**
   * As `write`, blocking the calling thread. Throws `ERR_INTERPROC_DEADLOCK` where a task of this thread has the lock, also
   * for reading; `ERR_INTERPROC_BUSY` while asynchronous calls wait.
   */
  writeSync(options?: SyncWaitOptions): WriteGuard {
    const guard = options === undefined ? this.#writeAtOnce() : undefined;
    if (guard !== undefined) return guard;
    this.line.checkFree();
    if (this.#word.isOurs) throw this.#deadlock('a task of this thread writes', 'writeSync');
    if (this.#slots.hasOurs()) {
      throw this.#deadlock('a task of this thread reads, and a reader can not become a writer', 'writeSync');
    }
    return this.#runSync(new Writing(this.#parts), options);
  }

  /** As that of a mutex: the guard of a lock that is not recoverable. */
  tryRepair(): WriteGuard | null {
    this.line.checkOpen();
    if (!this.#word.takeRuined()) return null;
    return this.#haveAlone(new LockGuard<RwLock>(this, true));
  }

  /** Who writes now, or waits for readers to leave, as far as that is known; for display. Throws `ERR_INTERPROC_CLOSED`. */
  get writer(): LockHolder | null {
    this.line.checkOpen();
    return this.#word.holder;
  }

  /** How many processes and threads read now. Throws `ERR_INTERPROC_CLOSED`. */
  get readers(): number {
    this.line.checkOpen();
    let count = 0;
    for (let slot = 0; slot < this.#slots.count; slot++) if (this.#slots.get(slot) !== 0) count++;
    return count;
  }

  /** @internal */
  override get isHeld(): boolean {
    return this.#readers > 0 || this.#alone !== undefined;
  }

  /** @internal */
  get [about](): string {
    return aboutSite(this.site);
  }

  /** @internal */
  [letGo](guard: LockGuard, recovered: boolean): void {
    if (guard !== this.#alone) {
      if (--this.#readers === 0) this.#leave();
    } else {
      this.#alone = undefined;
      failpoint('lock.releasing');
      if (recovered) {
        Atomics.store(this.#words, this.#writing, 0);
        failpoint('rwlock.written');
        this.#word.release();
      } else {
        this.#word.ruin();
      }
    }
    if (!this.line.idle) this.line.serve();
  }

  #readAtOnce(): ReadGuard | undefined {
    // Not to stand in the way of a writer who waits for the slots, nor to be taken for a reader.
    const mayBeFree = this.line.idle && (this.#word.state & ownerMask) === 0;
    const guard = mayBeFree ? this.#readAlong() : undefined;
    return guard === again ? undefined : guard;
  }

  /** A guard if nobody has it, or ever died with it. */
  #writeAtOnce(): WriteGuard | undefined {
    if (!this.line.idle || !this.#slots.isEmpty() || !this.#word.take(comesAnew)) return undefined;
    // Now that nobody comes in any more: pairs with the reader, who looks at the word after storing his slot.
    if (this.#slots.isEmpty() && Atomics.load(this.#words, this.#writing) === 0) {
      return this.#haveAlone(new LockGuard<RwLock>(this, false));
    }
    this.#word.release();
    return undefined;
  }

  /** A guard if nobody writes; the lock being full of readers is told by undefined. */
  #readAlong(): ReadGuard | typeof again | undefined {
    if (this.#readers === 0) {
      const slot = this.#slots.claim();
      if (slot < 0) return undefined;
      this.#slot = slot;
      failpoint('rwlock.entered');
    }
    // After the slot was stored: pairs with the writer, who looks at the slots after taking the word.
    // One that is not recoverable has an owner here: what is wrong is said once the slot is left.
    const isFree = (this.#word.state & ownerMask) === 0 && Atomics.load(this.#words, this.#writing) === 0;
    // The zeros of a hole look like a free lock.
    if (isFree && this.#words[this.site.at + kindWord] === this.site.kindValue) {
      this.#readers++;
      failpoint('rwlock.reading');
      return new ReadGuard(this, false);
    }
    if (this.#readers === 0) this.#leave();
    if (isFree) LockMemory.checkThere(this.site);
    return again;
  }

  #leave(): void {
    failpoint('rwlock.leaving');
    const there = this.#slots.leave(this.#slot);
    failpoint('rwlock.left');
    if ((there & waitedFor) !== 0) {
      native.futexWake(this.site.mapping, this.#slots.wordOf(this.#slot) * 4, everybody);
    }
    this.#word.endTurn();
    if ((there & ownerMask) !== this.site.id) LockMemory.checkThere(this.site);
  }

  #haveAlone<G extends LockGuard<RwLock>>(guard: G): G {
    Atomics.store(this.#words, this.#writing, this.site.id);
    failpoint('rwlock.writing');
    this.#alone = guard;
    return guard;
  }

  #try<G>(waiting: Trying<G>): G | null {
    this.line.checkOpen();
    if (!this.line.idle) return null;
    let guard = waiting.attempt();
    while (guard === again && waiting.lookAtOnce()) guard = waiting.attempt();
    if (guard !== again) return guard;
    waiting.giveUp?.();
    return null;
  }

  #runSync<G>(waiting: Trying<G>, options: SyncWaitOptions | undefined): G {
    if (checkTimeout(options) > 0) return this.line.runSync(waiting, options);
    const guard = this.#try(waiting);
    if (guard === null) throw timedOut(waiting.call);
    return guard;
  }

  #deadlock(who: string, call: string): IpcError {
    return new IpcError(
      'ERR_INTERPROC_DEADLOCK',
      `${aboutSite(this.site)}: ${who}, and could not unlock while ${call}() waits`,
    );
  }
}
