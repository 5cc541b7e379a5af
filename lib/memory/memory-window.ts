/**
 * A further view of an object, of any part of it: how objects beyond 4 GiB are used on runtimes whose
 * buffers end there. A window maps for itself: it outlives the `close()` of what it came from, and
 * has its own.
 */

import { illegalConstructor } from '../internal/arguments.js';
import { type NativeFile, native } from '../internal/native.js';
import { MappedRegion, type RegionSettings } from './mapped-region.js';

/** Which part of an object a window shows, in bytes. */
export interface WindowOptions {
  /** Bytes from the object's start, a multiple of 8, so that typed arrays and atomics are aligned; 0 by default. */
  offset?: number;
  /** Bytes; up to the object's end by default. */
  length?: number;
}

/** What `map()` has and others have not. */
export const constructWindow = Symbol('construct');

/** A part of an object, mapped for itself, as `map()` gives it: it outlives the `close()` of what it came from. */
export class MemoryWindow<Shared extends boolean = false> extends MappedRegion<Shared> {
  readonly #offset: number;

  /** @internal Use `map()` of the object. */
  constructor(
    token: symbol,
    file: NativeFile,
    range: { offset: number; length: number },
    settings: RegionSettings,
  ) {
    if (token !== constructWindow) throw illegalConstructor('MemoryWindow');
    const { offset, length } = range;
    super(length === 0 ? undefined : native.mapFile(file, offset, length, settings.label), settings);
    this.#offset = offset;
  }

  /** Bytes from the object's start to the window's. */
  get offset(): number {
    return this.#offset;
  }

  protected override describe(): object {
    return { offset: this.#offset, ...super.describe() };
  }
}
