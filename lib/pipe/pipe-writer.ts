/** The end of a pipe that is written. */
import type { Writable, WritableOptions } from 'node:stream';
import type { WritableStream } from 'node:stream/web';
import {
  checkBoolean,
  checkFd,
  checkOptions,
  type HasFd,
  invalidType,
  outOfRange,
} from '../internal/arguments.js';
import { ByteWriting, pipeBuf } from '../internal/byte-calls.js';
import { webWritableOf, writableOf } from '../internal/byte-streams.js';
import type { MessageData } from '../internal/bytes.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { type NativeDescriptor, native } from '../internal/native.js';
import { writable } from '../internal/poller.js';
import type { Turns } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import type { Moving } from './moving.js';
import { PipeEnd, type PipeEndSetup } from './pipe-end.js';
import type { PipeFromFdOptions } from './pipe-reader.js';

/** What tee(2) writes to. */
export interface TeeTarget {
  readonly descriptor: NativeDescriptor;
  /** Its calls that write. */
  readonly turns: Turns;
  /** What copies into it. */
  readonly tees: Set<Moving>;
}

/** Throws `ERR_INVALID_ARG_TYPE`, `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TORN`. */
export let teeTarget: (writer: unknown) => TeeTarget;

/** The end of a pipe that is written (man 7 pipe). docs/pipes.md */
export class PipeWriter extends PipeEnd {
  /** Bytes: writes up to here are never mixed with those of other writers. man 7 pipe */
  static readonly PIPE_BUF: number = pipeBuf;
  readonly #bytes: ByteWriting;
  readonly #tees = new Set<Moving>();

  static {
    teeTarget = (writer) => {
      if (!(writer instanceof PipeWriter)) throw invalidType('writer', 'an instance of PipeWriter', writer);
      const { descriptor, writing: turns } = writer;
      writer.#bytes.checkWhole();
      return { descriptor, turns, tees: writer.#tees };
    };
  }

  /** @internal Use `createPipe`, `Fifo.openWriter` or `PipeWriter.fromFd`. */
  constructor(key: symbol, setup: PipeEndSetup) {
    checkConstruct(key, 'PipeWriter');
    super('writer', setup);
    const end = {
      descriptor: () => this.descriptor,
      turns: this.writing,
      sleep: (nanoseconds: number) => this.sleep(writable, nanoseconds),
    };
    this.#bytes = new ByteWriting(end, this.what, (length) => {
      // The kernel would make several packets of it.
      if (setup.packet && length > pipeBuf) {
        throw outOfRange('data.byteLength', `<= ${pipeBuf}, the longest packet`, length);
      }
    });
  }

  /**
   * The writing end behind a descriptor from elsewhere, which is duplicated: the caller keeps his own.
   *
   * @throws `EINVAL` where it is no pipe; `EBADF` where it is not open for writing; `EMFILE`.
   */
  static fromFd(fd: number, options?: PipeFromFdOptions): PipeWriter {
    const packet = checkBoolean(checkOptions(options).packet, 'options.packet', false);
    return writerOf({ descriptor: native.pipeFromFd(checkFd(fd), true, packet), packet, path: '' });
  }

  /**
   * Writes what there is room for now, and returns how many bytes that was; null when there is no room. Up to `PIPE_BUF`
   * bytes go as a whole or not at all. man 2 write.
   *
   * @throws `EPIPE` when all readers have closed (and never the signal SIGPIPE); `ERR_INTERPROC_TORN` after a write that
   *   ended half-way; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`; `ERR_OUT_OF_RANGE` for too long a packet.
   */
  tryWrite(data: MessageData): number | null {
    return this.#bytes.tryWrite(data);
  }

  /**
   * Writes all, waiting for room. Calls that wait are served in order, each wholly before the next. Don't change `data`
   * before it resolves.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `tryWrite` throws. `.bytesWritten` tells how many bytes had
   *   been written: when that is neither none nor all, further writes are refused with `ERR_INTERPROC_TORN`.
   */
  write(data: MessageData, options?: WaitOptions): Promise<void> {
    return this.#bytes.write(data, options);
  }

  /** As `write`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  writeSync(data: MessageData, options?: SyncWaitOptions): void {
    this.#bytes.writeSync(data, options);
  }

  /** As `tryWrite`, of several pieces in a row. man 2 writev. */
  tryWritev(list: readonly MessageData[]): number | null {
    return this.#bytes.tryWritev(list);
  }

  /** As `write`, of several pieces in a row. */
  writev(list: readonly MessageData[], options?: WaitOptions): Promise<void> {
    return this.#bytes.writev(list, options);
  }

  /** As `writeSync`, of several pieces in a row. */
  writevSync(list: readonly MessageData[], options?: SyncWaitOptions): void {
    this.#bytes.writevSync(list, options);
  }

  /** A stream of Node over it; in packet mode each chunk is a packet. Ending or destroying the stream closes the writer. */
  toWritable(options?: WritableOptions): Writable {
    this.checkOpen();
    return writableOf(this, options, this.packet);
  }

  /** A stream of the web over it. Closing or aborting the stream closes the writer. */
  toWeb(): WritableStream<MessageData> {
    this.checkOpen();
    return webWritableOf(this);
  }

  /**
   * Moves what a descriptor has (a file from its position on, a socket, another pipe) into this pipe inside the kernel:
   * at most `length` bytes, without waiting for room. Null when nothing could be moved, undefined at the end of the file.
   * A file that is not in memory is waited for. man 2 splice.
   *
   * @throws `EPIPE`; `EINVAL` where the file can't be spliced; `EBADF`; `ERR_INTERPROC_TORN`; `ERR_INTERPROC_CLOSED`.
   */
  trySpliceFrom(fd: HasFd, length: number): number | null | undefined {
    this.checkOpen();
    this.#bytes.checkWhole();
    const moved = this.trySplice(this.writing, fd, length);
    if (moved < 0) return null;
    return moved === 0 && length > 0 ? undefined : moved;
  }

  /**
   * As `trySpliceFrom`, until `length` bytes have gone or the file ends; resolves with how many. Waits on a thread of its
   * own. A rejection tells in `.bytesWritten` how many had gone.
   */
  async spliceFrom(fd: HasFd, length: number, options?: WaitOptions): Promise<number> {
    return this.move('splice', this.writing, this.#splicingFrom(fd, length), options);
  }

  /** As `spliceFrom`, blocking the calling thread. */
  spliceFromSync(fd: HasFd, length: number, options?: SyncWaitOptions): number {
    return this.moveSync('splice', this.writing, this.#splicingFrom(fd, length), options);
  }

  /** @internal */
  protected override onClosed(error: () => unknown): void {
    for (const moving of this.#tees) moving.close(error());
  }

  #splicingFrom(fd: HasFd, length: number) {
    const { start, ...move } = this.splicing(fd, length);
    return {
      ...move,
      start: (id: number) => {
        this.#bytes.checkWhole();
        start(id);
      },
      tear: () => this.#bytes.tear(),
    };
  }
}

/** @internal */
export function writerOf(setup: PipeEndSetup): PipeWriter {
  return new PipeWriter(construct, setup);
}
