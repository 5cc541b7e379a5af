/**
 * Where things lie in a segment, as indices of 32-bit words. The layout itself, with its drawing and its invariants,
 * is native/include/interproc.h; the numbers come from there.
 */
import { isLoaded, native, type SegmentLayout } from '../internal/native.js';

/** Zeros where there is no addon: nothing can be opened there, but importing must not fail. */
export const layout: SegmentLayout = isLoaded
  ? native.segmentLayout
  : new Proxy({} as SegmentLayout, { get: () => 0 });

const word = (offset: number): number => offset / 4;

const recordHeader: number = layout.recordHeader;

/** The record that `size` bytes make: with its header, up to a multiple of 8. */
function recordSize(size: number): number {
  return (recordHeader + size + 7) & ~7;
}

/**
 * What the hot paths use. They take it apart into constants of their own module: those the engine folds, while it asks
 * the cell of an import each time.
 */
export const ring = {
  tailWord: word(layout.tail),
  countsWord: word(layout.counts),
  countWords: word(layout.countSize),
  countMessagesWord: word(layout.countMessages),
  countBytesWord: word(layout.countBytes),
  timesFullWord: word(layout.timesFull),
  senderSleptWord: word(layout.senderSlept),
  doneWord: word(layout.done),
  begunWord: word(layout.begun),
  receivedWord: word(layout.received),
  receiverSleptWord: word(layout.receiverSlept),
  headWord: word(layout.head),
  senderRoleWord: word(layout.senderRole),
  senderSleepWord: word(layout.senderSleep),
  receiverSleepWord: word(layout.receiverSleep),
  ringWord: word(layout.ring),
  recordHeader,
  /** As an int32: the sign bit. */
  recordPad: layout.recordPad | 0,
  awake: layout.awake,
  starved: layout.starved,
  asleep: layout.asleep,
  recordSize,
} as const;

const { awake, asleep } = ring;

/**
 * Whether somebody sleeps on the word, who is told so by it and wants a futex wake-up. One that merely starves is served
 * by what was done, and says so again when that is not enough. REQUIRES a full fence before.
 */
export function wakeWord(words: Int32Array, at: number): boolean {
  return Atomics.load(words, at) !== awake && Atomics.exchange(words, at, awake) === asleep;
}

const words32 = 2 ** 32;

/** A 64-bit count in two words, little-endian as the machines are. Exact up to 2^53. */
export function getCount(words: Int32Array, at: number): number {
  return ((words[at + 1] as number) >>> 0) * words32 + ((words[at] as number) >>> 0);
}

export function setCount(words: Int32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value / words32;
}

/** The longest message: one that fits in whole wherever the end of the ring happens to be. */
export function messageMax(capacity: number): number {
  return capacity / 2 - recordHeader;
}
