/**
 * System V shared memory (man 7 sysvipc): segments that a number names, as older C, Fortran and database
 * programs use them. A segment lives until somebody removes it, whoever made it; its size never changes.
 */
import type { IpcError } from '../errors.js';
import { type AccessOptions, checkAccess } from '../internal/access.js';
import { checkOptions, illegalConstructor } from '../internal/arguments.js';
import { openOrCreate, undo } from '../internal/factories.js';
import { checkId, checkKey, checkPublicKey, dateOf, isGone, type Key, keyOf } from '../internal/keys.js';
import { type NativeSysvShmStat, native } from '../internal/native.js';
import { MappedRegion } from './mapped-region.js';
import { checkOpen, checkShared, checkSize, type OpenOptions } from './options.js';

/** How a segment is made; of its `mode`, `uid` and `gid`: `AccessOptions`. */
export interface SysvSharedMemoryCreateOptions<Shared extends boolean = boolean> extends AccessOptions {
  /** Bytes; at least 1, at most `kernel.shmmax`. */
  size: number;
  /** `.buffer` is a SharedArrayBuffer, which workers can be sent; see `features.sharedArrayBuffer`. */
  sharedArrayBuffer?: Shared;
}

/** What the kernel says of a segment (man 2 shmctl, IPC_STAT). */
export interface SysvSharedMemoryStat {
  /** As `fromId` takes it. */
  id: number;
  /** Null: private, or removed. */
  key: Key;
  /** Bytes. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Its owner. */
  uid: number;
  /** Its group. */
  gid: number;
  /** Who made it. */
  creatorUid: number;
  /** The group of who made it. */
  creatorGid: number;
  /** Process that made it. */
  creatorPid: number;
  /** Process that attached or detached last. */
  lastPid: number;
  /** How often it is attached now, over all processes. */
  attached: number;
  /** When somebody last attached it; null: nobody ever. */
  attachedAt: Date | null;
  /** When somebody last detached it; null: nobody ever. */
  detachedAt: Date | null;
  /** When it was made, or its owner or mode last changed. */
  changedAt: Date | null;
  /** Removed: it goes when the last process detaches. */
  removed: boolean;
  /** Kept in memory (SHM_LOCK). */
  locked: boolean;
}

const construct = Symbol('construct');

/**
 * System V shared memory (man 7 sysvipc): segments that a number names, for meeting programs that use `shmget`. A
 * segment lives until somebody removes it. docs/memory.md
 */
export class SysvSharedMemory<Shared extends boolean = false> extends MappedRegion<Shared> {
  readonly #id: number;
  readonly #key: Key;
  readonly #created: boolean;

  /** @internal Use the factories. */
  constructor(
    token: symbol,
    segment: { id: number; key: Key; created: boolean },
    settings: { readOnly: boolean; shared: boolean },
  ) {
    if (token !== construct) throw illegalConstructor('SysvSharedMemory');
    const { id, key, created } = segment;
    super(native.mapSysv(id, settings.readOnly), { label: `id ${id}`, ...settings });
    this.#id = id;
    this.#key = key;
    this.#created = created;
  }

  /**
   * Makes a new segment of `size` bytes, all zero, and attaches it. man 2 shmget, man 2 shmat.
   * A given `uid` or `gid` is set a moment after it appears (IPC_SET): System V has no other way.
   *
   * @param key From `ftok`, any other 32-bit number, or null for one that only its id leads to.
   * @throws `EEXIST`; `EINVAL`, `ENOSPC`, `ENOMEM` with the limit; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  static create<Shared extends boolean = false>(
    key: Key,
    options: SysvSharedMemoryCreateOptions<Shared>,
  ): SysvSharedMemory<Shared> {
    const checked = checkKey(key);
    const given = checkOptions(options, true);
    const size = checkSize(given.size);
    const access = checkAccess(given);
    const shared = checkShared<Shared>(given);
    const id = native.sysvShmGet(checked ?? 0, size, true, ...access);
    try {
      const [, uid, gid] = access;
      if (uid !== undefined || gid !== undefined) native.sysvShmSet(id, undefined, uid, gid);
      return new SysvSharedMemory<Shared>(
        construct,
        { id, key: checked, created: true },
        { readOnly: false, shared },
      );
    } catch (error) {
      undo(() => native.sysvShmRemove(id));
      throw error;
    }
  }

  /**
   * Attaches the segment of a key, whole. man 2 shmget, man 2 shmat.
   *
   * @throws `ENOENT`; `EACCES`; and for arguments as `create`.
   */
  static open<Shared extends boolean = false>(
    key: number,
    options?: OpenOptions<Shared>,
  ): SysvSharedMemory<Shared> {
    const checked = checkPublicKey(key);
    const { readOnly, shared } = checkOpen(options);
    for (;;) {
      const id = native.sysvShmGet(checked, 0, false, 0, undefined, undefined);
      try {
        return new SysvSharedMemory<Shared>(
          construct,
          { id, key: checked, created: false },
          { readOnly, shared },
        );
      } catch (error) {
        // Removed since the line above: the key leads nowhere now, or to a new segment.
        if (!wasRemoved(error)) throw error;
      }
    }
  }

