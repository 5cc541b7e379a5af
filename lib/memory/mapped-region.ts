/**
 * A range of mapped memory that JS sees as one buffer: what every kind of shared memory is, and what
 * each window of one is.
 *
 * Life cycle: open -> closed, once. Closing pulls no memory away from under views that are still held:
 * they read zeros and write nowhere from then on, and the addresses are given back when the last view is
 * collected. An object that is dropped without `close()` is closed by garbage collection, once its
 * buffer is no longer reachable either.
 */
import { constants } from 'node:buffer';
import { IpcError } from '../errors.js';
import { checkInteger, checkOptions, outOfRange } from '../internal/arguments.js';
import { type NativeMapping, native } from '../internal/native.js';
import {
  beforeClose,
  type LeaveMapping,
  mappingOf,
  type WatchableRegion,
  watch,
} from '../internal/region.js';
import { type Advice, checkAdvice, writingAdvices } from './advice.js';
import { checkFlag } from './options.js';

/** The kind of buffer that the option `sharedArrayBuffer` asks for. */
export type BufferOf<Shared extends boolean> = Shared extends true ? SharedArrayBuffer : ArrayBuffer;

/** A part of a mapping, in bytes from its start. All of it by default. */
export interface RangeOptions {
  /** Bytes from the start; 0 by default. */
  offset?: number;
  /** Bytes; up to the end by default. */
  length?: number;
}

export interface RegionSettings {
  /** What errors call it; the name of its class by default. */
  kind?: string;
  /** How errors name the object; '' if it has no name. */
  label: string;
  readOnly: boolean;
  shared: boolean;
  /** What can be done with one that was truncated, for its error. */
  afterTruncation?: string;
}

// The values of native/os/fault_guard.h, enum Fault.
const faults = [undefined, 'truncated', 'no-space'] as const;

/**
 * A range of mapped memory that is seen as one `.buffer`: what every kind of shared memory is, and each window of
 * one. After `close()` views read zeros and write nowhere.
 */
export abstract class MappedRegion<Shared extends boolean = false> implements WatchableRegion {
  /** Undefined for an object of zero bytes, and after close. */
  #mapping: NativeMapping | undefined;
  #size: number;
  #buffer: BufferOf<Shared> | undefined;
  /** Mappings whose buffer JS has moved elsewhere (`buffer.transfer()`): closed with the rest. */
  #moved: NativeMapping[] = [];
  #closed = false;
  readonly #watchers = new Set<LeaveMapping>();
  readonly #closeChecks: (() => void)[] = [];
  readonly #settings: RegionSettings;

  /** @internal */
  protected constructor(mapping: NativeMapping | undefined, settings: RegionSettings) {
    this.#mapping = mapping;
    this.#size = mapping === undefined ? 0 : native.mappingLength(mapping);
    this.#settings = settings;
  }

  /** Bytes that are mapped: the length of `.buffer`. */
  get size(): number {
    return this.#size;
  }

  /** Whether it was opened read-only: stores into the buffer stay private and reach nobody. */
  get readOnly(): boolean {
    return this.#settings.readOnly;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * `'truncated'` once an access found the object shorter than the mapping (another process truncated
   * it), `'no-space'` once a page could not be had (its file system is full), else undefined. The bytes in
   * question read as zeros; all that uses them throws from then on.
   */
  get fault(): 'truncated' | 'no-space' | undefined {
    return this.#mapping === undefined ? undefined : faults[native.mappingFault(this.#mapping)];
  }

