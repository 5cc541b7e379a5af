/** What locks in shared memory need of the addon (native/node/lock.cc). */
import type { NativeMapping } from './native.js';

declare const brand: unique symbol;
/** By which id this env is known in a file, and who else lives there. */
export interface NativeOwner {
  readonly [brand]: 'owner';
}
/** Bytes that a lock of this process takes. */
export interface NativeLockPlace {
  readonly [brand]: 'lock place';
}

/** Offsets in bytes, and values, of native/include/interproc.h, "locks". */
export interface LockLayout {
  readonly size: number;
  readonly state: number;
  readonly kind: number;
  readonly shownPid: number;
  readonly other: number;
  readonly owner: number;
  readonly waiters: number;
  readonly starving: number;
  readonly ruined: number;
  readonly magic: number;
  readonly kinds: number;
  readonly plain: number;
  readonly mutex: number;
  readonly patienceMs: number;
  readonly pidBits: number;
  /** What locks show of this process. */
  readonly ourPid: number;
}

export interface NativeLocks {
  /** Null for memory that has no descriptor. */
  ownerOf(mapping: NativeMapping): NativeOwner | null;
  ownerId(owner: NativeOwner): number;
  ownerAlive(owner: NativeOwner, id: number): boolean;
  ownerList(owner: NativeOwner): number[];
  ownerLetGo(owner: NativeOwner): void;
  /** Or what is in the way: where another lock begins, its length and its kind. */
  lockPlace(
    mapping: NativeMapping,
    offset: number,
    length: number,
    kind: number,
  ): NativeLockPlace | [begin: number, length: number, kind: number];
  lockPlaceFree(place: NativeLockPlace): void;
  readonly lockLayout: LockLayout;
}
