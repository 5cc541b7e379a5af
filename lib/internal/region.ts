/**
 * What rooms above `memory` need of a mapped region beside its public face: the mapping to sleep on, and
 * word of its end. Keyed by symbols that only this package has.
 */
import type { NativeMapping } from './native.js';

/** Memory that other processes may map: of `SharedMemory`, `MappedFile`, `SysvSharedMemory`, or a window. */
export interface SharedRegion {
  /** Bytes. */
  readonly size: number;
  /** Whether it was opened read-only. */
  readonly readOnly: boolean;
}

export const mappingOf: unique symbol = Symbol('mappingOf');
export const watch: unique symbol = Symbol('watch');
export const beforeClose: unique symbol = Symbol('beforeClose');

/** Lets go of the mapping; returns what to do once the change is made. */
export type LeaveMapping = () => (() => void) | undefined;

export interface WatchableRegion {
  /** Throws what every use of the region throws: closed, truncated. */
  [mappingOf](): NativeMapping | undefined;
  /**
   * Calls `leave` before each change of the mapping (it is closed, or the region shows another one), and what that
   * returns after it. Until the function that it returns is called.
   */
  [watch](leave: LeaveMapping): () => void;
  /** Calls `check` before it is closed; where that throws, the region stays open. */
  [beforeClose](check: () => void): void;
  readonly closed: boolean;
  readonly readOnly: boolean;
}

export function isWatchable(value: unknown): value is WatchableRegion {
  return typeof value === 'object' && value !== null && mappingOf in value;
}
