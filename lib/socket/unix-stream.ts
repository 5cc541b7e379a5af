/** Stream sockets: a connection that carries bytes, both ways. man 7 unix, SOCK_STREAM */
import type { Buffer } from 'node:buffer';
import type { Duplex, DuplexOptions } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import { checkFd, invalidValue } from '../internal/arguments.js';
import { ByteReading, ByteWriting, type MoveOf } from '../internal/byte-calls.js';
import { duplexOf, webReadableOf, webWritableOf } from '../internal/byte-streams.js';
import { checkLasting, lengthOf, type MessageData, messageBytes } from '../internal/bytes.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { native } from '../internal/native.js';
import { readable, writable } from '../internal/poller.js';
import type { ReadOptions } from '../internal/read-memory.js';
import { seriesOf } from '../internal/series.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import type { SocketAddressLike } from './address.js';
import { type Connection, connect, connectSync, tryConnect } from './connecting.js';
import { Luggage } from './luggage.js';
import type { SocketMessage } from './message.js';
import { checkFds, checkReceive, type ReceiveSettings, type SendOptions } from './options.js';
import { orClose, prepareSocket, type SocketSetup, UnixSocket } from './unix-socket.js';

/** A connection that carries bytes both ways. man 7 unix, SOCK_STREAM. docs/sockets.md */
export class UnixStream extends UnixSocket implements AsyncIterable<Buffer> {
  readonly #in: ByteReading;
  readonly #out: ByteWriting;

