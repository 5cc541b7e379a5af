/**
 * POSIX semaphores (man 7 sem_overview): a number of permits that processes take and give back. Named ones, and unnamed
 * ones inside any shared mapping. They are glibc's sem_t: C programs, and all that use them, share them.
 *
 * A semaphore knows no owners: what a process held that died stays taken. Where that matters, use a mutex, or a System V
 * set with `undo`.
 */
import { constants } from 'node:os';
import { IpcError } from '../errors.js';
import { type AccessOptions, checkAccess } from '../internal/access.js';
import {
  checkInteger,
  checkObjectName,
  checkOptions,
  invalidType,
  outOfRange,
} from '../internal/arguments.js';
import { type Blocking, BlockingLine } from '../internal/blocking-lines.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { noNameLeadsTo, openOrCreate, undo, withFile } from '../internal/factories.js';
import { type NativeFile, type NativeMapping, native } from '../internal/native.js';
import { isWatchable, mappingOf, type SharedRegion } from '../internal/region.js';
import { spaceHint } from '../internal/space.js';
import { explained } from '../internal/system-error.js';
import { again } from '../internal/turns.js';
import { type SyncWaitOptions, type WaitOptions, WaitTimers } from '../internal/waiting.js';
import { listSemaphores, type SemaphoreListEntry } from './list.js';
import { Permit } from './permit.js';

export type { SharedRegion } from '../internal/region.js';

/** How a named semaphore is made; of its `mode`, `uid` and `gid`: `AccessOptions`. */
export interface SemaphoreCreateOptions extends AccessOptions {
  /** How many permits there are at first: 0 to 2,147,483,647. */
  initial: number;
}

/** How a semaphore in memory is found, or made. */
export interface SemaphoreAtOptions {
  /** Makes the semaphore anew, with so many permits (man 3 sem_init). Without it the one that is there is used. */
  initial?: number;
}

interface SemaphoreSetup {
  mapping: NativeMapping;
  /** Of a named one. */
  file?: NativeFile;
  name: string | null;
  created: boolean;
}

const longestName = 251; // NAME_MAX without "sem."
const maxValue = 0x7fff_ffff; // SEM_VALUE_MAX
const alignment = 8;
const wordBytes = 4;
/** As native.mappingFault tells it. */
const truncated = 1;

/**
 * POSIX semaphores (man 7 sem_overview): a number of permits that processes take and give back, by a name or inside
 * any shared memory. It knows no owners: what a dead process held stays taken. docs/semaphores.md
 */
export class Semaphore {
  /** The most that `value` can be. */
  static readonly maxValue: number = maxValue;

  readonly #setup: SemaphoreSetup;
  /** Undefined once it is closed. */
  #words: Int32Array | undefined;
  readonly #value: number;
  readonly #waiters: number;
  readonly #private: number;
  readonly #timers = new WaitTimers();
  readonly #line: BlockingLine;
  /** Of the threads that wait: made on demand, and never shown as a buffer, which ends with its env before they do. */
  #waitMapping: NativeMapping | undefined;
  #closing = false;

