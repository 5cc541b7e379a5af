/** Where what is read lands, before anybody knows how much it is: one piece of memory for all reads of this thread. */
import { Buffer } from 'node:buffer';
import threads from 'node:worker_threads';
import { checkInteger, checkOptions, invalidType, invalidValue } from './arguments.js';
import { bufferOver, byteLengthOf, bytesOf, copyOut, isBytes, isPlainBuffer, lengthOf } from './bytes.js';

/** Where a read puts its bytes, and how many it takes. */
export interface ReadOptions {
  /** Where the bytes go: what is returned is a view of its beginning then. By default a Buffer of their own. */
  into?: ArrayBufferView | ArrayBufferLike;
  /** At most so many bytes: 65,536 by default, or as many as fit into `into`. */
  size?: number;
}

/** Where a message is received to. */
export interface ReceiveIntoOptions {
  /**
   * Where the bytes go: `data` is a view of its beginning then. A message that is longer comes whole, in a Buffer of its
   * own.
   */
  into?: ArrayBufferView | ArrayBufferLike;
}

export interface Target {
  into: Uint8Array | undefined;
  size: number;
}

export const readSize = 65_536;
const readMax = 0x7fff_f000; // of the kernel's: man 2 read
const everything: Target = { into: undefined, size: readSize };
/** Longer ones are not copied into a pool. */
const smallBytes = 2048;

/** Of typed arrays over what is kept. */
const alignment = 8;

let scratch = newScratch(readSize);
/** By the last read. */
let asked = readSize;

/** Throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`. */
export function checkTarget(options: ReadOptions | undefined): Target {
  if (options === undefined) return everything;
  const { into, size } = checkOptions(options);
  const most = size === undefined ? undefined : checkInteger(size, 'options.size', 1, readMax);
  if (into === undefined) return most === undefined ? everything : { into: undefined, size: most };
  if (!isBytes(into))
    throw invalidType('options.into', 'an instance of ArrayBuffer, Buffer or a TypedArray', into);
  const length = byteLengthOf(into, 'options.into');
  if (length === 0) throw invalidValue('options.into', 'must not be empty', into);
  return { into: bytesOf(into, length), size: Math.min(most ?? readMax, length) };
}

/** Memory of at least `size` bytes, for one read. What it got is copied or kept before the next. */
export function scratchOf(size: number): Buffer {
  if (scratch.length < size) scratch = newScratch(Math.max(size, readSize));
  asked = size;
  return scratch;
}

/** Several that are kept share it: who transfers one to a worker must not take the others away, as with Node's own pool. */
function newScratch(size: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(size);
  try {
    threads.markAsUntransferable(memory.buffer);
  } catch {
    // A runtime that has not that.
  }
  return memory;
}

/** `length` bytes of the scratch memory, from `offset` on, as a Buffer that is the caller's alone. */
export function keepScratch(length: number, offset = 0): Buffer {
  if (length <= smallBytes) return copyOut(scratch, offset, length);
  const end = Math.ceil((offset + length) / alignment) * alignment;
  // New memory costs more than a copy; what is given away is filled well, or leaves room for the next read.
  const isWellUsed = scratch.length - end >= asked || length >= scratch.length / 2;
  if (!isWellUsed) return Buffer.copyBytesFrom(scratch, offset, length);
  const kept = bufferOver(scratch.buffer, scratch.byteOffset + offset, length);
  scratch = scratch.subarray(end);
  return kept;
}

/** The first `length` bytes of what the caller gave. */
export function viewOf(into: Uint8Array, length: number): Buffer {
  if (isPlainBuffer(into) && lengthOf(into) === length) return into;
  return bufferOver(into.buffer, into.byteOffset, length);
}
