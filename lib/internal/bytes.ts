/**
 * The bytes of what callers give as data, as the engine knows them. The properties of the caller's objects are not
 * asked: a subclass may define them anew, to run code of its own or to tell another length.
 */
import { Buffer } from 'node:buffer';
import { types } from 'node:util';
import { invalidType, invalidValue } from './arguments.js';

export type Bytes = ArrayBufferView | ArrayBufferLike;
/** Bytes, or text that is sent as UTF-8. */
export type MessageData = ArrayBufferView | ArrayBufferLike | string;

const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);
const view: object = DataView.prototype;

type Getter<T> = (this: object) => T;

function getter<T>(prototype: object, name: string | symbol): Getter<T> {
  return Object.getOwnPropertyDescriptor(prototype, name)?.get as Getter<T>;
}

const kind = getter<string | undefined>(typedArray, Symbol.toStringTag);
const byteLength = getter<number>(typedArray, 'byteLength');
const byteOffset = getter<number>(typedArray, 'byteOffset');
const buffer = getter<ArrayBufferLike>(typedArray, 'buffer');
// Of what can grow: Node 20 has it, older types don't know it.
const resizable = getter<boolean>(ArrayBuffer.prototype, 'resizable');
const viewLength = getter<number>(view, 'byteLength');
const viewOffset = getter<number>(view, 'byteOffset');
const viewBuffer = getter<ArrayBufferLike>(view, 'buffer');
// Throws for one whose memory is gone, which has the length 0 otherwise.
const { keys } = typedArray as { keys(this: object): unknown };

export function isBytes(value: unknown): value is Bytes {
  return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value);
}

/** Throws `ERR_INVALID_ARG_VALUE`, naming `name`, where the memory was moved away. */
export function byteLengthOf(data: Bytes, name: string): number {
  if (isPlainBuffer(data)) {
    const length = byteLength.call(data);
    if (length > 0) return length;
  }
  try {
    if (!ArrayBuffer.isView(data)) return new Uint8Array(data).byteLength;
    if (kind.call(data) === undefined) return viewLength.call(data);
    const length = byteLength.call(data);
    if (length === 0) keys.call(data);
    return length;
  } catch {
    throw movedAway(name, data);
  }
}

/** One of Node's, which has a fixed length. */
export function isPlainBuffer(value: unknown): value is Buffer {
  return ArrayBuffer.isView(value) && value instanceof Buffer;
}

/** How many bytes it has now: none where its memory was moved away. */
export function lengthOf(bytes: Uint8Array): number {
  return byteLength.call(bytes);
}

/**
 * Throws `ERR_INVALID_ARG_VALUE`, naming `name`, where that are less than `length` by now: while a call waits, its caller may
 * move the memory away.
 */
export function checkLasting(bytes: Uint8Array, length: number, name: string): void {
  if (byteLength.call(bytes) < length) throw movedAway(name, bytes);
}

function movedAway(name: string, data: Bytes): TypeError {
  return invalidValue(name, 'must have its memory, and that was moved away or made smaller', data);
}

/** The first `length` bytes of it: in a view that does not grow, as one of shared or resizable memory may. */
export function bytesOf(data: Bytes, length: number): Uint8Array {
  if (isPlainBuffer(data)) return data;
  if (!ArrayBuffer.isView(data)) return new Uint8Array(data, 0, length);
  const name = kind.call(data);
  if (name === undefined) return new Uint8Array(viewBuffer.call(data), viewOffset.call(data), length);
  const memory = buffer.call(data);
  if (name === 'Uint8Array' && !grows(memory)) return data as Uint8Array;
  return new Uint8Array(memory, byteOffset.call(data), length);
}

function grows(memory: ArrayBufferLike): boolean {
  return memory instanceof SharedArrayBuffer || resizable?.call(memory) === true;
}

/** The bytes of a message: those of the caller, or of its text. Throws `ERR_INVALID_ARG_TYPE`, naming `name`. */
export function messageBytes(data: MessageData, name = 'data'): Uint8Array {
  // Said first, as it is so usual: one with bytes is not moved away.
  if (isPlainBuffer(data) && byteLength.call(data) > 0) return data;
  if (typeof data === 'string') return Buffer.from(data);
  if (isBytes(data)) return bytesOf(data, byteLengthOf(data, name));
  throw invalidMessage(name, data);
}

export function invalidMessage(name: string, data: unknown): TypeError {
  return invalidType(name, 'of type string or an instance of ArrayBuffer, Buffer or a TypedArray', data);
}

/** Up to here a loop is faster than a view and a call of TypedArray.prototype.set. */
const loopBytes = 16;

/** A Buffer of `length` bytes of `bytes`, of its own. */
export function copyOut(bytes: Uint8Array, offset: number, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length);
  if (length > loopBytes) copy.set(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length));
  else for (let index = 0; index < length; index++) copy[index] = bytes[offset + index] as number;
  return copy;
}

type BufferView = new (buffer: ArrayBufferLike, offset: number, length: number) => Buffer;

/** The class that Node's Buffers are of. */
const Species = (Buffer as unknown as { [Symbol.species]: BufferView })[Symbol.species];
/** A Buffer over memory, as Buffer.prototype.subarray makes one, at a third of its cost. */
export const bufferOver: (buffer: ArrayBufferLike, offset: number, length: number) => Buffer =
  Species?.prototype === Buffer.prototype
    ? (buffer, offset, length) => new Species(buffer, offset, length)
    : (buffer, offset, length) => Buffer.from(buffer as ArrayBuffer, offset, length);
