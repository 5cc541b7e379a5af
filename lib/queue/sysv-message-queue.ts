/**
 * System V message queues (man 7 sysvipc): messages with a type, by which receivers pick them. A queue lives until
 * somebody removes it, whoever made it.
 */
import { constants } from 'node:os';
import { IpcError } from '../errors.js';
import { type AccessOptions, checkAccess } from '../internal/access.js';
import { checkBoolean, checkInteger, checkOptions } from '../internal/arguments.js';
import type { Blocking } from '../internal/blocking-lines.js';
import { checkLasting, lengthOf, type MessageData, messageBytes } from '../internal/bytes.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { openOrCreate, undo } from '../internal/factories.js';
import { checkId, checkKey, checkPublicKey, dateOf, isGone, type Key, keyOf } from '../internal/keys.js';
import { native } from '../internal/native.js';
import type { NativeSysvMqStat } from '../internal/native-queues.js';
import { seriesOf } from '../internal/series.js';
import { type SysvKind, SysvObject, type SysvSetup } from '../internal/sysv-object.js';
import { again } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import {
  checkType,
  checkWanted,
  lineOf,
  peeked,
  receiveNow,
  receiving,
  type SysvMessage,
  type SysvReceiveOptions,
  type SysvTypeOptions,
} from './sysv-message.js';

/** How a queue is made; of its `mode`, `uid` and `gid`: `AccessOptions`. */
export interface SysvMessageQueueOptions extends AccessOptions {
  /** Bytes of messages that it holds; sysctl kernel.msgmnb by default, and more only with privilege (CAP_SYS_RESOURCE). */
  maxBytes?: number;
}

/** What the kernel says of a queue (man 2 msgctl, IPC_STAT). */
export interface SysvMessageQueueStat {
  /** As `fromId` takes it. */
  id: number;
  /** Null: private. */
  key: Key;
  /** Messages that are in it now. */
  messages: number;
  /** Bytes that are in it now. */
  bytes: number;
  /** Bytes that it holds. */
  maxBytes: number;
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
  /** Process that sent last; 0: none. */
  lastSendPid: number;
  /** Process that received last; 0: none. */
  lastReceivePid: number;
  /** When somebody last sent; null: nobody ever. */
  sentAt: Date | null;
  /** When somebody last received; null: nobody ever. */
  receivedAt: Date | null;
  /** When it was made, or its owner, mode or limit last changed. */
  changedAt: Date | null;
}

const maxBytesMax = 0x7fff_ffff;
/** The line of those who send. */
const sendingLine = 'send';

const kind: SysvKind = {
  name: 'System V message queue',
  look: (id) => native.sysvMqStat(id),
  find: (key) => native.sysvMqGet(key, false, 0),
};

/**
 * System V message queues (man 7 sysvipc): messages with a type, by which receivers pick them. A queue lives until
 * somebody removes it. docs/queues.md
 */
export class SysvMessageQueue extends SysvObject implements AsyncIterable<SysvMessage> {
  /** @internal Use the factories. */
  constructor(key: symbol, setup: SysvSetup) {
    checkConstruct(key, 'SysvMessageQueue');
    super(kind, setup);
  }

  /**
   * Makes a new queue. man 2 msgget. A given `uid`, `gid` or `maxBytes` is set a moment after it appears (IPC_SET):
   * System V has no other way.
   *
   * @param key From `ftok`, any other 32-bit number, or null for one that only its id leads to.
   * @throws `EEXIST`; `ENOSPC` with the limit; `EPERM` for more than `kernel.msgmnb` bytes; `ERR_INVALID_ARG_TYPE`,
   *   `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  static create(key: Key, options?: SysvMessageQueueOptions): SysvMessageQueue {
    const checked = checkKey(key);
    const [mode, uid, gid] = checkAccess(checkOptions(options));
    const maxBytes = checkMaxBytes(options);
    const id = native.sysvMqGet(checked ?? 0, true, mode);
    try {
      if (uid !== undefined || gid !== undefined || maxBytes !== undefined) {
        native.sysvMqSet(id, mode, uid, gid, maxBytes);
      }
      return new SysvMessageQueue(construct, { id, key: checked, created: true });
    } catch (error) {
      undo(() => native.sysvMqRemove(id));
      throw error;
    }
  }

  /** The queue of a key. man 2 msgget. Throws `ENOENT`, `EACCES`; and for arguments as `create`. */
  static open(key: number): SysvMessageQueue {
    const checked = checkPublicKey(key);
    const id = native.sysvMqGet(checked, false, 0);
    return new SysvMessageQueue(construct, { id, key: checked, created: false });
  }

