/** A received message in place, as a drain handler sees it. One object for all messages of a receiver. */
import { Buffer } from 'node:buffer';

export class Message {
  /** The whole ring; the message is `length` bytes of it from `byteOffset` on. */
  readonly bytes: Uint8Array;
  /** The ring as int32; the message begins at `int32Offset`. */
  readonly int32: Int32Array;
  /** The ring as float64; the message begins at `float64Offset`: messages are aligned to 8 bytes. */
  readonly float64: Float64Array;
  byteOffset = 0;
  int32Offset = 0;
  float64Offset = 0;
  /** Bytes of the message. */
  length = 0;
  /** Whether a receiver had it in hand before this one, and died. */
  redelivered = false;

  /** @internal */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.int32 = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    this.float64 = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  }

  /** @internal Shows the message of `length` bytes at `offset`. */
  show(offset: number, length: number, redelivered: boolean): void {
    this.byteOffset = offset;
    this.int32Offset = offset >> 2;
    this.float64Offset = offset >> 3;
    this.length = length;
    this.redelivered = redelivered;
  }

  /** A copy that outlives the handler. */
  copy(): Buffer {
    return copyOut(this.bytes, this.byteOffset, this.length);
  }

  /** The message as UTF-8 text. */
  toString(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.byteOffset, this.length).toString();
  }
}

/** Up to here a loop is faster than a view and a call of TypedArray.prototype.set. */
const loopBytes = 64;

/** An owned Buffer of `length` bytes of `bytes`. */
export function copyOut(bytes: Uint8Array, offset: number, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length);
  if (length > loopBytes) copy.set(bytes.subarray(offset, offset + length));
  else for (let index = 0; index < length; index++) copy[index] = bytes[offset + index] as number;
  return copy;
}
