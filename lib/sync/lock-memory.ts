/**
 * The memory in which locks lie, as one region object of the user's shows it: where each of them is, by which id this env
 * holds them, and what ends with the region.
 *
 * Locks map their surroundings for themselves, in pieces: neither a transferred nor a resized buffer concerns them, nor
 * that a buffer of this runtime may be too small for the region. Of each lock there is one object for a region; a lock
 * that is held or waited for is kept by its guard or wait, any other one is collected when nobody has it.
 */
import { randomInt } from 'node:crypto';
import { IpcError } from '../errors.js';
import { checkBoolean, checkInteger, checkOptions, invalidType, outOfRange } from '../internal/arguments.js';
import { failpoint } from '../internal/failpoint.js';
import { type NativeMapping, native } from '../internal/native.js';
import type { NativeLockPlace, NativeOwner } from '../internal/native-locks.js';
import { beforeClose, isWatchable, mappingOf, type WatchableRegion, watch } from '../internal/region.js';
import {
  autoResetFlag,
  type KindName,
  kindOf,
  kinds,
  kindValue,
  kindWord,
  ownerMask,
  plainFlag,
} from './lock-layout.js';

/** Whether a lock notices that its holder has died. */
export interface LockOptions {
  /**
   * False: a lock that knows no deaths. What a process held that died stays held, for good. It is all that can be had in
   * memory without a descriptor (System V), and all who open the lock have to agree on it. True by default.
   */
  recovery?: boolean;
}

/** What a kind of lock says of itself. */
export interface LockKind {
  name: KindName;
  bytes: number;
  /** Whether deaths concern it. */
  hasOwners: boolean;
  /** Further bits of its kind word. */
  flags?: number;
}

/** Where one lock lies. */
export interface LockSite {
  readonly memory: LockMemory;
  readonly kind: LockKind;
  /** Bytes from the start of the region. */
  readonly offset: number;
  /** A piece of the region, and where the lock begins in it, in words. */
  readonly words: Int32Array;
  readonly at: number;
  /** Of that piece, for sleeping and waking. */
  readonly mapping: NativeMapping;
  /** By which this env holds it. */
  readonly id: number;
  readonly kindValue: number;
  readonly owner: NativeOwner | null;
  readonly place: NativeLockPlace;
}

/** A lock, as its memory knows it. */
export interface LockObject {
  /** Whether this object holds it. */
  readonly isHeld: boolean;
  /** Its memory is closed. */
  end(): void;
}

interface Piece {
  mapping: NativeMapping;
  words: Int32Array;
}

const alignment = 8;
/** Locks that begin in the same piece share its mapping, which goes on for the longest of them. */
const pieceBytes = 1 << 20;
const longestLock = 1024;
const wordBytes = 4;

/** By which this thread holds locks that know no deaths. */
const plainId = randomInt(1, ownerMask || 2);

const memories = new WeakMap<WatchableRegion, LockMemory>();

const collected = new FinalizationRegistry<() => void>((forget) => forget());

export class LockMemory {
  readonly #region: WatchableRegion;
  readonly #pieces = new Map<number, Piece>();
  /** Also of pieces that were mapped anew. */
  readonly #mappings: NativeMapping[] = [];
  readonly #locks = new Map<string, WeakRef<LockObject>>();
  #owner: NativeOwner | undefined;
  #closed = false;