  /**
   * Opens the queue of a key, or makes it where there is none: `.created` tells which. The mode, owner and limit of one
   * that exists are left as they are. Throws as `open` and `create` do.
   */
  static openOrCreate(key: number, options?: SysvMessageQueueOptions): SysvMessageQueue {
    checkAccess(checkOptions(options));
    checkMaxBytes(options);
    return openOrCreate(
      () => SysvMessageQueue.open(key),
      () => SysvMessageQueue.create(checkPublicKey(key), options),
    );
  }

  /** The queue of an id: the way to a private one. Throws `EINVAL` where there is none, `EACCES`. */
  static fromId(id: number): SysvMessageQueue {
    const checked = checkId(id);
    const { key } = native.sysvMqStat(checked);
    return new SysvMessageQueue(construct, { id: checked, key: keyOf(key), created: false });
  }

  /** All queues of this IPC namespace, whoever made them (as `ipcs -q`). */
  static list(): SysvMessageQueueStat[] {
    return native.sysvMqList().map(toStat);
  }

  /** Removes a queue by its id, as `ipcrm -q` does. Throws `EINVAL` where there is none, `EPERM`. */
  static remove(id: number): void {
    native.sysvMqRemove(checkId(id));
  }

  /** man 2 msgctl, IPC_STAT. Throws `EACCES`; `EIDRM` or `EINVAL` when it was removed; `ERR_INTERPROC_CLOSED`. */
  stat(): SysvMessageQueueStat {
    this.checkOpen();
    return toStat(native.sysvMqStat(this.id));
  }

  /** Changes owner, permissions or limit. man 2 msgctl, IPC_SET. Throws `EPERM`, also for more than `kernel.msgmnb`. */
  set(change: SysvMessageQueueOptions): void {
    this.checkOpen();
    const given = checkOptions(change, true);
    const [mode, uid, gid] = checkAccess(given);
    native.sysvMqSet(this.id, given.mode === undefined ? undefined : mode, uid, gid, checkMaxBytes(given));
  }

  /** Removes the queue and what is in it: all who wait there end in `EIDRM`. Throws `EPERM`. man 2 msgctl, IPC_RMID */
  remove(): void {
    this.checkOpen();
    native.sysvMqRemove(this.id);
  }

