/**
 * FIFOs: pipes with a name in the file system (man 7 fifo).
 *
 * Opening one end waits until somebody has opened the other, as every open(2) of a FIFO does; here a thread of our own
 * waits, so neither the event loop nor libuv's pool is held up.
 */
import { type AccessOptions, checkAccess } from '../internal/access.js';
import { checkBoolean, checkOptions, checkPath, illegalConstructor } from '../internal/arguments.js';
import { type Background, inBackground, inBackgroundSync } from '../internal/background-promise.js';
import { type NativeDescriptor, native } from '../internal/native.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import type { PipeEndSetup } from './pipe-end.js';
import { type PipeReader, readerOf } from './pipe-reader.js';
import { type PipeWriter, writerOf } from './pipe-writer.js';

/** How one end of a FIFO is opened. */
export interface FifoOpenOptions {
  /**
   * Opens it for reading and writing: needs no other end and returns at once; such a reader never sees the end of the
   * stream, such a writer never gets `EPIPE`. False by default.
   */
  readWrite?: boolean;
}

/**
 * Pipes with a name in the file system (man 7 fifo). Opening one end waits until somebody has opened the other.
 * docs/pipes.md
 */
export class Fifo {
  /** @internal */
  constructor() {
    throw illegalConstructor('Fifo');
  }

  /**
   * Makes a FIFO, which appears with its mode and owner or not at all: the umask plays no part. man 3 mkfifo.
   *
   * @throws `EEXIST`, `ENOENT`, `EACCES`, `EROFS`, `ENOSPC`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  static create(path: string | URL, options?: AccessOptions): void {
    native.fifoCreate(checkPath(path), ...checkAccess(checkOptions(options)));
  }

  /** Removes its name; who has it open keeps it. Throws `ENOENT`, `EACCES`; `EINVAL` for what is no FIFO. */
  static unlink(path: string | URL): void {
    native.fifoUnlink(checkPath(path));
  }

  /**
   * Opens the reading end, and waits until there is a writer.
   *
   * @throws (rejects with) `ENOENT`, `EACCES`; `EINVAL` for what is no FIFO, which is not opened; `ETIMEDOUT`;
   *   `AbortError`; `EAGAIN` without threads.
   */
  static async openReader(path: string | URL, options?: FifoOpenOptions & WaitOptions): Promise<PipeReader> {
    return inBackground(readerAt(path, options), options);
  }

  /** As `openReader`, blocking the calling thread. */
  static openReaderSync(path: string | URL, options?: FifoOpenOptions & SyncWaitOptions): PipeReader {
    return inBackgroundSync(readerAt(path, options), options);
  }

  /**
   * As `openReader`, without waiting: null where there is no writer. To see that it has to open the FIFO for a moment, in
   * which a writer may come; who was quicker then than the moment is over gets `EPIPE`.
   */
  static tryOpenReader(path: string | URL, options?: FifoOpenOptions): PipeReader | null {
    return readerAt(path, options).tryOpen() ?? null;
  }

  /** Opens the writing end, and waits until there is a reader. Rejects as `openReader`. */
  static async openWriter(path: string | URL, options?: FifoOpenOptions & WaitOptions): Promise<PipeWriter> {
    return inBackground(writerAt(path, options), options);
  }

  /** As `openWriter`, blocking the calling thread. */
  static openWriterSync(path: string | URL, options?: FifoOpenOptions & SyncWaitOptions): PipeWriter {
    return inBackgroundSync(writerAt(path, options), options);
  }

  /** As `openWriter`, without waiting: null where there is no reader. */
  static tryOpenWriter(path: string | URL, options?: FifoOpenOptions): PipeWriter | null {
    return writerAt(path, options).tryOpen() ?? null;
  }
}

interface Opening<End> extends Background<NativeDescriptor, End> {
  tryOpen(): End | undefined;
}

function readerAt(
  path: unknown,
  options: (FifoOpenOptions & SyncWaitOptions) | undefined,
): Opening<PipeReader> {
  const opening = openingOf(path, options, false, readerOf);
  // Not at once, where it may wait: a reader that is there for a moment only would end who opens for writing in it.
  const { readWrite, timeout } = checkOptions(options);
  return readWrite === true || timeout === 0 ? { ...opening, now: opening.tryOpen } : opening;
}

function writerAt(path: unknown, options: FifoOpenOptions | undefined): Opening<PipeWriter> {
  const opening = openingOf(path, options, true, writerOf);
  return { ...opening, now: opening.tryOpen };
}

function openingOf<End>(
  path: unknown,
  options: FifoOpenOptions | undefined,
  writes: boolean,
  endOf: (setup: PipeEndSetup) => End,
): Opening<End> {
  const checked = checkPath(path);
  const both = checkBoolean(checkOptions(options).readWrite, 'options.readWrite', false);
  const made = (descriptor: NativeDescriptor) => endOf({ descriptor, packet: false, path: checked });
  return {
    call: 'open',
    path: checked,
    start: (id) => native.fifoOpenStart(id, checked, writes, both),
    made,
    tryOpen: () => {
      const descriptor = native.fifoTryOpen(checked, writes, both);
      return descriptor === null ? undefined : made(descriptor);
    },
  };
}
