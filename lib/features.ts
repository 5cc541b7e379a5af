/**
 * What this platform, kernel and runtime have, so that an application can degrade without try/catch. Each is looked for
 * when it is first read, by system calls that make nothing that anybody sees; what was found is not looked for again.
 */
import { inspect } from 'node:util';
import { isLoaded, native } from './internal/native.js';

/**
 * Which parts of the package work here. False where the platform or the kernel has none of it, or a container's seccomp
 * filter refuses it. Limits, and the rights that one name or path gives, are no part of it.
 */
export interface Features {
  /** `SharedMemory` by a name: `/dev/shm` is there and this process may make objects in it. */
  readonly sharedMemory: boolean;
  /** `SharedMemory.anonymous` (memfd). */
  readonly anonymousMemory: boolean;
  /** `MappedFile`. */
  readonly mappedFile: boolean;
  /** `SysvSharedMemory`. False where the kernel has no System V IPC (CONFIG_SYSVIPC), as on Android. */
  readonly sysvSharedMemory: boolean;
  /** `{ sharedArrayBuffer: true }`: Node 22.23.3, 24.16, 26.1 or later. */
  readonly sharedArrayBuffer: boolean;
  /** The seal `future-write` (Linux 5.1). */
  readonly futureWriteSeal: boolean;
  /** The seal `exec` (Linux 6.3). */
  readonly execSeal: boolean;
  /** `advise('populate_read')` and `advise('populate_write')` (Linux 5.14). */
  readonly populate: boolean;
  /** `advise('cold')` and `advise('pageout')` (Linux 5.4). */
  readonly pageout: boolean;
  /** `advise('hugepage')` (CONFIG_TRANSPARENT_HUGEPAGE). Whether a file system gives any is its own matter. */
  readonly hugePages: boolean;
  /** `advise('collapse')` (Linux 6.1). */
  readonly collapse: boolean;
  /** `createPipe`, `Fifo` and the ends of pipes. */
  readonly pipe: boolean;
  /** UNIX sockets: `UnixDatagram`, `UnixSeqpacket`, `UnixStream`, their servers and `socketPair`. */
  readonly socket: boolean;
  /** `MessageQueue`: POSIX. False where the kernel has none (CONFIG_POSIX_MQUEUE). */
  readonly messageQueue: boolean;
  /** `notifications()` of a `MessageQueue`: word comes over a netlink socket, which this process may make. */
  readonly messageQueueNotifications: boolean;
  /** `SysvMessageQueue`. */
  readonly sysvMessageQueue: boolean;
  /** `peek()` of a `SysvMessageQueue` (CONFIG_CHECKPOINT_RESTORE). */
  readonly sysvMessagePeek: boolean;
  /** `Semaphore` by a name, in `/dev/shm`. `Semaphore.at` works in any memory. */
  readonly semaphore: boolean;
  /** `SysvSemaphoreSet`. */
  readonly sysvSemaphoreSet: boolean;
  /** `waitOn`, `waitOnSync`, `wake`. */
  readonly waiting: boolean;
  /** Whether any number of `waitOn` can be pending (futex_waitv, Linux 5.16), or just 500. */
  readonly futexWaitv: boolean;
  /**
   * `Mutex`, `RwLock`, `Condition`, `Barrier`, `SharedEvent`, `Once` that notice the death of a holder: by open file
   * description locks, which some sandboxes and file systems lack. With `{ recovery: false }` they do without.
   */
  readonly locks: boolean;
  /** `Channel` by a name, in `/dev/shm`. Needs what `locks` does. */
  readonly channel: boolean;
  /** `Channel.anonymous`, `Channel.fromFd`. Needs what `locks` does. */
  readonly anonymousChannel: boolean;
  /** Whether a peer's death is noticed through a pidfd (Linux 5.3), or by a thread that waits for its lock. */
  readonly pidfd: boolean;
}

/** Whether the package works here at all: Linux, with a binary that loads. */
export const isSupported: boolean = isLoaded;

// Where a runtime has no buffer over foreign memory, there is no way to read or write any.
const showsMemory = () => native.hasExternalBuffers();
const named = () => showsMemory() && native.has('posixShm');
const anonymous = () => showsMemory() && native.has('memfd');
const liveness = () => native.has('ownerLocks');

const probes: { readonly [Name in keyof Features]: () => boolean } = {
  sharedMemory: named,
  anonymousMemory: anonymous,
  mappedFile: showsMemory,
  sysvSharedMemory: () => showsMemory() && native.has('sysvShm'),
  sharedArrayBuffer: () => native.hasExternalSharedArrayBuffer,
  futureWriteSeal: () => native.hasSeal(native.seals['future-write']),
  execSeal: () => native.hasSeal(native.seals.exec),
  populate: () => native.hasAdvice(native.advices.populate_write),
  pageout: () => native.hasAdvice(native.advices.pageout),
  hugePages: () => native.hasAdvice(native.advices.hugepage),
  collapse: () => native.hasAdvice(native.advices.collapse),
  pipe: () => true,
  socket: () => native.has('unixSocket'),
  messageQueue: () => native.has('posixMq'),
  messageQueueNotifications: () => native.has('posixMq') && native.has('mqNotify'),
  sysvMessageQueue: () => native.has('sysvMq'),
  sysvMessagePeek: () => native.has('sysvMq') && native.has('sysvMqCopy'),
  semaphore: () => native.has('posixShm'),
  sysvSemaphoreSet: () => native.has('sysvSem'),
  waiting: () => true,
  futexWaitv: () => native.has('futexWaitv'),
  locks: liveness,
  channel: () => liveness() && named(),
  anonymousChannel: () => liveness() && anonymous(),
  pidfd: () => native.has('pidfd'),
};

function lazily(probe: () => boolean): PropertyDescriptor {
  let found: boolean | undefined;
  return {
    enumerable: true,
    get: () => {
      found ??= isLoaded && probe();
      return found;
    },
  };
}

/** Which parts of the package work here. */
export const features: Features = Object.freeze(
  Object.defineProperties(
    // Printed with what was found: else each would be a `[Getter]`.
    Object.create(null, { [inspect.custom]: { value: () => ({ ...features }) } }),
    Object.fromEntries(Object.entries(probes).map(([name, probe]) => [name, lazily(probe)])),
  ),
);