  /**
   * Sends a message, unless the queue has no room: then returns false. man 2 msgsnd.
   *
   * @param type Above 0.
   * @throws `EINVAL` for one above sysctl kernel.msgmax, `EMSGSIZE` above what the queue holds, with the limit; `EACCES`; `EIDRM` or
   *   `EINVAL` when it was removed; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  trySend(type: number | bigint, data: MessageData): boolean {
    this.checkOpen();
    const checked = checkType(type);
    const bytes = messageBytes(data);
    return !this.lines.isBusy(sendingLine) && sendNow(this.id, checked, bytes, 0, 0) !== again;
  }

  /**
   * As `trySend`, waiting on a thread of its own until there is room. `data` may be changed once it has begun to wait, not
   * before.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `EIDRM` when it is removed meanwhile; and as `trySend` throws.
   */
  send(type: number | bigint, data: MessageData, options?: WaitOptions): Promise<void> {
    try {
      return this.lines.run(sendingLine, this.#sending(type, data), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `send`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  sendSync(type: number | bigint, data: MessageData, options?: SyncWaitOptions): void {
    this.lines.runSync(sendingLine, this.#sending(type, data), options);
  }

  /**
   * The next message of those that are asked for; null when there is none now. man 2 msgrcv.
   *
   * @throws `E2BIG` for one above `size`, which stays; `EACCES`; `EIDRM` or `EINVAL` when the queue was removed;
   *   `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  tryReceive<Big extends boolean = false>(
    options?: SysvReceiveOptions<Big>,
  ): SysvMessage<Big extends true ? bigint : number> | null {
    this.checkOpen();
    const wanted = checkWanted(options);
    this.checkOpen(); // asked again: the getter of an option may have closed it
    if (!this.lines.isEmpty && this.lines.isBusy(lineOf(wanted))) return null;
    const message = receiveNow(this.id, wanted, 0, 0);
    return message === again ? null : message;
  }

  /**
   * As `tryReceive`, waiting on a thread of its own for one. Those who ask for the same get messages in the order in which
   * they asked.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `EIDRM` when the queue is removed meanwhile; and as `tryReceive`
   *   throws.
   */
  receive<Big extends boolean = false>(
    options?: SysvReceiveOptions<Big> & WaitOptions,
  ): Promise<SysvMessage<Big extends true ? bigint : number>> {
    try {
      const wanted = checkWanted(options);
      return this.lines.run(lineOf(wanted), receiving(this.id, wanted), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `receive`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait for the same. */
  receiveSync<Big extends boolean = false>(
    options?: SysvReceiveOptions<Big> & SyncWaitOptions,
  ): SysvMessage<Big extends true ? bigint : number> {
    const wanted = checkWanted(options);
    return this.lines.runSync(lineOf(wanted), receiving(this.id, wanted), options);
  }

  /**
   * A copy of the message at that place, 0 the oldest, which stays in the queue; null where there is none. man 2 msgrcv,
   * MSG_COPY.
   *
   * @throws `ENOSYS` where the kernel has that not (CONFIG_CHECKPOINT_RESTORE); `EACCES`; `ERR_INTERPROC_CLOSED`.
   */
  peek<Big extends boolean = false>(
    index = 0,
    options?: SysvTypeOptions<Big>,
  ): SysvMessage<Big extends true ? bigint : number> | null {
    this.checkOpen();
    const big = checkBoolean(checkOptions(options).bigint, 'options.bigint', false);
    return peeked(this.id, checkInteger(index, 'index', 0, maxBytesMax), big);
  }

  /** Messages of all types as they come. Leaving the loop closes nothing; closing the queue ends it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SysvMessage> {
    return seriesOf({ next: () => this.receive(), isClosed: () => this.closed });
  }

  #sending(type: number | bigint, data: MessageData): Blocking<number, undefined> {
    const { id } = this;
    const checked = checkType(type);
    const bytes = messageBytes(data);
    const length = lengthOf(bytes);
    return {
      call: 'msgsnd',
      now: (looks, nanoseconds) => {
        checkLasting(bytes, length, 'data');
        return sendNow(id, checked, bytes, looks, nanoseconds);
      },
      start: (call) => {
        checkLasting(bytes, length, 'data');
        native.sysvMqSendStart(call, id, checked, bytes);
      },
      made: () => undefined,
    };
  }
}

function sendNow(
  id: number,
  type: number | bigint,
  bytes: Uint8Array,
  looks: number,
  nanoseconds: number,
): undefined | typeof again {
  // Each argument that the addon reads costs some nanoseconds.
  const sent =
    looks === 0 && nanoseconds === 0
      ? native.sysvMqSend(id, type, bytes)
      : native.sysvMqSend(id, type, bytes, looks, nanoseconds);
  if (sent >= 0) return undefined;
  checkFits(id, lengthOf(bytes));
  return again;
}

/** There is no room now. Will there ever be? The kernel would wait for that for ever. */
function checkFits(id: number, length: number): void {
  let maxBytes: number;
  try {
    ({ maxBytes } = native.sysvMqStat(id));
  } catch (error) {
    if (isGone(error)) throw error;
    return; // who may send may not always look
  }
  if (length <= maxBytes) return;
  const path = `id ${id}`;
  throw new IpcError(
    'EMSGSIZE',
    `EMSGSIZE: message too long, msgsnd '${path}': it has ${length} bytes, and the queue holds ${maxBytes} in all ` +
      '(set({ maxBytes }), up to sysctl kernel.msgmnb without CAP_SYS_RESOURCE)',
    { errno: -constants.errno.EMSGSIZE, syscall: 'msgsnd', path },
  );
}

function checkMaxBytes(options: SysvMessageQueueOptions | undefined): number | undefined {
  const { maxBytes } = checkOptions(options);
  return maxBytes === undefined ? undefined : checkInteger(maxBytes, 'options.maxBytes', 1, maxBytesMax);
}

function toStat(raw: NativeSysvMqStat): SysvMessageQueueStat {
  const { sentAtMs, receivedAtMs, changedAtMs, ...rest } = raw;
  return {
    ...rest,
    key: keyOf(raw.key),
    sentAt: dateOf(sentAtMs),
    receivedAt: dateOf(receivedAtMs),
    changedAt: dateOf(changedAtMs),
  };
}
