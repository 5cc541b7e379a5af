/**
 * The bytes of what callers give as data, as the engine knows them. The properties of the caller's objects are not
 * asked: a subclass may define them anew, to run code of its own or to tell another length.
 */
import { Buffer } from 'node:buffer';
import { types } from 'node:util';
import { invalidValue } from './arguments.js';

export type Bytes = ArrayBufferView | ArrayBufferLike;

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
  try {
    if (!ArrayBuffer.isView(data)) return new Uint8Array(data).byteLength;
    if (kind.call(data) === undefined) return viewLength.call(data);
    const length = byteLength.call(data);
    if (length === 0) keys.call(data);
    return length;
  } catch {
    throw invalidValue(name, 'must have its memory, and that was moved away or made smaller', data);
  }
}

/** The first `length` bytes of it: in a view that does not grow, as one of shared memory may. */
export function bytesOf(data: Bytes, length: number): Uint8Array {
  if (data instanceof Buffer) return data; // those have a fixed length
  if (!ArrayBuffer.isView(data)) return new Uint8Array(data, 0, length);
  const name = kind.call(data);
  if (name === undefined) return new Uint8Array(viewBuffer.call(data), viewOffset.call(data), length);
  const memory = buffer.call(data);
  if (name === 'Uint8Array' && !(memory instanceof SharedArrayBuffer)) return data as Uint8Array;
  return new Uint8Array(memory, byteOffset.call(data), length);
}
