/**
 * System V semaphore sets (man 7 sysvipc): counters, on which several operations are done as one or not at all. A set
 * lives until somebody removes it. What a process did with `undo` the kernel undoes when the process ends.
 */
import { constants } from 'node:os';
import { IpcError } from '../errors.js';
import { type AccessOptions, checkAccess } from '../internal/access.js';
import { checkInteger, checkOptions } from '../internal/arguments.js';
import type { Blocking } from '../internal/blocking-lines.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { openOrCreate, undo } from '../internal/factories.js';
import { checkId, checkKey, checkPublicKey, dateOf, isGone, type Key, keyOf } from '../internal/keys.js';
import { native } from '../internal/native.js';
import type { NativeSysvSemStat } from '../internal/native-semaphores.js';
import { type SysvKind, SysvObject, type SysvSetup } from '../internal/sysv-object.js';
import { again } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import {
  checkOperations,
  checkValue,
  checkValues,
  keyOfOperations,
  type SemaphoreOperation,
} from './operations.js';
import { whenReady, whenReadySync } from './readiness.js';

/** How a set is made; of its `mode`, `uid` and `gid`: `AccessOptions`. */
export interface SysvSemaphoreSetCreateOptions extends AccessOptions {
  /** How many semaphores: 1 to sysctl kernel.sem (its first number, 32,000). */
  count: number;
  /** The values at first: one for each, or one for all; 0 to 32,767, 0 by default. */
  initial?: number | readonly number[];
}

/** What the kernel says of a set (man 2 semctl, IPC_STAT). */
export interface SysvSemaphoreSetStat {
  /** As `fromId` takes it. */
  id: number;
  /** Null: private. */
  key: Key;
  /** How many semaphores. */
  count: number;
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
  /** When somebody last did an operation; null: nobody ever. */
  operatedAt: Date | null;
  /** When it was made, its owner or mode last changed, or a value was set. */
  changedAt: Date | null;
}

interface SetSetup extends SysvSetup {
  count: number;
}

const countMax = 0xffff; // indices have 16 bits
/** How long openOrCreate waits for a set that another process is making, before it takes that for dead. */
const makingMs = 5000;
/** As native.sysvSemAsk knows them. */
const fact = { value: 0, lastPid: 1, waitingForIncrease: 2, waitingForZero: 3 } as const;

const kind: SysvKind = {
  name: 'System V semaphore set',
  look: (id) => native.sysvSemStat(id),
  find: (key) => native.sysvSemOpen(key),
};

/**
 * System V semaphore sets (man 7 sysvipc): counters, on which several operations are done as one or not at all, and
 * with `undo` are undone when their process ends. docs/semaphores.md
 */
export class SysvSemaphoreSet extends SysvObject {
  readonly #count: number;

  /** @internal Use the factories. */
  constructor(key: symbol, setup: SetSetup) {
    checkConstruct(key, 'SysvSemaphoreSet');
    super(kind, setup);
    this.#count = setup.count;
  }

  /**
   * Makes a new set and fills it in: nobody sees it before (until then only its maker may use it). man 2 semget, semctl.
   *
   * @param key From `ftok`, any other 32-bit number, or null for one that only its id leads to.
   * @throws `EEXIST`; `EINVAL`, `ENOSPC` with the limit; `EPERM` (owner); `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`,
   *   `ERR_OUT_OF_RANGE`.
   */
  static create(key: Key, options: SysvSemaphoreSetCreateOptions): SysvSemaphoreSet {
    const checked = checkKey(key);
    const { count, values, access } = checkCreate(options);
    const id = native.sysvSemCreate(checked ?? 0, values, ...access);
    return new SysvSemaphoreSet(construct, { id, key: checked, created: true, count });
  }

  /**
   * Opens the set of a key. Where another process is just making it, waits until it is filled in; one that some other
   * program has made counts as that. man 2 semget.
   *
   * @throws (rejects with) `ENOENT`; `EACCES`; `ETIMEDOUT` where its maker was killed or stopped in the middle: remove() it
   *   then; `AbortError`; and for arguments as `create`.
   */
  static async open(key: number, options?: WaitOptions): Promise<SysvSemaphoreSet> {
    const checked = checkPublicKey(key);
    return whenReady(options, () => tryOpen(checked));
  }

  /** As `open`, blocking the calling thread. */
  static openSync(key: number, options?: SyncWaitOptions): SysvSemaphoreSet {
    const checked = checkPublicKey(key);
    return whenReadySync(options, () => tryOpen(checked));
  }

  /** Opens the set of a key; null while another process is making it. Throws `ENOENT`, `EACCES`, as `open` rejects. */
  static tryOpen(key: number): SysvSemaphoreSet | null {
    return tryOpen(checkPublicKey(key));
  }

