/** A received message in place, as a drain handler sees it. One object for all messages of a receiver. */
import { Buffer } from 'node:buffer';
import { copyOut } from '../internal/bytes.js';
import { RecordView } from './record-view.js';

/** A received message in place, as a drain handler sees it; the same object for all messages of a receiver. */
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
