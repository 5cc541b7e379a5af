/** A piece of the ring that holds one message, in place: what a slot and a received message have in common. */
export abstract class RecordView {
  /** The whole ring; this is `length` bytes of it from `byteOffset` on. Touch nothing else. */
  readonly bytes: Uint8Array;
  /** The ring as int32; this begins at `int32Offset`. */
  readonly int32: Int32Array;
  /** The ring as float64; this begins at `float64Offset`: messages are aligned to 8 bytes. */
  readonly float64: Float64Array;
  /** Where it begins in `bytes`: a multiple of 8. */
  readonly byteOffset: number = 0;
  /** Bytes. */
  readonly length: number = 0;

  /** @internal */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.int32 = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    this.float64 = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  }

  /** Where it begins in `int32`. */
  get int32Offset(): number {
    return this.byteOffset >> 2;
  }

  /** Where it begins in `float64`. */
  get float64Offset(): number {
    return this.byteOffset >> 3;
  }

  /** @internal Shows the `length` bytes at `offset`. */
  show<T extends RecordView>(this: Writable<T>, offset: number, length: number): T {
    this.byteOffset = offset;
    this.length = length;
    return this as T;
  }
}

/** For who shows: the user only reads. */
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };
