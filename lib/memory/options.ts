/** Options and results that the kinds of memory have in common, and their checks. */
import { IpcError } from '../errors.js';
import { type AccessOptions, checkAccess } from '../internal/access.js';
import { checkBoolean, checkInteger, checkOptions } from '../internal/arguments.js';
import { type NativeFileStat, native } from '../internal/native.js';
import { runtimeName } from '../internal/runtime.js';

export type { AccessOptions } from '../internal/access.js';

/** How memory that exists is opened. */
export interface OpenOptions<Shared extends boolean = boolean> {
  /** Open without write permission; stores into the buffer stay private. False by default. */
  readOnly?: boolean;
  /** `.buffer` is a SharedArrayBuffer, which workers can be sent; see `features.sharedArrayBuffer`. */
  sharedArrayBuffer?: Shared;
}

/** How memory is made; of its `mode`, `uid` and `gid`: `AccessOptions`. */
export interface CreateOptions<Shared extends boolean = boolean> extends AccessOptions {
  /** Bytes; at least 1. */
  size: number;
  /**
   * Take all pages now, so that a full file system is an error here and no fault later. True by default; false
   * for sparse objects.
   */
  reserve?: boolean;
  /** `.buffer` is a SharedArrayBuffer, which workers can be sent; see `features.sharedArrayBuffer`. */
  sharedArrayBuffer?: Shared;
}

/** What the file system says of an object (man 2 statx). */
export interface MemoryStat {
  /** Bytes. */
  size: number;
  /** Bytes that memory or disk back now; less than `size` where pages were not reserved. */
  allocated: number;
  /** Permission bits. */
  mode: number;
  /** Its owner. */
  uid: number;
  /** Its group. */
  gid: number;
  /** The number of its inode. */
  ino: number;
  /** Number of names; 0 once it is unlinked. */
  nlink: number;
  /** When its content last changed, as its file system counts: stores through a mapping late, in /dev/shm not at all. */
  mtime: Date;
  /** When its owner, mode or number of names last changed. */
  ctime: Date;
}

export function checkSize(size: unknown, name = 'options.size'): number {
  return checkInteger(size, name, 1);
}

export function checkFlag(options: object, key: string, otherwise: boolean): boolean {
  return checkBoolean((options as Record<string, unknown>)[key], `options.${key}`, otherwise);
}

/** Throws `ERR_INTERPROC_UNSUPPORTED` where this runtime can't make a SharedArrayBuffer over foreign memory. */
export function checkShared<Shared extends boolean>(options: { sharedArrayBuffer?: Shared }): Shared {
  const shared = checkFlag(options, 'sharedArrayBuffer', false);
  if (shared && !native.hasExternalSharedArrayBuffer) {
    throw new IpcError(
      'ERR_INTERPROC_UNSUPPORTED',
      `{ sharedArrayBuffer: true } needs Node 22.23.3, 24.16, 26.1 or later, and this is ${runtimeName()}; ` +
        'workers can open the object themselves',
    );
  }
  return shared as Shared;
}

export function checkOpen<Shared extends boolean>(options: OpenOptions<Shared> | undefined) {
  const given = checkOptions(options);
  return { readOnly: checkFlag(given, 'readOnly', false), shared: checkShared<Shared>(given) };
}

export function checkCreate<Shared extends boolean>(options: CreateOptions<Shared>) {
  const given = checkOptions(options, true);
  return {
    size: checkSize(given.size),
    reserve: checkFlag(given, 'reserve', true),
    access: checkAccess(given),
    shared: checkShared<Shared>(given),
  };
}

export function toMemoryStat(raw: NativeFileStat): MemoryStat {
  const { mtimeMs, ctimeMs, ...rest } = raw;
  return { ...rest, mtime: new Date(mtimeMs), ctime: new Date(ctimeMs) };
}
