/** A piece of the ring that holds one message, in place: what a slot and a received message have in common. */
export abstract class RecordView {
  /** The whole ring; this is `length` bytes of it from `byteOffset` on. Touch nothing else. */
  readonly bytes: Uint8Array;
  /** The ring as int32; this begins at `int32Offset`. */
  readonly int32: Int32Array;
  /** The ring as float64; this begins at `float64Offset`: messages are aligned to 8 bytes. */
  readonly float64: Float64Array;
  byteOffset = 0;
  int32Offset = 0;
  float64Offset = 0;
  /** Bytes. */
  length = 0;

  /** @internal */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.int32 = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    this.float64 = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  }

  /** @internal Shows the `length` bytes at `offset`. */
  show(offset: number, length: number): void {
    this.byteOffset = offset;
    this.int32Offset = offset >> 2;
    this.float64Offset = offset >> 3;
    this.length = length;
  }
}