  /**
   * Opens the set of a key, or makes it where there is none: `.created` tells which. The values, mode and owner of one that
   * exists are left as they are, and so is its count, unless that is less: `EINVAL`, as of semget. One whose maker has left it
   * half-made for 5 seconds is removed, and made anew.
   * Throws as `openSync` and `create` do.
   */
  static openOrCreate(key: number, options: SysvSemaphoreSetCreateOptions): SysvSemaphoreSet {
    const checked = checkPublicKey(key);
    const { count } = checkCreate(options);
    return openOrCreate(
      () => largeEnough(openOrClear(checked), count),
      () => createOrAgain(checked, options),
    );
  }

  /** The set of an id: the way to a private one. Throws `EINVAL` where there is none, `EACCES`. */
  static fromId(id: number): SysvSemaphoreSet {
    const checked = checkId(id);
    const { key, count } = native.sysvSemStat(checked);
    return new SysvSemaphoreSet(construct, { id: checked, key: keyOf(key), created: false, count });
  }

  /** All sets of this IPC namespace, whoever made them (as `ipcs -s`). */
  static list(): SysvSemaphoreSetStat[] {
    return native.sysvSemList().map(toStat);
  }

  /** Removes a set by its id, as `ipcrm -s` does. Throws `EINVAL` where there is none, `EPERM`. */
  static remove(id: number): void {
    native.sysvSemRemove(checkId(id));
  }

  /** How many semaphores it has. */
  get count(): number {
    return this.#count;
  }

