/** The end of a pipe that is read. */
import type { Buffer } from 'node:buffer';
import type { Readable, ReadableOptions } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import {
  checkBoolean,
  checkFd,
  checkInteger,
  checkOptions,
  type HasFd,
  outOfRange,
} from '../internal/arguments.js';
import { ByteReading, pipeBuf } from '../internal/byte-calls.js';
import { readableOf, webReadableOf } from '../internal/byte-streams.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { native } from '../internal/native.js';
import { readable } from '../internal/poller.js';
import type { ReadOptions } from '../internal/read-memory.js';
import { seriesOf } from '../internal/series.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { PipeEnd, type PipeEndSetup } from './pipe-end.js';
import { type PipeWriter, teeTarget } from './pipe-writer.js';

export type { ReadOptions } from '../internal/read-memory.js';

/** What is known of a pipe that came as a descriptor. */
export interface PipeFromFdOptions {
  /** The pipe carries packets, as those of `createPipe({ packet: true })` do. */
  packet?: boolean;
}

/** The end of a pipe that is read (man 7 pipe). docs/pipes.md */
export class PipeReader extends PipeEnd implements AsyncIterable<Buffer> {
  readonly #bytes: ByteReading;

  /** @internal Use `createPipe`, `Fifo.openReader` or `PipeReader.fromFd`. */
  constructor(key: symbol, setup: PipeEndSetup) {
    checkConstruct(key, 'PipeReader');
    super('reader', setup);
    const end = {
      descriptor: () => this.descriptor,
      turns: this.reading,
      sleep: (nanoseconds: number) => this.sleep(readable, nanoseconds),
    };
    this.#bytes = new ByteReading(end, (target) => {
      // The kernel would drop the rest of a packet.
      if (setup.packet && target.size < pipeBuf) {
        throw outOfRange('options.size', `>= ${pipeBuf}, as a packet may be so long`, target.size);
      }
      return target;
    });
  }

  /**
   * The reading end behind a descriptor from elsewhere, which is duplicated: the caller keeps his own.
   *
   * @throws `EINVAL` where it is no pipe; `EBADF` where it is not open for reading; `EMFILE`.
   */
  static fromFd(fd: number, options?: PipeFromFdOptions): PipeReader {
    const packet = checkBoolean(checkOptions(options).packet, 'options.packet', false);
    return readerOf({ descriptor: native.pipeFromFd(checkFd(fd), false, packet), packet, path: '' });
  }

  /**
   * What is in the pipe now, at most `size` bytes; null when nothing is, undefined at the end: when all writers have
   * closed. A FIFO may go on after that, with another writer. man 2 read.
   *
   * @throws `ERR_INTERPROC_CLOSED`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  tryRead(options?: ReadOptions): Buffer | null | undefined {
    return this.#bytes.tryRead(options);
  }

  /**
   * As `tryRead`, waiting until there is something.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `tryRead`.
   */
  read(options?: ReadOptions & WaitOptions): Promise<Buffer | undefined> {
    return this.#bytes.read(options);
  }

  /** As `read`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  readSync(options?: ReadOptions & SyncWaitOptions): Buffer | undefined {
    return this.#bytes.readSync(options);
  }

  /** Chunks as they come, until the end. Leaving the loop closes nothing; closing the reader ends it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    return seriesOf({ next: () => this.read(), isClosed: () => this.closed });
  }

  /** A stream of Node over it. Destroying the stream, or its end, closes the reader. */
  toReadable(options?: ReadableOptions): Readable {
    this.checkOpen();
    return readableOf(this, options);
  }

  /** A byte stream of the web over it. Cancelling the stream, or its end, closes the reader. */
  toWeb(): ReadableStream<Uint8Array> {
    this.checkOpen();
    return webReadableOf(this);
  }

  /**
   * Moves what is in the pipe to a descriptor (a file, a socket, another pipe) inside the kernel: at most `length` bytes,
   * without waiting for this pipe. Null when nothing could be moved, undefined at the end. man 2 splice.
   *
   * @throws `EINVAL` where the file can't be spliced, as one that is open for appending; `EBADF`; `ERR_INTERPROC_CLOSED`.
   */
  trySpliceTo(fd: HasFd, length: number): number | null | undefined {
    return told(this.trySplice(this.reading, fd, length), length);
  }

  /**
   * As `trySpliceTo`, until `length` bytes have gone or all writers have closed; resolves with how many. Waits on a
   * thread of its own. A rejection tells in `.bytesWritten` how many had gone.
   */
  async spliceTo(fd: HasFd, length: number, options?: WaitOptions): Promise<number> {
    return this.move('splice', this.reading, this.splicing(fd, length), options);
  }

  /** As `spliceTo`, blocking the calling thread. */
  spliceToSync(fd: HasFd, length: number, options?: SyncWaitOptions): number {
    return this.moveSync('splice', this.reading, this.splicing(fd, length), options);
  }

  /**
   * Copies what is in the pipe into another pipe, and leaves it here: at most `length` bytes. Null when nothing could be
   * copied now, also as calls of either end wait; undefined at the end. man 2 tee.
   *
   * @throws `EINVAL` for the two ends of one pipe; `EPIPE`; `ERR_INTERPROC_CLOSED` for either; `ERR_INTERPROC_TORN`.
   */
  tryTee(writer: PipeWriter, length: number): number | null | undefined {
    const { descriptor } = this;
    const to = teeTarget(writer);
    const most = checkInteger(length, 'length', 0);
    const isFree = this.reading.idle && to.turns.idle;
    return isFree ? told(native.pipeTee(descriptor, to.descriptor, most), most) : null;
  }

  /**
   * As `tryTee`, waiting on a thread of its own until something could be copied; undefined at the end. The writer's own
   * calls go on meanwhile: in the middle of a long `write` of it the copy may come between two parts of that.
   */
  async tee(writer: PipeWriter, length: number, options?: WaitOptions): Promise<number | undefined> {
    return copied(await this.move('tee', this.reading, this.#teeing(writer, length), options), length);
  }

  /** As `tee`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls of either end wait. */
  teeSync(writer: PipeWriter, length: number, options?: SyncWaitOptions): number | undefined {
    teeTarget(writer).turns.checkFree();
    return copied(this.moveSync('tee', this.reading, this.#teeing(writer, length), options), length);
  }

  #teeing(writer: PipeWriter, length: number) {
    return {
      length: checkInteger(length, 'length', 0),
      into: teeTarget(writer).tees,
      start: (id: number) => native.pipeTeeStart(id, this.descriptor, teeTarget(writer).descriptor, length),
    };
  }
}

/** Of bytes that were moved: -1 is nothing now, 0 the end. */
function told(moved: number, length: number): number | null | undefined {
  return moved < 0 ? null : copied(moved, length);
}

function copied(moved: number, length: number): number | undefined {
  return moved === 0 && length > 0 ? undefined : moved;
}

/** @internal */
export function readerOf(setup: PipeEndSetup): PipeReader {
  return new PipeReader(construct, setup);
}
