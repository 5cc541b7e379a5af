/** What this platform, runtime and kernel have, so that an application can degrade without try/catch. */
import { isLoaded, native } from './internal/native.js';

/** Which parts of the package work here. */
export interface Features {
  readonly sharedMemory: boolean;
  readonly mappedFile: boolean;
  readonly sysvSharedMemory: boolean;
  /** `createPipe`, `Fifo` and the ends of pipes. */
  readonly pipe: boolean;
  /** UNIX sockets: `UnixDatagram`, `UnixSeqpacket`, `UnixStream`, their servers and `socketPair`. */
  readonly socket: boolean;
  /** `MessageQueue`: POSIX. False where the kernel has none (CONFIG_POSIX_MQUEUE). */
  readonly messageQueue: boolean;
  readonly sysvMessageQueue: boolean;
  /** `Semaphore`: POSIX. */
  readonly semaphore: boolean;
  readonly sysvSemaphoreSet: boolean;
  /** `waitOn`, `waitOnSync`, `wake`. */
  readonly waiting: boolean;
  /** Whether any number of `waitOn` can be pending (futex_waitv, Linux 5.16), or just 500. */
  readonly futexWaitv: boolean;
  readonly channel: boolean;
  /** Whether a peer's death is noticed through a pidfd (Linux 5.3), or by a thread that waits for its lock. */
  readonly pidfd: boolean;
  /** Whether `{ sharedArrayBuffer: true }` works: Node >= 22.23.3, 24.16 or 26.1. */
  readonly sharedArrayBuffer: boolean;
}

/** Whether the package works here at all: Linux, with a binary that loads. */
export const isSupported: boolean = isLoaded;

export const features: Features = Object.freeze({
  sharedMemory: isLoaded,
  mappedFile: isLoaded,
  sysvSharedMemory: isLoaded,
  pipe: isLoaded,
  socket: isLoaded,
  messageQueue: isLoaded && native.hasMq,
  sysvMessageQueue: isLoaded,
  semaphore: isLoaded,
  sysvSemaphoreSet: isLoaded,
  waiting: isLoaded,
  futexWaitv: isLoaded && native.hasFutexWaitv,
  channel: isLoaded,
  pidfd: isLoaded && native.hasPidfd,
  sharedArrayBuffer: isLoaded && native.hasExternalSharedArrayBuffer,
});
