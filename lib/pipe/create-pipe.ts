/** Pipes without a name: man 2 pipe. */
import { checkBoolean, checkOptions } from '../internal/arguments.js';
import { native } from '../internal/native.js';
import { checkCapacity } from './pipe-end.js';
import { type PipeReader, readerOf } from './pipe-reader.js';
import { type PipeWriter, writerOf } from './pipe-writer.js';

/** How a pipe is made. */
export interface CreatePipeOptions {
  /** Bytes, rounded up to a power of two of pages; 65,536 by default. */
  capacity?: number;
  /** Each write of at most 4,096 bytes is read as one. False by default. */
  packet?: boolean;
}

/**
 * Makes a pipe. Either end can be handed to a child through `stdio` of `child_process.spawn`, as its `.fd`; close it here
 * then, or the end of the stream never comes.
 *
 * @throws `EMFILE`, `ENFILE`; `EPERM` for a capacity above `/proc/sys/fs/pipe-max-size`; `ERR_OUT_OF_RANGE`;
 *   `ERR_INVALID_ARG_TYPE`.
 */
export function createPipe(options?: CreatePipeOptions): {
  /** The end that is read. */
  reader: PipeReader;
  /** The end that is written. */
  writer: PipeWriter;
} {
  const given = checkOptions(options);
  const packet = checkBoolean(given.packet, 'options.packet', false);
  const capacity =
    given.capacity === undefined ? undefined : checkCapacity(given.capacity, 'options.capacity');
  const [reading, writing] = native.pipeCreate(packet);
  try {
    if (capacity !== undefined) native.pipeSetCapacity(reading, capacity);
  } catch (error) {
    native.descriptorClose(reading);
    native.descriptorClose(writing);
    throw error;
  }
  return {
    reader: readerOf({ descriptor: reading, packet, path: '' }),
    writer: writerOf({ descriptor: writing, packet, path: '' }),
  };
}