  /**
   * Does all the operations, in their order, if all can be done now; else does none and returns false. man 2 semop.
   *
   * @throws `E2BIG` for more than sysctl kernel.sem allows in one call (its third number); `ERANGE` for a value above
   *   32,767; `ENOSPC`, `ENOMEM` of `undo`; `EACCES`; `EIDRM` or `EINVAL` when the set was removed; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  tryOp(operations: SemaphoreOperation | readonly SemaphoreOperation[]): boolean {
    this.checkOpen();
    const checked = checkOperations(operations, this.#count);
    this.checkOpen(); // asked again: a getter of an operation may have closed it
    if (!this.lines.isEmpty && this.lines.isBusy(keyOfOperations(checked))) return false;
    return native.sysvSemOperate(this.id, checked);
  }

  /**
   * As `tryOp`, waiting on a thread of its own until all can be done. man 2 semop.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `EAGAIN` for an operation with `noWait`; `EIDRM` when the set is
   *   removed meanwhile; and as `tryOp` throws.
   */
  op(operations: SemaphoreOperation | readonly SemaphoreOperation[], options?: WaitOptions): Promise<void> {
    try {
      const { line, operating } = this.#operating(operations);
      return this.lines.run(line, operating, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `op`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait for the same. */
  opSync(operations: SemaphoreOperation | readonly SemaphoreOperation[], options?: SyncWaitOptions): void {
    const { line, operating } = this.#operating(operations);
    this.lines.runSync(line, operating, options);
  }

  /** All values, as they were at one moment. man 2 semctl, GETALL. Throws `EACCES`, `EIDRM`, `ERR_INTERPROC_CLOSED`. */
  getAll(): number[] {
    this.checkOpen();
    return native.sysvSemValues(this.id);
  }

  /** Sets all values at once, and clears what was to be undone. man 2 semctl, SETALL. Throws `EACCES`, `EIDRM`. */
  setAll(values: readonly number[]): void {
    this.checkOpen();
    native.sysvSemSetValues(this.id, checkValues(values, 'values', this.#count));
  }

  /** The value of one. man 2 semctl, GETVAL. Throws `EACCES`, `EIDRM`, `ERR_OUT_OF_RANGE`. */
  get(index: number): number {
    return this.#ask(index, fact.value);
  }

  /** Sets the value of one, and clears what was to be undone of it. man 2 semctl, SETVAL. Throws `EACCES`, `EIDRM`. */
  set(index: number, value: number): void;
  /** Changes owner or permissions. man 2 semctl, IPC_SET. Throws `EPERM`, `EACCES`. */
  set(change: AccessOptions): void;
  set(what: number | AccessOptions, value?: number): void {
    this.checkOpen();
    if (typeof what === 'number') {
      native.sysvSemSetValue(this.id, this.#checkIndex(what), checkValue(value, 'value'));
      return;
    }
    const given = checkOptions(what, true);
    const [mode, uid, gid] = checkAccess(given);
    native.sysvSemSet(this.id, given.mode === undefined ? undefined : mode, uid, gid);
  }

  /** How many wait for one to become larger, and how many for it to become 0. man 2 semctl, GETNCNT, GETZCNT */
  waiting(index: number): {
    /** For it to become larger. */
    forIncrease: number;
    /** For it to become 0. */
    forZero: number;
  } {
    return {
      forIncrease: this.#ask(index, fact.waitingForIncrease),
      forZero: this.#ask(index, fact.waitingForZero),
    };
  }

  /** The process that last operated on one; 0: none. man 2 semctl, GETPID */
  lastPid(index: number): number {
    return this.#ask(index, fact.lastPid);
  }

  /** man 2 semctl, IPC_STAT. Throws `EACCES`; `EIDRM` or `EINVAL` when it was removed; `ERR_INTERPROC_CLOSED`. */
  stat(): SysvSemaphoreSetStat {
    this.checkOpen();
    return toStat(native.sysvSemStat(this.id));
  }

  /** Removes the set: all who wait there end in `EIDRM`. Throws `EPERM`. man 2 semctl, IPC_RMID */
  remove(): void {
    this.checkOpen();
    native.sysvSemRemove(this.id);
  }

  #operating(operations: SemaphoreOperation | readonly SemaphoreOperation[]) {
    const { id } = this;
    const checked = checkOperations(operations, this.#count);
    const operating: Blocking<true, undefined> = {
      call: 'semop',
      now: (looks, nanoseconds) =>
        native.sysvSemOperate(id, checked, looks, nanoseconds) ? undefined : again,
      start: (call) => native.sysvSemOperateStart(call, id, checked),
      made: () => undefined,
    };
    return { line: keyOfOperations(checked), operating };
  }

  #ask(index: number, what: 0 | 1 | 2 | 3): number {
    this.checkOpen();
    return native.sysvSemAsk(this.id, this.#checkIndex(index), what);
  }

  #checkIndex(index: unknown): number {
    return checkInteger(index, 'index', 0, this.#count - 1);
  }
}

/** Null while another process is making it. */
function tryOpen(key: number): SysvSemaphoreSet | null {
  for (;;) {
    const id = native.sysvSemOpen(key);
    try {
      if (!native.sysvSemIsReady(id)) return null;
      const { count } = native.sysvSemStat(id);
      return new SysvSemaphoreSet(construct, { id, key, created: false, count });
    } catch (error) {
      // Removed since the line above: the key leads nowhere now, or to a new set.
      if (!isGone(error)) throw error;
    }
  }
}

// EINVAL is also what an owner is whom this user namespace doesn't know, for ever.
const createTries = 100;

/** One that somebody removes while it is being made is made again. */
function createOrAgain(key: number, options: SysvSemaphoreSetCreateOptions): SysvSemaphoreSet {
  for (let left = createTries; ; left--) {
    try {
      return SysvSemaphoreSet.create(key, options);
    } catch (error) {
      const { syscall } = error as IpcError;
      const mayBeGone = isGone(error) && (syscall === 'semctl' || syscall === 'semop');
      if (!mayBeGone || left === 0) throw error;
    }
  }
}

/** Opens it, or fails with ENOENT: also where it was half-made, for so long that its maker must be dead. */
function openOrClear(key: number): SysvSemaphoreSet {
  for (;;) {
    const id = native.sysvSemOpen(key);
    try {
      return whenReadySync({ timeout: makingMs }, () => tryOpen(key));
    } catch (error) {
      if ((error as { code?: string }).code !== 'ETIMEDOUT') throw error;
      // Not one that has the key since then: that is just being made, maybe by who has cleared this one away.
      if (native.sysvSemOpen(key) !== id) continue;
      undo(() => {
        if (!native.sysvSemIsReady(id)) native.sysvSemRemove(id);
      });
      if (native.sysvSemOpen(key) === id) return whenReadySync({ timeout: 0 }, () => tryOpen(key));
    }
  }
}

function largeEnough(set: SysvSemaphoreSet, count: number): SysvSemaphoreSet {
  if (set.count >= count) return set;
  const path = `id ${set.id}`;
  throw new IpcError(
    'EINVAL',
    `EINVAL: invalid argument, semget '${path}': the set has ${set.count} semaphores, and ${count} were asked for`,
    { errno: -constants.errno.EINVAL, syscall: 'semget', path },
  );
}

function checkCreate(options: SysvSemaphoreSetCreateOptions) {
  const given = checkOptions(options, true);
  const count = checkInteger(given.count, 'options.count', 1, countMax);
  return {
    count,
    values: checkValues(given.initial ?? 0, 'options.initial', count),
    access: checkAccess(given),
  };
}

function toStat(raw: NativeSysvSemStat): SysvSemaphoreSetStat {
  const { operatedAtMs, changedAtMs, ...rest } = raw;
  return { ...rest, key: keyOf(raw.key), operatedAt: dateOf(operatedAtMs), changedAt: dateOf(changedAtMs) };
}
