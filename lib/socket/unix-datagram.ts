/** Datagram sockets: messages of their own, from many to one, in order and never lost. man 7 unix, SOCK_DGRAM */
import { checkFd } from '../internal/arguments.js';
import type { MessageData } from '../internal/bytes.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { native } from '../internal/native.js';
import { writable } from '../internal/poller.js';
import type { ReceiveIntoOptions } from '../internal/read-memory.js';
import { seriesOf } from '../internal/series.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { checkAddress, type SocketAddressLike } from './address.js';
import { LateLooks } from './late-looks.js';
import type { SocketMessage } from './message.js';
import { type Exit, sendBy, sendSyncBy, trySendBy } from './message-sending.js';
import { bindSocket, type SocketFile, unlinkFile, unlinkSocket } from './naming.js';
import { type BindOptions, checkReceive, type ReceiveSettings, type SendOptions } from './options.js';
import { SendLines } from './send-lines.js';
import { createSocket, orClose, prepareSocket, type SocketSetup, UnixSocket } from './unix-socket.js';

export type { ReceiveIntoOptions } from '../internal/read-memory.js';

interface DatagramSetup extends SocketSetup {
  /** The file that it is bound to. */
  file?: SocketFile | undefined;
}

/** Datagram sockets: messages, each whole and in order, from many to one. man 7 unix, SOCK_DGRAM. docs/sockets.md */
export class UnixDatagram extends UnixSocket implements AsyncIterable<SocketMessage> {
  readonly #file: DatagramSetup['file'];
  readonly #toPeer: Exit;
  readonly #lines: SendLines;