  constructor(region: WatchableRegion) {
    this.#region = region;
    region[beforeClose](() => this.#checkUnheld());
    region[watch](() => () => {
      if (region.closed) this.#close();
    });
  }

  /**
   * The lock of that kind at `offset`, which `make` makes an object of where there is none yet. `options` are those of
   * every kind.
   */
  static lockAt<Lock extends LockObject>(
    memory: unknown,
    offset: unknown,
    kind: LockKind,
    options: LockOptions | undefined,
    make: (site: LockSite) => Lock,
  ): Lock {
    if (!isWatchable(memory))
      throw invalidType('memory', 'shared memory, a mapped file or a window of one', memory);
    const recovers = kind.hasOwners && checkBoolean(checkOptions(options).recovery, 'options.recovery', true);
    const start = checkPlace(memory, offset, kind);
    let all = memories.get(memory);
    if (all === undefined) {
      all = new LockMemory(memory);
      memories.set(memory, all);
    }
    return all.#lockAt(start, kind, recovers, make) as Lock;
  }

  /** Whether the owner of that id lives: one system call. */
  static isAlive(site: LockSite, id: number): boolean {
    return site.owner === null || id === site.id || native.ownerAlive(site.owner, id);
  }

  /** Whether the words of a lock are what they must be: the zeros of a hole are not. */
  static isThere({ words, at, kindValue }: LockSite): boolean {
    return Atomics.load(words, at + kindWord) === kindValue;
  }

  /** Throws what is wrong where they are not. */
  static checkThere(site: LockSite): void {
    site.memory.checkOpen(); // what was closed reads as zeros too
    checkFault(site);
    if (LockMemory.isThere(site)) return;
    site.memory.checkOpen();
    throw corrupt(site);
  }

  /** Throws `ERR_INTERPROC_CLOSED` and its like, of the region. */
  checkOpen(): void {
    this.#region[mappingOf]();
  }

  #lockAt(
    offset: number,
    kind: LockKind,
    recovers: boolean,
    make: (site: LockSite) => LockObject,
  ): LockObject {
    const flags = (kind.flags ?? 0) | (kind.hasOwners && !recovers ? plainFlag : 0);
    const key = `${kind.name} ${flags} ${offset}`;
    const there = this.#locks.get(key)?.deref();
    if (there !== undefined) return there;
    const piece = this.#pieceAt(offset);
    const pieceOffset = offset % pieceBytes;
    const owner = recovers ? this.#ownerOf(piece.mapping) : null;
    const place = claim(piece.mapping, pieceOffset, offset, kind);
    try {
      const site: LockSite = {
        memory: this,
        kind,
        offset,
        words: piece.words,
        at: pieceOffset / wordBytes,
        mapping: piece.mapping,
        id: owner === null ? plainId : native.ownerId(owner),
        kindValue: kindValue(kind.name, flags),
        owner,
        place,
      };
      nameKind(site);
      const lock = make(site);
      this.#locks.set(key, new WeakRef(lock));
      collected.register(lock, () => {
        if (this.#locks.get(key)?.deref() === undefined) this.#locks.delete(key);
        native.lockPlaceFree(place);
      });
      return lock;
    } catch (error) {
      native.lockPlaceFree(place);
      throw error;
    }
  }

  /** Forgets a lock that has ended before its memory does. */
  forget(lock: LockObject): void {
    for (const [key, each] of this.#locks) if (each.deref() === lock) this.#locks.delete(key);
  }

  #pieceAt(offset: number): Piece {
    const number = Math.floor(offset / pieceBytes);
    const there = this.#pieces.get(number);
    const begin = number * pieceBytes;
    const whole = this.#region[mappingOf]() as NativeMapping; // checkPlace has found it long enough
    const length = Math.min(native.mappingLength(whole) - begin, pieceBytes + longestLock);
    // The region may have grown since.
    if (there !== undefined && there.words.byteLength + wordBytes > length) return there;
    const mapping = native.mappingPart(whole, begin, length, '');
    const words = new Int32Array(native.mappingBuffer(mapping, false), 0, Math.floor(length / wordBytes));
    const piece = { mapping, words };
    this.#pieces.set(number, piece);
    this.#mappings.push(mapping);
    return piece;
  }

  #ownerOf(mapping: NativeMapping): NativeOwner {
    if (this.#owner !== undefined) return this.#owner;
    let cause: unknown;
    let why = 'its memory has no descriptor (System V)';
    try {
      const owner = native.ownerOf(mapping);
      if (owner !== null) {
        this.#owner = owner;
        return owner;
      }
    } catch (error) {
      const { syscall, code } = error as Partial<IpcError>;
      if (syscall !== 'fcntl_locking' || code === 'EBUSY') throw error; // busy: another program has locked all of it
      cause = error;
      why = 'the file system of its memory has no open file description locks';
    }
    throw new IpcError(
      'ERR_INTERPROC_NO_LIVENESS',
      `A lock here can't know whether its holder lives: ${why}; with { recovery: false } it does without, and what a ` +
        'process holds that dies stays held',
      { cause },
    );
  }

  #checkUnheld(): void {
    for (const lock of this.#locks.values()) {
      if (lock.deref()?.isHeld === true) {
        throw new IpcError(
          'ERR_INTERPROC_BUSY',
          'The memory can not be closed: a lock in it is held through it',
        );
      }
    }
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const each of this.#locks.values()) each.deref()?.end();
    this.#locks.clear();
    for (const mapping of this.#mappings) native.mappingClose(mapping);
    if (this.#owner !== undefined) native.ownerLetGo(this.#owner);
  }
}

/** How errors name a lock. */
export function aboutSite({ kind, offset }: LockSite): string {
  return `The ${kind.name} at offset ${offset}`;
}

/** Of a lock that says what no participant writes. */
function corrupt(site: LockSite): IpcError {
  return new IpcError(
    'ERR_INTERPROC_CORRUPT',
    `${aboutSite(site)} is corrupt: some process has written into it`,
  );
}

function checkPlace(region: WatchableRegion, offset: unknown, { name: kind, bytes }: LockKind): number {
  const mapping = region[mappingOf]();
  const size = mapping === undefined ? 0 : native.mappingLength(mapping);
  const start = checkInteger(offset, 'offset', 0);
  if (start + bytes > size) {
    throw outOfRange('offset', `at least ${bytes} bytes before the end of the memory, at ${size}`, offset);
  }
  if (start % alignment !== 0) throw outOfRange('offset', `a multiple of ${alignment}`, offset);
  if (region.readOnly) {
    throw new IpcError(
      'ERR_INTERPROC_READ_ONLY',
      `A ${kind} needs memory that was not opened read-only: to wait for it is to write into it`,
    );
  }
  return start;
}

function claim(
  mapping: NativeMapping,
  pieceOffset: number,
  offset: number,
  { name: kind, bytes }: LockKind,
): NativeLockPlace {
  const place = native.lockPlace(mapping, pieceOffset, bytes, kinds[kind]);
  if (!Array.isArray(place)) return place;
  const [begin, length, otherKind] = place;
  const other = (Object.keys(kinds) as KindName[]).find((each) => kinds[each] === otherKind);
  const start = begin - pieceOffset + offset;
  throw new IpcError(
    'ERR_INTERPROC_OVERLAP',
    `A ${kind} at offset ${offset} would overlap with a ${other} of this process, which lies there from ` +
      `${start} to ${start + length}`,
  );
}

/** Says in the memory itself what lies there, or finds that something else does. */
function nameKind(site: LockSite): void {
  const { words, at, kindValue: expected, kind, offset } = site;
  const there = Atomics.compareExchange(words, at + kindWord, 0, expected);
  failpoint('lock.named');
  checkFault(site);
  if (there === 0 || there === expected) return;
  const { kind: other, flags } = kindOf(there);
  throw new IpcError(
    'ERR_INTERPROC_MISMATCH',
    other === kind.name
      ? `The ${other} at offset ${offset} was made with other options: ${optionsOf(kind, flags)}`
      : `There is no ${kind.name} at offset ${offset}, but ${other === undefined ? 'other data' : `a ${other}`}`,
  );
}

/** Which options make such flags. */
function optionsOf({ hasOwners }: LockKind, flags: number): string {
  return hasOwners
    ? `{ recovery: ${(flags & plainFlag) === 0} }`
    : `{ autoReset: ${(flags & autoResetFlag) !== 0} }`;
}

/** Zeros of a hole look like a free lock. */
function checkFault(site: LockSite): void {
  const fault = native.mappingFault(site.mapping);
  if (fault === 0) return;
  site.memory.checkOpen();
  const wasTruncated = fault === 1;
  throw new IpcError(
    wasTruncated ? 'ERR_INTERPROC_TRUNCATED' : 'ERR_INTERPROC_NO_SPACE',
    `${aboutSite(site)} is gone: its memory ` +
      (wasTruncated ? 'was truncated by another process' : 'has no page left in its file system'),
  );
}
