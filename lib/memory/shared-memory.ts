/**
 * Memory that processes share by a name (POSIX shared memory, man 7 shm_overview) or by a descriptor
 * (man 2 memfd_create).
 *
 * An object appears complete (owner, mode, size) or not at all, and lives until it is unlinked and the
 * last process has closed it: a name survives the process that made it.
 */
import { Buffer } from 'node:buffer';
import {
  checkInteger,
  checkObjectName,
  checkString,
  illegalConstructor,
  invalidValue,
} from '../internal/arguments.js';
import { openOrCreate, undo, withFile } from '../internal/factories.js';
import { type NativeFile, native } from '../internal/native.js';
import { reserveHint } from '../internal/space.js';
import { explained } from '../internal/system-error.js';
import { checkSeals, FileMemory, type FileMemorySettings, type Seal } from './file-memory.js';
import {
  type CreateOptions,
  checkCreate,
  checkOpen,
  type MemoryStat,
  type OpenOptions,
  toMemoryStat,
} from './options.js';

/** How memory without a name is made. */
export interface SharedMemoryAnonymousOptions<Shared extends boolean = boolean>
  extends CreateOptions<Shared> {
  /** True (the default): sealed against shrinking. False: not sealed. Or the seals to set. */
  seal?: boolean | readonly Seal[];
  /** Shows in `/proc/PID/maps`, and does nothing else; at most 249 bytes. */
  label?: string;
}

/** What `SharedMemory.list()` tells of each object. */
export interface SharedMemoryListEntry extends MemoryStat {
  /** With the leading slash. */
  name: string;
}

const longestName = 255; // NAME_MAX
const longestLabel = 249; // man 2 memfd_create
const maxFd = 0x7fff_ffff;
const construct = Symbol('construct');

/**
 * Memory that processes share by a name (POSIX shared memory, man 7 shm_overview) or by a descriptor (man 2
 * memfd_create). docs/memory.md
 */
export class SharedMemory<Shared extends boolean = false> extends FileMemory<Shared> {
  readonly #name: string | null;

  /** @internal Use the factories. */
  constructor(key: symbol, file: NativeFile, name: string | null, settings: FileMemorySettings) {
    if (key !== construct) throw illegalConstructor('SharedMemory');
    super(file, settings);
    this.#name = name;
  }

  /**
   * Makes a new object of `size` bytes, all zero. man 3 shm_open.
   *
   * @param name One component of at most 255 bytes; a missing leading slash is added.
   * @throws `EEXIST`; `ENOSPC` with the limit of /dev/shm; `ENOMEM`; `EACCES`; `EPERM` (chown);
   *   `ENAMETOOLONG`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  static create<Shared extends boolean = false>(
    name: string,
    options: CreateOptions<Shared>,
  ): SharedMemory<Shared> {
    const checked = checkName(name, 'shm_open');
    const { size, reserve, shared, access } = checkCreate(options);
    const file = explained(
      () => native.posixShmCreate(checked, size, reserve, ...access),
      reserveHint(native.posixShmPath(checked)),
    );
    try {
      return named(file, checked, shared, true);
    } catch (error) {
      undo(() => native.posixShmUnlink(checked));
      throw error;
    }
  }

  /**
   * Opens an existing object at its present size. man 3 shm_open.
   *
   * @throws `ENOENT`; `EACCES`; `ENODEV`, `EISDIR` or `ELOOP` for what is no shared memory; and for arguments as
   *   `create`.
   */
  static open<Shared extends boolean = false>(
    name: string,
    options?: OpenOptions<Shared>,
  ): SharedMemory<Shared> {
    const checked = checkName(name, 'shm_open');
    const { readOnly, shared } = checkOpen(options);
    return named(native.posixShmOpen(checked, readOnly), checked, shared, false);
  }

  /**
   * Opens the object, or makes it where there is none: `.created` tells which. The size, mode and owner of one
   * that exists are left as they are. Throws as `open` and `create` do.
   */
  static openOrCreate<Shared extends boolean = false>(
    name: string,
    options: CreateOptions<Shared>,
  ): SharedMemory<Shared> {
    const { shared } = checkCreate(options);
    return openOrCreate(
      () => SharedMemory.open<Shared>(name, { sharedArrayBuffer: shared }),
      () => SharedMemory.create(name, options),
    );
  }

