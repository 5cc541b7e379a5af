/** The mapped memory of one channel handle: a region like others, with the views that both sides work on. */
import { type NativeFile, type NativeMapping, native } from '../internal/native.js';
import { everybody } from '../internal/word-waits.js';
import { MappedRegion } from '../memory/mapped-region.js';
import { layout } from './layout.js';

export class ChannelMemory extends MappedRegion {
  readonly capacity: number;
  /** All of it. */
  readonly words: Int32Array;
  /** The ring. */
  readonly bytes: Uint8Array;
  /** What to sleep on, and to wake who does. */
  readonly mapping: NativeMapping;

  constructor(file: NativeFile, capacity: number, label: string) {
    const mapping = native.mapFile(file, 0, layout.ring + capacity, label);
    super(mapping, {
      kind: 'channel',
      label,
      shared: false,
      readOnly: native.fileReadOnly(file),
    });
    this.mapping = mapping;
    this.capacity = capacity;
    this.words = new Int32Array(this.buffer);
    this.bytes = new Uint8Array(this.buffer, layout.ring, capacity);
  }

  /** Wakes who sleeps. REQUIRES that he was told so by his word (`wakeWord`). */
  ring(bellOffset: number): void {
    Atomics.add(this.words, bellOffset / 4, 1);
    native.futexWake(this.mapping, bellOffset, everybody);
  }

  /** Throws what any use throws: closed, truncated. Zeros of a hole look like an empty ring. */
  checkThere(): void {
    this.checkUsable();
  }

  /** The same of one that is open, and cheaper: for each sleep. */
  checkWhole(): void {
    if (this.fault !== undefined) this.checkUsable();
  }
}
