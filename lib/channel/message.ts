/** A received message in place, as a drain handler sees it. One object for all messages of a receiver. */
import { Buffer } from 'node:buffer';
import { RecordView } from './record-view.js';

export class Message extends RecordView {
  /** Whether a receiver had it in hand before this one, and died. */
  redelivered = false;

  /** A copy that outlives the handler. */
  copy(): Buffer {
    return copyOut(this.bytes, this.byteOffset, this.length);
  }

  /** The message as UTF-8 text. */
  override toString(): string {
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