  /**
   * The memory itself: the same buffer each time, until the region is resized or its buffer moved by
   * `transfer()`. Make long-lived views over it.
   *
   * Throws `ERR_INTERPROC_CLOSED`; `ERR_OUT_OF_RANGE` where one buffer of this runtime can't hold it (4 GiB on
   * Node 20: use `map()`); `ERR_INTERPROC_TRUNCATED`, `ERR_INTERPROC_NO_SPACE` (see `fault`).
   */
  get buffer(): BufferOf<Shared> {
    this.checkUsable();
    if (this.#buffer !== undefined && (this.#buffer.byteLength === this.#size || this.#size === 0)) {
      return this.#buffer;
    }
    if (this.#size > constants.MAX_LENGTH) {
      throw outOfRange(
        'buffer.byteLength',
        `<= ${constants.MAX_LENGTH}, the most that a buffer of this runtime holds (buffer.constants.MAX_LENGTH); ` +
          'map({ offset, length }) gives windows',
        this.#size,
      );
    }
    if (this.#buffer !== undefined) this.#moveOn();
    this.#buffer = this.#makeBuffer();
    return this.#buffer;
  }

  /**
   * Writes changed pages of a mapped file to its disk and waits for that, on a thread of its own: neither the
   * event loop nor libuv's pool is held. Memory without a disk has nothing to write. man 2 msync, MS_SYNC.
   *
   * Rejects with `ERR_INTERPROC_CLOSED` (also when closed meanwhile), `ERR_INTERPROC_READ_ONLY`, `EIO`.
   */
  async sync(range?: RangeOptions): Promise<void> {
    const { offset, length } = this.#checkRange(range, true);
    const mapping = this.#mapping;
    if (mapping === undefined || length === 0) return;
    await native.mappingSync(mapping, offset, length, this.#settings.label);
    this.checkUsable();
    // Resized meanwhile: what was synced was no longer the object.
    if (this.#mapping !== mapping) await this.sync(range);
  }

  /** As `sync`, blocking the calling thread until the disk has it. */
  syncSync(range?: RangeOptions): void {
    this.#onRange(range, true, (mapping, offset, length) =>
      native.mappingSyncSync(mapping, offset, length, this.#settings.label),
    );
  }

  /**
   * Keeps the pages in memory, never swapped out; all now, or with `onFault` each from its first use on.
   * man 2 mlock2. Throws `ENOMEM` or `EPERM`, with the limit (RLIMIT_MEMLOCK), and what `.buffer` throws.
   */
  lock(options: RangeOptions & { onFault?: boolean } = {}): void {
    const onFault = checkFlag(checkOptions(options), 'onFault', false);
    this.#onRange(options, false, (mapping, offset, length) =>
      native.mappingLock(mapping, offset, length, this.#settings.label, onFault),
    );
  }

  /** Undoes `lock`. man 2 munlock. */
  unlock(range?: RangeOptions): void {
    this.#onRange(range, false, (mapping, offset, length) =>
      native.mappingUnlock(mapping, offset, length, this.#settings.label),
    );
  }

  /**
   * Tells the kernel how the memory will be used. man 2 madvise. Throws `EINVAL` where this kernel has not that
   * advice for this kind of memory, `ERR_INTERPROC_READ_ONLY` for `remove` and `populate_write` on a read-only
   * region, and what `.buffer` throws.
   */
  advise(advice: Advice, range?: RangeOptions): void {
    this.checkUsable();
    const checked = checkAdvice(advice);
    this.#onRange(range, writingAdvices.has(checked), (mapping, offset, length) =>
      native.mappingAdvise(mapping, offset, length, this.#settings.label, native.advices[checked] as number),
    );
  }

  /**
   * Drops the private copies that stray stores into a read-only region made: it shows the object's own bytes
   * again. Without effect on a writable one.
   */
  refresh(): void {
    this.checkUsable();
    if (this.#mapping !== undefined && this.readOnly)
      native.mappingRefresh(this.#mapping, this.#settings.label);
  }

  /**
   * Closes it; again is allowed and does nothing. Views that are still held read zeros from now on. Throws
   * `ERR_INTERPROC_BUSY` while a lock in it is held through it.
   */
  close(): void {
    if (this.#closed) return;
    for (const check of this.#closeChecks) check();
    const go = this.#leaveMapping();
    this.#closed = true;
    this.#closeMappings();
    this.release();
    go();
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string,
  ): string {
    return `${this.constructor.name} ${inspect(this.describe(), options)}`;
  }

  /** What an inspection shows. */
  protected describe(): object {
    return { size: this.#size, readOnly: this.readOnly, closed: this.#closed };
  }

  /** Lets go of what a subclass holds beside the mapping. Called once, by `close()`. */
  protected release(): void {}

  /** Shows another range from now on; views of the old one read zeros. */
  protected replaceMapping(mapping: NativeMapping | undefined): void {
    const go = this.#leaveMapping();
    this.#closeMappings();
    this.#mapping = mapping;
    this.#size = mapping === undefined ? 0 : native.mappingLength(mapping);
    go();
  }

  /** @internal */
  [mappingOf](): NativeMapping | undefined {
    this.checkUsable();
    return this.#mapping;
  }

  /** @internal */
  [watch](leave: LeaveMapping): () => void {
    this.#watchers.add(leave);
    return () => this.#watchers.delete(leave);
  }

  /** @internal */
  [beforeClose](check: () => void): void {
    this.#closeChecks.push(check);
  }

  #leaveMapping(): () => void {
    const arrivals = [...this.#watchers].map((leave) => leave());
    return () => {
      for (const arrive of arrivals) arrive?.();
    };
  }

  protected checkOpen(): void {
    if (this.#closed) throw new IpcError('ERR_INTERPROC_CLOSED', `${this.#about()} is closed`);
  }

  protected checkWritable(): void {
    if (this.readOnly) {
      throw new IpcError('ERR_INTERPROC_READ_ONLY', `${this.#about()} was opened read-only`);
    }
  }

  /** Open, and all of it there. */
  protected checkUsable(): void {
    this.checkOpen();
    native.keepFaultGuard(); // `process.on('SIGBUS')` may have replaced it
    const { fault } = this;
    if (fault === 'truncated') {
      const { afterTruncation } = this.#settings;
      throw new IpcError(
        'ERR_INTERPROC_TRUNCATED',
        `${this.#about()} was truncated by another process: the missing bytes read as zeros` +
          (afterTruncation === undefined ? '' : `; ${afterTruncation}`),
      );
    }
    if (fault === 'no-space') {
      throw new IpcError(
        'ERR_INTERPROC_NO_SPACE',
        `${this.#about()} could not get a page on first use (its file system is full, or could not be read): stores ` +
          'there were lost; { reserve: true } takes all pages at creation',
      );
    }
  }

  #about(): string {
    const { kind = this.constructor.name, label } = this.#settings;
    return `The ${kind}${label === '' ? '' : ` '${label}'`}`;
  }

  #makeBuffer(): BufferOf<Shared> {
    if (this.#mapping !== undefined) {
      return newBuffer(this.#mapping, this.#settings.shared) as BufferOf<Shared>;
    }
    return (this.#settings.shared ? new SharedArrayBuffer(0) : new ArrayBuffer(0)) as BufferOf<Shared>;
  }

  /** The buffer was transferred away and works on over its mapping, so this needs a new one. */
  #moveOn(): void {
    if (this.#mapping === undefined) return;
    const mapping = native.mappingAgain(this.#mapping, this.#settings.label);
    this.#moved.push(this.#mapping);
    this.#mapping = mapping;
  }

  #closeMappings(): void {
    for (const mapping of this.#moved) native.mappingClose(mapping);
    if (this.#mapping !== undefined) native.mappingClose(this.#mapping);
    this.#moved = [];
    this.#mapping = undefined;
    this.#buffer = undefined;
  }

  #checkRange(range: RangeOptions | undefined, writes: boolean): { offset: number; length: number } {
    this.checkUsable();
    if (writes) this.checkWritable();
    const { offset = 0, length } = checkOptions(range);
    const start = checkInteger(offset, 'options.offset', 0, this.#size);
    const left = this.#size - start;
    return {
      offset: start,
      length: length === undefined ? left : checkInteger(length, 'options.length', 0, left),
    };
  }

  #onRange(
    range: RangeOptions | undefined,
    writes: boolean,
    call: (mapping: NativeMapping, offset: number, length: number) => void,
  ): void {
    const { offset, length } = this.#checkRange(range, writes);
    if (this.#mapping === undefined || length === 0) return;
    try {
      call(this.#mapping, offset, length);
    } catch (error) {
      this.checkUsable(); // the call may have found that the object was truncated
      throw error;
    }
  }
}

function newBuffer(mapping: NativeMapping, shared: boolean): ArrayBufferLike {
  try {
    return native.mappingBuffer(mapping, shared);
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'ENOTSUP') throw cause;
    throw new IpcError(
      'ERR_INTERPROC_UNSUPPORTED',
      'This runtime allows no buffers over memory that is not its own',
      {
        cause,
      },
    );
  }
}
