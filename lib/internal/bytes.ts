/**
 * The bytes of what callers give as data, as the engine knows them. The properties of the caller's objects are not
 * asked: a subclass may define them anew, to run code of its own or to tell another length.
 */
import { Buffer } from 'node:buffer';
import { types } from 'node:util';
import { invalidValue } from './arguments.js';

export type Bytes = ArrayBufferView | ArrayBufferLike;

const bufferPrototype: object = Buffer.prototype;
const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);

function getterOf<T>(prototype: object, name: string | symbol): (object: object) => T {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get as (this: object) => T;
  return (object) => get.call(object);
}

const kindOf = getterOf<string | undefined>(typedArray, Symbol.toStringTag);
const lengthOf = getterOf<number>(typedArray, 'byteLength');
const offsetOf = getterOf<number>(typedArray, 'byteOffset');
const bufferOf = getterOf<ArrayBufferLike>(typedArray, 'buffer');
const viewLengthOf = getterOf<number>(DataView.prototype, 'byteLength');
const viewOffsetOf = getterOf<number>(DataView.prototype, 'byteOffset');
const viewBufferOf = getterOf<ArrayBufferLike>(DataView.prototype, 'buffer');
// Throws for one whose memory is gone, which has the length 0 otherwise.
const { keys } = typedArray as { keys(this: object): unknown };

export function isBytes(value: unknown): value is Bytes {
  return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value);
}

/** Throws `ERR_INVALID_ARG_VALUE`, naming `name`, where the memory was moved away. */
export function byteLengthOf(data: Bytes, name: string): number {
  try {
    if (!ArrayBuffer.isView(data)) return lengthOf(new Uint8Array(data));
    if (kindOf(data) === undefined) return viewLengthOf(data);
    const length = lengthOf(data);
    if (length === 0) keys.call(data);
    return length;
  } catch {
    throw invalidValue(name, 'must have its memory, and that was moved away or made smaller', data);
  }
}

/** The first `length` bytes of it: in a view that does not grow, as one of shared memory may. */
export function bytesOf(data: Bytes, length: number): Uint8Array {
  if (!ArrayBuffer.isView(data)) return new Uint8Array(data, 0, length);
  if (Object.getPrototypeOf(data) === bufferPrototype) return data as Uint8Array; // of a fixed length
  const kind = kindOf(data);
  if (kind === undefined) return new Uint8Array(viewBufferOf(data), viewOffsetOf(data), length);
  const buffer = bufferOf(data);
  if (kind === 'Uint8Array' && !(buffer instanceof SharedArrayBuffer)) return data as Uint8Array;
  return new Uint8Array(buffer, offsetOf(data), length);
}