  /** @internal Use the factories. */
  constructor(key: symbol, setup: SemaphoreSetup) {
    checkConstruct(key, 'Semaphore');
    this.#setup = setup;
    this.#words = new Int32Array(native.mappingBuffer(setup.mapping, false));
    this.#value = native.posixSemWords.value / wordBytes;
    this.#waiters = native.posixSemWords.waiters / wordBytes;
    this.#private = native.posixSemWords.private / wordBytes;
    this.#line = new BlockingLine(
      {
        checkOpen: () => this.#checkOpen(),
        busyError: (why) => new IpcError('ERR_INTERPROC_BUSY', `${this.#what} is busy: ${why}`),
        path: setup.name ?? '',
        isThere: () => true,
      },
      this.#timers,
    );
  }

  /**
   * Makes a new named semaphore. It appears complete (owner, mode, value) or not at all. man 3 sem_open.
   *
   * @param name One component of at most 251 bytes; a missing leading slash is added.
   * @throws `EEXIST`; `EACCES`; `ENOSPC`; `EPERM` (chown); `ENAMETOOLONG`; `ERR_INVALID_ARG_TYPE`,
   *   `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  static create(name: string, options: SemaphoreCreateOptions): Semaphore {
    const checked = checkName(name, 'sem_open');
    const { initial, access } = checkCreate(options);
    const file = explained(
      () => native.posixSemCreate(checked, initial, ...access),
      spaceHint(native.posixSemPath(checked)),
    );
    try {
      return named(file, checked, true);
    } catch (error) {
      undo(() => native.posixSemUnlink(checked));
      throw error;
    }
  }

  /**
   * Opens an existing named semaphore. man 3 sem_open.
   *
   * @throws `ENOENT`; `EACCES`; `EINVAL`, `ENODEV` or `ELOOP` for a file that is no semaphore; and for arguments as `create`.
   */
  static open(name: string): Semaphore {
    const checked = checkName(name, 'sem_open');
    return named(native.posixSemOpen(checked), checked, false);
  }

  /**
   * Opens the semaphore, or makes it where there is none: `.created` tells which. The value, mode and owner of one that
   * exists are left as they are. Throws as `open` and `create` do.
   */
  static openOrCreate(name: string, options: SemaphoreCreateOptions): Semaphore {
    checkCreate(options);
    return openOrCreate(
      () => Semaphore.open(name),
      () => Semaphore.create(name, options),
    );
  }

  /**
   * The unnamed semaphore at `offset` of shared memory: `Semaphore.size` bytes there are its own. It maps them for itself,
   * and so works on when `memory` is closed or shows another part. man 3 sem_init.
   *
   * @param offset Bytes from the start of `memory`, a multiple of 8.
   * @throws `ERR_INTERPROC_READ_ONLY`; `ERR_INTERPROC_CLOSED`; `ERR_INTERPROC_TRUNCATED`, `ERR_INTERPROC_NO_SPACE`;
   *   `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  static at(memory: SharedRegion, offset: number, options?: SemaphoreAtOptions): Semaphore {
    const { initial } = checkOptions(options);
    const value = initial === undefined ? undefined : checkInitial(initial);
    const mapping = partOf(memory, offset);
    if (value !== undefined) native.posixSemInit(mapping, 0, value);
    const semaphore = new Semaphore(construct, { mapping, name: null, created: value !== undefined });
    try {
      semaphore.#checkFault();
      return semaphore;
    } catch (error) {
      semaphore.close();
      throw error;
    }
  }

  /** Removes the name; who has the semaphore open keeps it. man 3 sem_unlink. Throws `ENOENT`, `EACCES`, `EPERM`. */
  static unlink(name: string): void {
    native.posixSemUnlink(checkName(name, 'sem_unlink'));
  }

  /** All named semaphores (`/dev/shm/sem.*`), whoever made them. */
  static list(): SemaphoreListEntry[] {
    return listSemaphores();
  }

  /** Bytes that one takes in memory: 32, of sem_t. */
  static get size(): number {
    return native.posixSemSize;
  }

  /** With its leading slash; null for an unnamed one. */
  get name(): string | null {
    return this.#setup.name;
  }

  /** Whether the factory made it; false where it was there already. */
  get created(): boolean {
    return this.#setup.created;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#words === undefined;
  }

  /** How many permits are there now. man 3 sem_getvalue. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`. */
  get value(): number {
    const words = this.#checkOpen();
    const value = Atomics.load(words, this.#value) >>> 0;
    if (value === 0) this.#checkWhole(words);
    return value;
  }

  /** Whether the name still leads to this very semaphore; false for an unnamed one. */
  get linked(): boolean {
    this.#checkOpen();
    const { file, name } = this.#setup;
    return file !== undefined && name !== null && native.fileLinkedAt(file, native.posixSemPath(name));
  }

  /** Removes the name of this semaphore. Throws `ENOENT` where it leads elsewhere by now; `EACCES`, `EPERM`. */
  unlink(): void {
    if (!this.linked) throw noNameLeadsTo(this.#setup.name ?? '', 'sem_unlink');
    native.posixSemUnlink(this.#setup.name as string);
  }

  /**
   * Takes a permit, waiting until there is one. man 3 sem_wait, sem_timedwait.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `ERR_INTERPROC_CLOSED`; `ERR_INTERPROC_TRUNCATED`;
   *   `EAGAIN` without threads; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  acquire(options?: WaitOptions): Promise<Permit> {
    return this.#line.run(this.#acquiring, options);
  }

  /** Takes a permit if there is one now, else gives null. man 3 sem_trywait. Throws `ERR_INTERPROC_CLOSED`. */
  tryAcquire(): Permit | null {
    if (this.#line.turns.idle) return this.#take(0) ?? null;
    this.#checkOpen();
    return null;
  }

  /** As `acquire`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  acquireSync(options?: SyncWaitOptions): Permit {
    return this.#line.turns.runSync(
      'sem_wait',
      options,
      { step: (looks) => this.#take(looks) ?? again },
      (nanoseconds) => {
        this.#checkOpen();
        native.posixSemSleep(this.#setup.mapping, nanoseconds);
      },
    );
  }

  /**
   * Gives `count` permits, and wakes as many who wait for one, in any process. man 3 sem_post.
   *
   * @throws `EOVERFLOW` where the value would be above 2,147,483,647: nothing is given then; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INTERPROC_TRUNCATED`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  release(count = 1): void {
    const words = this.#checkOpen();
    if (count !== 1) checkInteger(count, 'count', 1, maxValue);
    const index = this.#value;
    let value = Atomics.load(words, index);
    for (;;) {
      if (value >>> 0 > maxValue - count) throw this.#overflow(count);
      const there = Atomics.compareExchange(words, index, value, value + count);
      if (there === value) break;
      value = there;
    }
    if (value === 0) this.#checkWhole(words);
    // After the value: who goes to sleep counts himself first, and looks at the value after that (sleep() of the kernel
    // does, under its lock). So one of the two sees the other.
    if (Atomics.load(words, this.#waiters) !== 0) {
      native.futexWake(this.#setup.mapping, index * wordBytes, count);
    }
  }

  /** Ends pending calls in `ERR_INTERPROC_CLOSED`; the semaphore stays. man 3 sem_close. Again does nothing. */
  close(): void {
    if (this.#words === undefined) return;
    this.#closing = true;
    this.#line.turns.close(() => this.#closedError());
    this.#words = undefined;
    const { mapping, file } = this.#setup;
    native.mappingClose(mapping);
    if (this.#waitMapping !== undefined) native.mappingClose(this.#waitMapping);
    if (file !== undefined) native.fileClose(file);
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Pending calls let the process end, as an unref()ed timer does. */
  unref(): this {
    return this.#keep(false);
  }

  /** Pending calls keep the process alive, as a timer does: so it is by default. */
  ref(): this {
    return this.#keep(true);
  }

  get #acquiring(): Blocking<number, Permit> {
    return {
      call: 'sem_wait',
      now: (looks) => this.#take(looks) ?? again,
      start: (call) => {
        const { mapping, name } = this.#setup;
        this.#waitMapping ??= native.mappingAgain(mapping, name ?? '');
        native.posixSemAcquireStart(call, this.#waitMapping);
      },
      made: (taken) => {
        if (taken === 0) throw this.#faultError(native.mappingFault(this.#waitMapping as NativeMapping));
        if (!this.#closing) return new Permit(this);
        this.release(); // else nobody could: it was taken just before the end, and nobody was told
        throw this.#closedError();
      },
    };
  }

  get #what(): string {
    const { name } = this.#setup;
    return name === null ? 'The semaphore' : `The semaphore '${name}'`;
  }

  /** Also at so many further looks. */
  #take(looks: number): Permit | undefined {
    const words = this.#checkOpen();
    const index = this.#value;
    for (let left = looks; ; left--) {
      let value = Atomics.load(words, index);
      while (value !== 0) {
        const there = Atomics.compareExchange(words, index, value, value - 1);
        if (there === value) return new Permit(this);
        value = there;
      }
      this.#checkWhole(words);
      if (left <= 0) return undefined;
      if (!native.yieldProcessor()) left = 1;
    }
  }

  #keep(kept: boolean): this {
    this.#timers.keep(kept);
    this.#line.keep(kept);
    return this;
  }

  #checkOpen(): Int32Array {
    const words = this.#words;
    if (words === undefined) throw this.#closedError();
    return words;
  }

  #closedError(): IpcError {
    return new IpcError('ERR_INTERPROC_CLOSED', `${this.#what} is closed`);
  }

  /** That the memory is there: where somebody has truncated it, all of it reads as zeros. */
  #checkWhole(words: Int32Array): void {
    if (Atomics.load(words, this.#private) !== 0) return;
    try {
      this.#checkFault();
    } catch (error) {
      Atomics.store(words, this.#value, 0); // what was given into memory that nobody shares is not to be had
      setImmediate(() => this.#line.turns.close(() => error)); // those who wait on a thread would not notice
      throw error;
    }
  }

  #checkFault(): void {
    const fault = native.mappingFault(this.#setup.mapping);
    if (fault !== 0) throw this.#faultError(fault);
  }

  #faultError(fault: number): IpcError {
    return fault === truncated
      ? new IpcError(
          'ERR_INTERPROC_TRUNCATED',
          `${this.#what} is gone: its memory was truncated by another process`,
        )
      : new IpcError(
          'ERR_INTERPROC_NO_SPACE',
          `${this.#what} could not get its page (the file system of its memory is full, or could not be read)`,
        );
  }

  #overflow(count: number): IpcError {
    const path = this.#setup.name ?? undefined;
    const about = path === undefined ? '' : ` '${path}'`;
    return new IpcError(
      'EOVERFLOW',
      `EOVERFLOW: value too large for defined data type, sem_post${about}: with ${count} more its value would be above ` +
        `${maxValue} (SEM_VALUE_MAX)`,
      { errno: -constants.errno.EOVERFLOW, syscall: 'sem_post', path },
    );
  }
}

function named(file: NativeFile, name: string, created: boolean): Semaphore {
  return withFile(file, () => {
    const mapping = native.mapFile(file, 0, native.posixSemSize, name);
    return new Semaphore(construct, { mapping, file, name, created });
  });
}

function partOf(memory: unknown, offset: unknown): NativeMapping {
  if (!isWatchable(memory))
    throw invalidType('memory', 'shared memory, a mapped file or a window of one', memory);
  const whole = memory[mappingOf]();
  const start = checkInteger(offset, 'offset', 0);
  const size = whole === undefined ? 0 : native.mappingLength(whole);
  if (whole === undefined || start + native.posixSemSize > size) {
    throw outOfRange(
      'offset',
      `at least ${native.posixSemSize} bytes before the end of the memory, at ${size}`,
      offset,
    );
  }
  if (start % alignment !== 0) throw outOfRange('offset', `a multiple of ${alignment}`, offset);
  if (memory.readOnly) {
    throw new IpcError('ERR_INTERPROC_READ_ONLY', 'A semaphore needs memory that was not opened read-only');
  }
  return native.mappingPart(whole, start, native.posixSemSize, '');
}

function checkInitial(initial: unknown): number {
  return checkInteger(initial, 'options.initial', 0, maxValue);
}

function checkCreate(options: SemaphoreCreateOptions) {
  const given = checkOptions(options, true);
  return { initial: checkInitial(given.initial), access: checkAccess(given) };
}

function checkName(name: unknown, syscall: string): string {
  return checkObjectName(name, longestName, syscall);
}
