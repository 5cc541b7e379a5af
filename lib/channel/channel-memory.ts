/** The mapped memory of one channel handle: a region like others, with the views that both sides work on. */
import { type NativeFile, type NativeMapping, native } from '../internal/native.js';
import { mappingOf } from '../internal/region.js';
import { MappedRegion } from '../memory/mapped-region.js';
import { layout } from './layout.js';

export class ChannelMemory extends MappedRegion {
  readonly capacity: number;
  /** All of it. */
  readonly words: Int32Array;
  /** The ring. */
  readonly bytes: Uint8Array;

  constructor(file: NativeFile, capacity: number, label: string) {
    super(native.mapFile(file, 0, layout.ring + capacity, label), {
      kind: 'channel',
      label,
      shared: false,
      readOnly: native.fileReadOnly(file),
    });
    this.capacity = capacity;
    this.words = new Int32Array(this.buffer);
    this.bytes = new Uint8Array(this.buffer, layout.ring, capacity);
  }

  /** What to sleep on. Throws as `checkThere`. */
  get mapping(): NativeMapping {
    return this[mappingOf]() as NativeMapping;
  }

  /** Throws what any use throws: closed, truncated. Zeros of a hole look like an empty ring. */
  checkThere(): void {
    this.checkUsable();
  }
}
