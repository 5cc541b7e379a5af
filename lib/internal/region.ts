/**
 * What rooms above `memory` need of a mapped region beside its public face: the mapping to sleep on, and
 * word of its end. Keyed by symbols that only this package has.
 */
import type { NativeMapping } from './native.js';

export const mappingOf: unique symbol = Symbol('mappingOf');
export const watch: unique symbol = Symbol('watch');

export interface WatchableRegion {
  /** Throws what every use of the region throws: closed, truncated. */
  [mappingOf](): NativeMapping | undefined;
  /** Calls `listener` after it was closed or shows another mapping, until the function that it returns is called. */
  [watch](listener: () => void): () => void;
}

export function isWatchable(value: unknown): value is WatchableRegion {
  return typeof value === 'object' && value !== null && mappingOf in value;
}
