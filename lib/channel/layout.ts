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

export const tailWord: number = word(layout.tail);
export const countsWord: number = word(layout.counts);
export const countWords: number = word(layout.countSize);
export const countMessagesWord: number = word(layout.countMessages);
export const countBytesWord: number = word(layout.countBytes);
export const timesFullWord: number = word(layout.timesFull);
export const senderSleptWord: number = word(layout.senderSlept);
export const doneWord: number = word(layout.done);
export const begunWord: number = word(layout.begun);
export const receivedWord: number = word(layout.received);
export const receiverSleptWord: number = word(layout.receiverSlept);
export const headWord: number = word(layout.head);

export const senderRoleWord: number = word(layout.senderRole);
export const senderSleepWord: number = word(layout.senderSleep);
export const receiverSleepWord: number = word(layout.receiverSleep);
export const ringWord: number = word(layout.ring);

export const recordHeader: number = layout.recordHeader;
/** As an int32: the sign bit. */
export const recordPad: number = layout.recordPad | 0;

export const awake: number = layout.awake;
export const starved: number = layout.starved;
export const asleep: number = layout.asleep;

/** All sleepers on a word (man 2 futex). */
export const everybody = 0x7fff_ffff;

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

/** The record that `size` bytes make: with its header, up to a multiple of 8. */
export function recordSize(size: number): number {
  return (recordHeader + size + 7) & ~7;
}

/** The longest message: one that fits in whole wherever the end of the ring happens to be. */
export function messageMax(capacity: number): number {
  return capacity / 2 - recordHeader;
}