  /** @internal Use the factories, `socketPair` or a `UnixStreamServer`. */
  constructor(key: symbol, setup: SocketSetup) {
    checkConstruct(key, 'UnixStream');
    super('stream', setup);
    const descriptor = () => this.descriptor;
    this.#in = new ByteReading({
      descriptor,
      turns: this.reading,
      sleep: (nanoseconds) => this.sleep(readable, nanoseconds),
    });
    this.#out = new ByteWriting(
      { descriptor, turns: this.writing, sleep: (nanoseconds) => this.sleep(writable, nanoseconds) },
      this.what,
    );
  }

  /**
   * Connects to a server, and waits while its backlog is full. man 2 connect.
   *
   * @throws (rejects with) `ENOENT`; `ECONNREFUSED` where nobody listens; `EACCES`; `EPROTOTYPE` where it is a socket of
   *   another type; `ENAMETOOLONG`; `ETIMEDOUT`; `AbortError`; `EMFILE`.
   */
  static connect(address: SocketAddressLike, options?: ReceiveSettings & WaitOptions): Promise<UnixStream> {
    return connect(to(address), options);
  }

  /** As `connect`, blocking the calling thread. */
  static connectSync(address: SocketAddressLike, options?: ReceiveSettings & SyncWaitOptions): UnixStream {
    return connectSync(to(address), options);
  }

  /** As `connect`, without waiting: null while the backlog is full. */
  static tryConnect(address: SocketAddressLike, options?: ReceiveSettings): UnixStream | null {
    return tryConnect(to(address), options);
  }

  /**
   * The socket behind a descriptor from elsewhere, which is duplicated: the caller keeps his own.
   *
   * @throws `ENOTSOCK`; `EAFNOSUPPORT` where it is no UNIX socket; `EPROTOTYPE` for one of another type; `EBADF`.
   */
  static fromFd(fd: number, options?: ReceiveSettings): UnixStream {
    const receive = checkReceive(options);
    return streamOf({ descriptor: native.socketFromFd(checkFd(fd), native.socketConstants.stream), receive });
  }

  /**
   * What has come, at most `size` bytes; null when nothing has, undefined at the end: the other side has closed, or ended
   * its writing. Descriptors that come along are closed: `tryReceive` gives them. man 2 recv.
   *
   * @throws `ECONNRESET`, once, when the other side closed without having read all; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  tryRead(options?: ReadOptions): Buffer | null | undefined {
    return this.#in.tryRead(options);
  }

  /**
   * As `tryRead`, waiting until something comes.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `tryRead`.
   */
  read(options?: ReadOptions & WaitOptions): Promise<Buffer | undefined> {
    return this.#in.read(options);
  }

  /** As `read`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  readSync(options?: ReadOptions & SyncWaitOptions): Buffer | undefined {
    return this.#in.readSync(options);
  }

  /**
   * As `tryRead`, with what came along: descriptors, and who sent it. The kernel never puts bytes into one message that
   * came from different senders, or that came with different descriptors. man 2 recvmsg.
   */
  tryReceive(options?: ReadOptions): SocketMessage | null | undefined {
    return this.tryReceiveNow(options);
  }

  /** As `tryReceive`, waiting until something comes. */
  receive(options?: ReadOptions & WaitOptions): Promise<SocketMessage | undefined> {
    return this.receiveLater(options);
  }

  /** As `receive`, blocking the calling thread. */
  receiveSync(options?: ReadOptions & SyncWaitOptions): SocketMessage | undefined {
    return this.receiveNow(options);
  }

  /**
   * Writes what there is room for now, and returns how many bytes that was; null when there is no room. man 2 sendmsg.
   *
   * @throws `EPIPE` when the other side has closed (and never the signal SIGPIPE); `ERR_INTERPROC_TORN` after a write
   *   that ended half-way; `EBADF` for a descriptor that isn't open; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`;
   *   `ERR_INVALID_ARG_VALUE` for descriptors without a byte to go with.
   */
  tryWrite(data: MessageData, options?: SendOptions): number | null {
    const fds = checkLuggage(data, options);
    return this.#out.tryWrite(data, fds && withLuggage(new Luggage(fds)));
  }

  /**
   * Writes all, waiting for room. Calls that wait are served in order, each wholly before the next. Descriptors go with
   * the first byte. Don't change `data` before it resolves.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `tryWrite` throws. `.bytesWritten` tells how many bytes had
   *   been written: when that is neither none nor all, further writes are refused with `ERR_INTERPROC_TORN`.
   */
  async write(data: MessageData, options?: SendOptions & WaitOptions): Promise<void> {
    const fds = checkLuggage(data, options);
    if (fds === undefined) return this.#out.write(data, options);
    const luggage = new Luggage(fds);
    try {
      luggage.hold();
      await this.#out.write(data, options, withLuggage(luggage));
    } finally {
      luggage.release();
    }
  }

  /** As `write`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  writeSync(data: MessageData, options?: SendOptions & SyncWaitOptions): void {
    const fds = checkLuggage(data, options);
    this.#out.writeSync(data, options, fds && withLuggage(new Luggage(fds)));
  }

  /** As `tryWrite`, of several pieces in a row. man 2 writev. */
  tryWritev(list: readonly MessageData[]): number | null {
    return this.#out.tryWritev(list);
  }

  /** As `write`, of several pieces in a row. */
  writev(list: readonly MessageData[], options?: WaitOptions): Promise<void> {
    return this.#out.writev(list, options);
  }

  /** As `writeSync`, of several pieces in a row. */
  writevSync(list: readonly MessageData[], options?: SyncWaitOptions): void {
    this.#out.writevSync(list, options);
  }

  /** Chunks as they come, until the end. Leaving the loop closes nothing; closing the socket ends it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    return seriesOf({ next: () => this.read(), isClosed: () => this.closed });
  }

  /**
   * Writes no more: the other side sees the end. Reading goes on. Writes that wait fail with `EPIPE`. man 2 shutdown,
   * SHUT_WR. Throws `ENOTCONN`, `ERR_INTERPROC_CLOSED`.
   */
  end(): void {
    native.socketEnd(this.descriptor);
  }

  /** A stream of Node over it. Ending it ends the writing; when both sides have ended, or it is destroyed, this closes. */
  toDuplex(options?: DuplexOptions): Duplex {
    this.checkOpen();
    return duplexOf(this, () => this.end(), options);
  }

  /** The two streams of the web over it. When both have ended this closes; aborting or cancelling closes at once. */
  toWeb(): {
    /** What comes. */
    readable: ReadableStream<Uint8Array>;
    /** What is sent; its end is `end()`. */
    writable: WritableStream<MessageData>;
  } {
    this.checkOpen();
    let open = 2;
    const ended = () => {
      if (--open === 0) this.close();
    };
    return {
      readable: webReadableOf(this, ended),
      writable: webWritableOf(this, () => {
        this.end();
        ended();
      }),
    };
  }
}

const to = (address: SocketAddressLike): Connection<UnixStream> => ({
  type: 'stream',
  address,
  make: streamOf,
});

/** Takes over the descriptor. */
export function streamOf(setup: SocketSetup): UnixStream {
  return orClose(setup.descriptor, () => {
    prepareSocket(setup.descriptor, setup.receive);
    return new UnixStream(construct, setup);
  });
}

function checkLuggage(data: MessageData, options: SendOptions | undefined): readonly number[] | undefined {
  const fds = checkFds(options);
  if (fds !== undefined && lengthOf(messageBytes(data)) === 0) {
    throw invalidValue('data', 'must have a byte at least, for descriptors to go with it', data);
  }
  return fds;
}

/** The descriptors go with the first byte. */
const withLuggage =
  (luggage: Luggage): MoveOf =>
  (bytes) => {
    const length = lengthOf(bytes);
    return (descriptor, offset, looks) => {
      checkLasting(bytes, length, 'data');
      const fds = offset === 0 ? luggage.fds : undefined;
      return native.socketSend(descriptor, bytes, offset, looks, fds, undefined);
    };
  };