  /** @internal Use the factories, or `socketPair`. */
  constructor(key: symbol, setup: DatagramSetup) {
    checkConstruct(key, 'UnixDatagram');
    super('datagram', setup);
    this.#file = setup.file;
    this.#toPeer = {
      descriptor: () => this.descriptor,
      turns: this.writing,
      address: undefined,
      sleep: (nanoseconds) => this.sleep(writable, nanoseconds),
      lateLooks: new LateLooks(this.writing),
    };
    this.#lines = new SendLines({
      descriptor: () => this.descriptor,
      checkOpen: () => this.checkOpen(),
      busyError: (why) => this.busyError(why),
      timers: this.timers,
      watch: this.watch,
    });
  }

  /**
   * A socket with a name, so that others can send to it: a path, whose file has the mode 0o600 unless another is given, or
   * an abstract name. Without an address the kernel gives it an abstract name that is free. man 2 bind.
   *
   * @throws `EADDRINUSE`; `ENAMETOOLONG` for a path above 107 bytes; `ENOENT`, `EACCES`, `EROFS`; `EMFILE`;
   *   `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  static override bind(address?: SocketAddressLike, options?: BindOptions & ReceiveSettings): UnixDatagram {
    const receive = checkReceive(options);
    const name = address === undefined ? undefined : checkAddress(address, 'bind');
    const descriptor = createSocket('datagram');
    return orClose(descriptor, () => {
      prepareSocket(descriptor, receive);
      const file = bindSocket(descriptor, name, options);
      return new UnixDatagram(construct, { descriptor, receive, file });
    });
  }

  /** A socket without a name: it can send, and receives from nobody. Throws `EMFILE`. */
  static create(options?: ReceiveSettings): UnixDatagram {
    return datagramOf({ descriptor: createSocket('datagram'), receive: checkReceive(options) });
  }

  /**
   * The socket behind a descriptor from elsewhere, which is duplicated: the caller keeps his own.
   *
   * @throws `ENOTSOCK`; `EAFNOSUPPORT` where it is no UNIX socket; `EPROTOTYPE` for one of another type; `EBADF`.
   */
  static fromFd(fd: number, options?: ReceiveSettings): UnixDatagram {
    const receive = checkReceive(options);
    const descriptor = native.socketFromFd(checkFd(fd), native.socketConstants.datagram);
    return datagramOf({ descriptor, receive });
  }

  /** Removes a socket's file. Throws `ENOENT`, `EACCES`; `EINVAL` for what is no socket. */
  static unlink(path: SocketAddressLike): void {
    unlinkSocket(path);
  }

  /**
   * From now on `send` goes there, and only what comes from there is received. What it had received and nobody has taken
   * is dropped by the kernel where it was connected before. man 2 connect.
   *
   * @throws `ENOENT`; `ECONNREFUSED` where nobody has that name any more; `EACCES`; `EPROTOTYPE`; `EPERM` where the other
   *   one is connected to somebody else; `ERR_INTERPROC_CLOSED`.
   */
  connect(address: SocketAddressLike): this {
    native.socketTryConnect(this.descriptor, checkAddress(address, 'connect'));
    return this;
  }

  /**
   * Sends to the peer, unless that has too many unread messages; then returns false. An empty message is one, too.
   *
   * @throws `ENOTCONN` without a peer; `ECONNREFUSED` when it is gone; `EMSGSIZE` for a message above `sendBufferSize`;
   *   `EBADF` for a descriptor that isn't open; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  trySend(data: MessageData, options?: SendOptions): boolean {
    return trySendBy(this.#toPeer, data, options);
  }

  /**
   * As `trySend`, waiting until there is room. Don't change `data` before it resolves.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `trySend` throws.
   */
  send(data: MessageData, options?: SendOptions & WaitOptions): Promise<void> {
    return sendBy(this.#toPeer, data, options);
  }

  /** As `send`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  sendSync(data: MessageData, options?: SendOptions & SyncWaitOptions): void {
    sendSyncBy(this.#toPeer, data, options);
  }

  /** As `trySend`, to an address. Throws also `ENOENT`, `EACCES`, `EPROTOTYPE`. */
  trySendTo(data: MessageData, address: SocketAddressLike, options?: SendOptions): boolean {
    return this.#lines.use(checkAddress(address, 'send'), (exit) => trySendBy(exit, data, options));
  }

  /** As `send`, to an address. Those who are full keep only messages to themselves waiting. */
  async sendTo(
    data: MessageData,
    address: SocketAddressLike,
    options?: SendOptions & WaitOptions,
  ): Promise<void> {
    return this.#lines.use(checkAddress(address, 'send'), (exit) => sendBy(exit, data, options));
  }

  /** As `sendTo`, blocking the calling thread. */
  sendToSync(data: MessageData, address: SocketAddressLike, options?: SendOptions & SyncWaitOptions): void {
    this.#lines.use(checkAddress(address, 'send'), (exit) => sendSyncBy(exit, data, options));
  }

  /**
   * The next message; null when there is none now. It is always whole. man 2 recvmsg.
   *
   * @throws `ECONNRESET`, once, when its peer has connected to another and not taken all; `EMSGSIZE` where another process takes
   *   messages from the same socket, and a longer one came in between; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`.
   */
  tryReceive(options?: ReceiveIntoOptions): SocketMessage | null {
    return this.tryReceiveNow(options) ?? null;
  }

  /**
   * As `tryReceive`, waiting for a message.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `tryReceive` throws.
   */
  receive(options?: ReceiveIntoOptions & WaitOptions): Promise<SocketMessage> {
    return this.receiveLater(options) as Promise<SocketMessage>; // there is no end
  }

  /** As `receive`, blocking the calling thread. */
  receiveSync(options?: ReceiveIntoOptions & SyncWaitOptions): SocketMessage {
    return this.receiveNow(options) as SocketMessage;
  }

  /** Messages as they come. Leaving the loop closes nothing; closing the socket ends it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SocketMessage> {
    return seriesOf({ next: () => this.receive(), isClosed: () => this.closed });
  }

  /** @internal */
  protected override onEnd(error: () => unknown): void {
    this.#lines.close(error);
  }

  /** @internal */
  protected override onClosed(): void {
    if (this.#file !== undefined) unlinkFile(this.#file);
  }
}

/** Takes over the descriptor. */
export function datagramOf(setup: SocketSetup): UnixDatagram {
  return orClose(setup.descriptor, () => {
    prepareSocket(setup.descriptor, setup.receive);
    return new UnixDatagram(construct, setup);
  });
}
