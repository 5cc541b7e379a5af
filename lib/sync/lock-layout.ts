/**
 * Where things lie in a lock, as indices of 32-bit words from its start, and what is written there. The first four words
 * are those of a mutex (native/include/interproc.h, "locks": its drawing and its rules are there); in the other kinds:
 *
 *   RwLock        state   kind  pid  writing  60 slots of readers: owner id | waitedFor
 *   Condition     next    kind  -    sweeper  4 unused, 124 slots of two words: owner id, waiting << 16 | notified
 *   Barrier       round   kind  last parties  124 slots: owner id of who takes part
 *   SharedEvent   set     kind  -    -
 *   Once          state   kind  pid  done
 *
 * All of them are ready for use as zeros.
 */
import { isLoaded, native } from '../internal/native.js';
import type { LockLayout } from '../internal/native-locks.js';

/** Zeros where there is no addon: nothing can be opened there, but importing must not fail. */
const layout: LockLayout = isLoaded ? native.lockLayout : new Proxy({} as LockLayout, { get: () => 0 });

const word = (offset: number): number => offset / 4;

export const stateWord: number = word(layout.state);
export const kindWord: number = word(layout.kind);
/** Who took it last, as `ourPid` shows this process. */
export const pidWord: number = word(layout.shownPid);
/** What it is for depends on the kind. */
export const otherWord: number = word(layout.other);

/** Bits of a state, as int32. */
export const ownerMask: number = layout.owner;
export const waiters: number = layout.waiters | 0;
export const starving: number = layout.starving | 0;
/** In place of an owner: not recoverable. */
export const ruined: number = layout.ruined;
/** So long somebody may have waited, in milliseconds, before it is his turn. */
export const patienceMs: number = layout.patienceMs;

/** This process, in one word: its pid, and above that what tells its pid namespace from others. */
export const ourPid: number = layout.ourPid | 0;
const { pidBits } = layout;

/** The pid of who is shown so; null in another pid namespace, where it would be somebody else here. */
export function pidOf(shown: number): number | null {
  return shown >> pidBits === ourPid >> pidBits ? shown & ((1 << pidBits) - 1) : null;
}

export const mutexBytes: number = layout.size;

export const kinds = {
  Mutex: layout.mutex,
  RwLock: 2,
  Condition: 3,
  Barrier: 4,
  SharedEvent: 5,
  Once: 6,
} as const;

export type KindName = keyof typeof kinds;

/** Of a kind word. */
export const plainFlag: number = layout.plain;
export const autoResetFlag = 0x20;
const flags = 0xf0;

/** What the kind word of such a lock says. */
export function kindValue(kind: KindName, itsFlags: number): number {
  return layout.magic | itsFlags | kinds[kind] | 0;
}

/** What lies where the kind word says this, and with which flags. */
export function kindOf(value: number): { kind: KindName | undefined; flags: number } {
  const isLock = (value & ~(layout.kinds | flags)) === layout.magic;
  const kind = (Object.keys(kinds) as KindName[]).find((each) => kinds[each] === (value & layout.kinds));
  return { kind: isLock ? kind : undefined, flags: value & flags };
}
