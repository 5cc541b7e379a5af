/** Servers: sockets that listen, and give a socket for each connection. man 2 listen, man 2 accept */
import { IpcError } from '../errors.js';
import { checkFd } from '../internal/arguments.js';
import { DescriptorObject } from '../internal/descriptor-object.js';
import { type NativeDescriptor, native } from '../internal/native.js';
import { readable } from '../internal/poller.js';
import { seriesOf } from '../internal/series.js';
import { again } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { checkAddress, type SocketAddress, type SocketAddressLike, toAddress } from './address.js';
import { bindSocket, type SocketFile, unlinkFile } from './naming.js';
import {
  type CheckedReceive,
  checkBacklog,
  checkReceive,
  type ListenOptions,
  type ReceiveSettings,
} from './options.js';
import { createSocket, orClose, prepareSocket, type SocketSetup, type SocketType } from './unix-socket.js';

/** Where there are no descriptors, another try comes so much later: nobody tells when one is free. */
const retryMs = 50;

export interface ServerSetup extends SocketSetup {
  file?: SocketFile | undefined;
}

export abstract class UnixServer<Socket> extends DescriptorObject implements AsyncIterable<Socket> {
  readonly #receive: CheckedReceive;
  readonly #file: SocketFile | undefined;
  readonly #make: (setup: SocketSetup) => Socket;
  #retry: NodeJS.Timeout | undefined;
  #warned = false;

  /** @internal Takes over the descriptor. */
  protected constructor(type: SocketType, setup: ServerSetup, make: (setup: SocketSetup) => Socket) {
    super(setup.descriptor, `The server of ${type} sockets`);
    this.#receive = setup.receive;
    this.#file = setup.file;
    this.#make = make;
  }

  /** Where it listens. Throws `ERR_INTERPROC_CLOSED`. */
  get address(): SocketAddress | null {
    return toAddress(native.socketName(this.descriptor, false));
  }

  /**
   * The next connection; null when nobody is waiting. man 2 accept.
   *
   * @throws `EMFILE`, `ENFILE`: the connection waits on; `ERR_INTERPROC_CLOSED`.
   */
  tryAccept(): Socket | null {
    const { descriptor } = this;
    if (!this.reading.idle) return null;
    const accepted = native.socketTryAccept(descriptor);
    return accepted === null ? null : this.#socketOf(accepted);
  }

  /**
   * As `tryAccept`, waiting for a connection, and for a descriptor where there is none: it warns then, and goes on when
   * one is free. Nothing is lost meanwhile.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `EMFILE`, `ENFILE` when the timeout is over and that is why.
   */
  async accept(options?: WaitOptions): Promise<Socket> {
    let problem: unknown;
    try {
      return await this.reading.run('accept', options, {
        step: () => {
          problem = undefined;
          const accepted = this.#accept((error) => {
            problem = error;
            this.#retryLater();
          });
          return accepted ?? again;
        },
      });
    } catch (error) {
      throw problem !== undefined && isTimeout(error) ? problem : error;
    }
  }

  /** As `accept`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  acceptSync(options?: SyncWaitOptions): Socket {
    let problem: unknown;
    const step = () => {
      problem = undefined;
      const accepted = this.#accept((error) => {
        problem = error;
      });
      return accepted ?? again;
    };
    const sleep = (nanoseconds: number) => {
      // Somebody is there, and so it would not sleep on the descriptor.
      if (problem === undefined) this.sleep(readable, nanoseconds);
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, nanoseconds / 1e6);
    };
    try {
      return this.reading.runSync('accept', options, { step }, sleep);
    } catch (error) {
      throw problem !== undefined && isTimeout(error) ? problem : error;
    }
  }

  /** Connections as they come. Leaving the loop closes nothing; closing the server ends it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Socket> {
    return seriesOf({ next: () => this.accept(), isClosed: () => this.closed });
  }

  /** @internal */
  protected override onEnd(): void {
    if (this.#retry !== undefined) this.timers.stop(this.#retry);
  }

  /** @internal */
  protected override onClosed(): void {
    if (this.#file !== undefined) unlinkFile(this.#file);
  }

  /** Undefined: nobody is waiting, or there is no descriptor for him. */
  #accept(isOut: (error: unknown) => void): Socket | undefined {
    let accepted: NativeDescriptor | null;
    try {
      accepted = native.socketTryAccept(this.descriptor);
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      if (!this.#warned)
        process.emitWarning(`${this.what} can't accept, and goes on when it can: ${error.message}`);
      this.#warned = true;
      isOut(error);
      return undefined;
    }
    this.#warned = false;
    return accepted === null ? undefined : this.#socketOf(accepted);
  }

  #retryLater(): void {
    if (this.#retry !== undefined) return;
    this.#retry = this.timers.start(retryMs, () => {
      this.timers.stop(this.#retry as NodeJS.Timeout);
      this.#retry = undefined;
      this.reading.serve();
    });
  }

  #socketOf(descriptor: NativeDescriptor): Socket {
    return this.#make({ descriptor, receive: this.#receive });
  }
}

export function listenAt(
  type: SocketType,
  address: SocketAddressLike,
  options: ListenOptions | undefined,
): ServerSetup {
  const receive = checkReceive(options);
  const backlog = checkBacklog(options);
  const name = checkAddress(address, 'bind');
  const descriptor = createSocket(type);
  return orClose(descriptor, () => {
    // For those who connect and send before they are accepted.
    prepareSocket(descriptor, receive);
    const file = bindSocket(descriptor, name, options);
    try {
      native.socketListen(descriptor, backlog);
    } catch (error) {
      if (file !== undefined) unlinkFile(file);
      throw error;
    }
    return { descriptor, receive, file };
  });
}

/** A socket that listens already: as systemd hands it over. */
export function serverFromFd(
  type: SocketType,
  fd: number,
  options: ReceiveSettings | undefined,
): ServerSetup {
  const receive = checkReceive(options);
  const { listens, [type]: number } = native.socketConstants;
  const descriptor = native.socketFromFd(checkFd(fd), number);
  return orClose(descriptor, () => {
    if (native.socketOption(descriptor, listens) === 0) {
      throw new IpcError('EINVAL', 'EINVAL: invalid argument, accept: the socket does not listen', {
        syscall: 'accept',
      });
    }
    prepareSocket(descriptor, receive);
    return { descriptor, receive };
  });
}

function isOutOfDescriptors(error: unknown): error is Error {
  return error instanceof IpcError && (error.code === 'EMFILE' || error.code === 'ENFILE');
}

function isTimeout(error: unknown): boolean {
  return (error as { code?: string }).code === 'ETIMEDOUT';
}