  /**
   * Attaches the segment of a key, or makes it where there is none: `.created` tells which. The size, mode and
   * owner of one that exists are left as they are. Throws as `open` and `create` do.
   */
  static openOrCreate<Shared extends boolean = false>(
    key: number,
    options: SysvSharedMemoryCreateOptions<Shared>,
  ): SysvSharedMemory<Shared> {
    const given = checkOptions(options, true);
    checkSize(given.size);
    checkAccess(given);
    const sharedArrayBuffer = checkShared<Shared>(given);
    return openOrCreate(
      () => SysvSharedMemory.open<Shared>(key, { sharedArrayBuffer }),
      () => {
        try {
          return SysvSharedMemory.create(checkPublicKey(key), options);
        } catch (error) {
          if (wasRemoved(error)) return SysvSharedMemory.openOrCreate<Shared>(key, options); // removed before we attached
          throw error;
        }
      },
    );
  }

  /** Attaches a segment by its id: the way to a private one. Throws `EINVAL` where there is none, `EACCES`, `EIDRM`. */
  static fromId<Shared extends boolean = false>(
    id: number,
    options?: OpenOptions<Shared>,
  ): SysvSharedMemory<Shared> {
    const checked = checkId(id);
    const { readOnly, shared } = checkOpen(options);
    const { key } = native.sysvShmStat(checked);
    const segment = { id: checked, key: keyOf(key), created: false };
    return new SysvSharedMemory<Shared>(construct, segment, { readOnly, shared });
  }

  /** All segments of this IPC namespace, whoever made them (as `ipcs -m`). */
  static list(): SysvSharedMemoryStat[] {
    return native.sysvShmList().map(toStat);
  }

  /** Removes a segment by its id, as `ipcrm -m` does: it goes when the last process detaches. */
  static remove(id: number): void {
    native.sysvShmRemove(checkId(id));
  }

  /** The kernel's number for the segment. */
  get id(): number {
    return this.#id;
  }

  /** The key that it was made or opened with; null for a private one. */
  get key(): Key {
    return this.#key;
  }

  /** Whether the factory made the segment; false where it was there already. */
  get created(): boolean {
    return this.#created;
  }

  /** Whether the key still leads to this very segment; false for a private or removed one. */
  get linked(): boolean {
    this.checkOpen();
    const { key } = native.sysvShmStat(this.#id);
    return key !== 0 && key === this.#key;
  }

  /**
   * What the kernel says of the segment now. man 2 shmctl, IPC_STAT. Throws `ERR_INTERPROC_CLOSED`; `EINVAL`, `EIDRM` once it
   * is gone; `EACCES`.
   */
  stat(): SysvSharedMemoryStat {
    this.checkOpen();
    return toStat(native.sysvShmStat(this.#id));
  }

  /** Changes owner or permissions. man 2 shmctl, IPC_SET. Throws `EPERM`, `EACCES`. */
  set(change: AccessOptions): void {
    this.checkOpen();
    const given = checkOptions(change, true);
    const [mode, uid, gid] = checkAccess(given);
    native.sysvShmSet(this.#id, given.mode === undefined ? undefined : mode, uid, gid);
  }

  /** Removes the segment: its key leads nowhere from now on, and it goes when the last process detaches. Throws `EPERM`. */
  remove(): void {
    this.checkOpen();
    native.sysvShmRemove(this.#id);
  }

  /**
   * Keeps the whole segment in memory, whoever maps it, until `unlockSegment()`. man 2 shmctl, SHM_LOCK. Throws `ENOMEM`
   * with the limit (RLIMIT_MEMLOCK), `EPERM`.
   */
  lockSegment(): void {
    this.checkOpen();
    native.sysvShmLock(this.#id, true);
  }

  /** man 2 shmctl, SHM_UNLOCK. */
  unlockSegment(): void {
    this.checkOpen();
    native.sysvShmLock(this.#id, false);
  }

  protected override describe(): object {
    return { id: this.#id, key: this.#key, ...super.describe() };
  }
}

/** Removed between the calls that open it. */
function wasRemoved(error: unknown): boolean {
  const { syscall } = error as Partial<IpcError>;
  return isGone(error) && (syscall === 'shmat' || syscall === 'shmctl');
}

function toStat(raw: NativeSysvShmStat): SysvSharedMemoryStat {
  const { attachedAtMs, detachedAtMs, changedAtMs, ...rest } = raw;
  return {
    ...rest,
    key: keyOf(raw.key),
    attachedAt: dateOf(attachedAtMs),
    detachedAt: dateOf(detachedAtMs),
    changedAt: dateOf(changedAtMs),
  };
}