  /**
   * Makes memory without a name (man 2 memfd_create): hand `.fd` to a child through `stdio`, or over a socket,
   * and map it there with `fromFd`. Sealed against shrinking, unless told otherwise, so that no peer can pull it away.
   *
   * @throws `ENOMEM` when it is more than there is; `EMFILE`; and for arguments as `create`.
   */
  static anonymous<Shared extends boolean = false>(
    options: SharedMemoryAnonymousOptions<Shared>,
  ): SharedMemory<Shared> {
    const { size, reserve, shared, access } = checkCreate(options);
    const { seal = true, label = 'interproc' } = options;
    const asked = typeof seal === 'boolean' ? (seal ? ['shrink'] : []) : seal;
    const seals = checkSeals(asked, 'options.seal');
    const checked = checkLabel(label);
    const file = explained(() => native.memfdCreate(checked, size, reserve, ...access), reserveHint(''));
    return withFile(file, () => {
      const memory = unnamed(file, shared, true);
      try {
        // After the mapping, so that it is writable whatever the seals say of later ones.
        if (seals !== 0) native.fileAddSeals(file, seals, '');
      } catch (error) {
        memory.close();
        throw error;
      }
      return memory;
    });
  }

  /**
   * Maps the object behind a descriptor: a memfd or any regular file that was inherited, received or opened.
   * The descriptor is duplicated; the caller keeps and closes his own. Read-only by itself where it can't be
   * written (open for reading, or sealed).
   *
   * @throws `EBADF`; `ENODEV` for what is no file; `EACCES` for a write-only descriptor.
   */
  static fromFd<Shared extends boolean = false>(
    fd: number,
    options?: OpenOptions<Shared>,
  ): SharedMemory<Shared> {
    const checked = checkInteger(fd, 'fd', 0, maxFd);
    const { readOnly, shared } = checkOpen(options);
    const file = native.fileFromFd(checked, readOnly);
    return withFile(file, () => unnamed(file, shared, false));
  }

  /**
   * Removes the name; who has the object open keeps it. man 3 shm_unlink. Throws `ENOENT`, `EACCES`, `EPERM` for
   * another user's object (`/dev/shm` is sticky).
   */
  static unlink(name: string): void {
    native.posixShmUnlink(checkName(name, 'shm_unlink'));
  }

  /** How the object is now, without opening it. Throws `ENOENT`. */
  static stat(name: string): MemoryStat {
    return toMemoryStat(native.posixShmStat(checkName(name, 'stat')));
  }

  /** All objects in `/dev/shm`, whoever made them; named semaphores (`sem.*`) are left out. */
  static list(): SharedMemoryListEntry[] {
    return native.posixShmList().flatMap((component) => {
      try {
        const name = `/${component}`;
        return [{ name, ...toMemoryStat(native.posixShmStat(name)) }];
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ENOENT') return []; // unlinked a moment ago
        throw error;
      }
    });
  }

  /** With its leading slash; null for anonymous memory and for what came as a descriptor. */
  get name(): string | null {
    return this.#name;
  }

  /**
   * Removes this object's name; the object stays for all who have it open. Throws `ENOENT` where the name leads
   * elsewhere by now, `EACCES`, `EPERM`.
   */
  unlink(): void {
    native.posixShmUnlink(this.checkLinked('shm_unlink'));
  }

  protected override describe(): object {
    return { name: this.#name, ...super.describe() };
  }
}

function named<Shared extends boolean>(file: NativeFile, name: string, shared: Shared, created: boolean) {
  const settings = { label: name, path: native.posixShmPath(name), shared, created };
  return withFile(file, () => new SharedMemory<Shared>(construct, file, name, settings));
}

function unnamed<Shared extends boolean>(file: NativeFile, shared: Shared, created: boolean) {
  return new SharedMemory<Shared>(construct, file, null, { label: '', path: '', shared, created });
}

function checkName(name: unknown, syscall: string): string {
  return checkObjectName(name, longestName, syscall);
}

function checkLabel(label: unknown): string {
  const text = checkString(label, 'options.label');
  if (text.includes('\0') || Buffer.byteLength(text) > longestLabel) {
    throw invalidValue(
      'options.label',
      `must be without null bytes and have at most ${longestLabel} bytes`,
      label,
    );
  }
  return text;
}
