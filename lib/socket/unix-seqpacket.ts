/** Seqpacket sockets: a connection that carries messages, in order and each as a whole. man 7 unix, SOCK_SEQPACKET */
import { checkFd } from '../internal/arguments.js';
import type { MessageData } from '../internal/bytes.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { native } from '../internal/native.js';
import { writable } from '../internal/poller.js';
import { seriesOf } from '../internal/series.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import type { SocketAddressLike } from './address.js';
import { type Connection, connect, connectSync, tryConnect } from './connecting.js';
import type { SocketMessage } from './message.js';
import { type Exit, sendBy, sendSyncBy, trySendBy } from './message-sending.js';
import { checkReceive, type ReceiveSettings, type SendOptions } from './options.js';
import type { ReceiveIntoOptions } from './unix-datagram.js';
import { orClose, prepareSocket, type SocketSetup, UnixSocket } from './unix-socket.js';

/**
 * A connection that carries messages both ways, in order and each whole. man 7 unix, SOCK_SEQPACKET. docs/sockets.md
 */
export class UnixSeqpacket extends UnixSocket implements AsyncIterable<SocketMessage> {
  readonly #exit: Exit;

  /** @internal Use the factories, `socketPair` or a `UnixSeqpacketServer`. */
  constructor(key: symbol, setup: SocketSetup) {
    checkConstruct(key, 'UnixSeqpacket');
    super('seqpacket', setup);
    this.#exit = {
      descriptor: () => this.descriptor,
      turns: this.writing,
      address: undefined,
      sleep: (nanoseconds) => this.sleep(writable, nanoseconds),
    };
  }

  /**
   * Connects to a server, and waits while its backlog is full. man 2 connect.
   *
   * @throws (rejects with) `ENOENT`; `ECONNREFUSED` where nobody listens; `EACCES`; `EPROTOTYPE` where it is a socket of
   *   another type; `ENAMETOOLONG`; `ETIMEDOUT`; `AbortError`; `EMFILE`.
   */
  static connect(
    address: SocketAddressLike,
    options?: ReceiveSettings & WaitOptions,
  ): Promise<UnixSeqpacket> {
    return connect(to(address), options);
  }

  /** As `connect`, blocking the calling thread. */
  static connectSync(address: SocketAddressLike, options?: ReceiveSettings & SyncWaitOptions): UnixSeqpacket {
    return connectSync(to(address), options);
  }

  /** As `connect`, without waiting: null while the backlog is full. */
  static tryConnect(address: SocketAddressLike, options?: ReceiveSettings): UnixSeqpacket | null {
    return tryConnect(to(address), options);
  }

  /**
   * The socket behind a descriptor from elsewhere, which is duplicated: the caller keeps his own.
   *
   * @throws `ENOTSOCK`; `EAFNOSUPPORT` where it is no UNIX socket; `EPROTOTYPE` for one of another type; `EBADF`.
   */
  static fromFd(fd: number, options?: ReceiveSettings): UnixSeqpacket {
    const receive = checkReceive(options);
    return seqpacketOf({
      descriptor: native.socketFromFd(checkFd(fd), native.socketConstants.seqpacket),
      receive,
    });
  }

  /**
   * Sends, unless there is no room now; then returns false. An empty message is one, too. man 2 sendmsg.
   *
   * @throws `EPIPE` when the other end is closed; `EMSGSIZE` for a message above `sendBufferSize`; `ENOTCONN`; `EBADF`
   *   for a descriptor that isn't open; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  trySend(data: MessageData, options?: SendOptions): boolean {
    return trySendBy(this.#exit, data, options);
  }

  /**
   * As `trySend`, waiting until there is room. Don't change `data` before it resolves.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `trySend` throws.
   */
  send(data: MessageData, options?: SendOptions & WaitOptions): Promise<void> {
    return sendBy(this.#exit, data, options);
  }

  /** As `send`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  sendSync(data: MessageData, options?: SendOptions & SyncWaitOptions): void {
    sendSyncBy(this.#exit, data, options);
  }

  /**
   * The next message; null when there is none now, undefined at the end: the other side has closed, or ended its writing.
   * It is always whole. man 2 recvmsg.
   *
   * @throws `ECONNRESET`, once and after the messages, when the other side closed without having read all; `EMSGSIZE` where another process takes
   *   messages from the same socket, and a longer one came in between; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`.
   */
  tryReceive(options?: ReceiveIntoOptions): SocketMessage | null | undefined {
    return this.tryReceiveNow(options);
  }

  /**
   * As `tryReceive`, waiting for a message.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `tryReceive` throws.
   */
  receive(options?: ReceiveIntoOptions & WaitOptions): Promise<SocketMessage | undefined> {
    return this.receiveLater(options);
  }

  /** As `receive`, blocking the calling thread. */
  receiveSync(options?: ReceiveIntoOptions & SyncWaitOptions): SocketMessage | undefined {
    return this.receiveNow(options);
  }

  /** Messages as they come, until the end. Leaving the loop closes nothing; closing the socket ends it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SocketMessage> {
    return seriesOf({ next: () => this.receive(), isClosed: () => this.closed });
  }

  /** Sends no more: the other side sees the end. Receiving goes on. man 2 shutdown, SHUT_WR. */
  end(): void {
    native.socketEnd(this.descriptor);
  }
}

const to = (address: SocketAddressLike): Connection<UnixSeqpacket> => ({
  type: 'seqpacket',
  address,
  make: seqpacketOf,
});

/** Takes over the descriptor. */
export function seqpacketOf(setup: SocketSetup): UnixSeqpacket {
  return orClose(setup.descriptor, () => {
    prepareSocket(setup.descriptor, setup.receive);
    return new UnixSeqpacket(construct, setup);
  });
}
