/**
 * Waits on words that the addon has in hand for this env, by their id (native/node/futex.cc). The addon tells of all
 * that are over in one call.
 */
import { type Native, type NativeMapping, native } from './native.js';

/** All who sleep on a word (man 2 futex). */
export const everybody = 0x7fff_ffff;

interface WordWait {
  /** `last`: it is not called again. */
  over(last: boolean): void;
  /** Whether it keeps the process alive, as a timer does. */
  kept: boolean;
  /** Who is not to be collected meanwhile. */
  holder: object | undefined;
}

interface WordWaits {
  readonly pending: Map<number, WordWait>;
  kept: number;
  lastId: number;
}

const waitsOf: unique symbol = Symbol.for('interproc.waits') as never;

/** Kept with the addon: test runners evaluate this module more than once over the same one. */
function allWaits(): WordWaits {
  const addon: Native & { [waitsOf]?: WordWaits } = native;
  let waits = addon[waitsOf];
  if (waits === undefined) {
    waits = { pending: new Map(), kept: 0, lastId: 0 };
    const { pending } = waits;
    native.futexInit((ids) => {
      // A watch that goes on is positive; one that has ended, negative.
      for (const id of ids) {
        const wait = pending.get(Math.abs(id));
        if (id < 0) remove(-id);
        wait?.over(id < 0);
      }
    });
    addon[waitsOf] = waits;
  }
  return waits;
}

/**
 * Calls `over`, in a later turn of the event loop, once the word at `offset` is not `expected` any more, or its
 * sleepers were woken. Undefined where it differs already: `over` is not called then.
 */
export function addWordWait(
  mapping: NativeMapping,
  offset: number,
  expected: number,
  over: () => void,
): number | undefined {
  const waits = allWaits();
  const id = ++waits.lastId;
  if (!native.futexAdd(mapping, offset, expected, id)) return undefined;
  const once = () => {
    remove(id);
    over();
  };
  waits.pending.set(id, { over: once, kept: false, holder: undefined });
  keep(waits, id, true);
  return id;
}

/**
 * Calls `changed`, in a later turn of the event loop, after each change of the word at `offset`, or once after several,
 * until it is cancelled; with `last` when the word is gone, or could not be watched any more. It doesn't keep the process alive.
 */
export function watchWord(mapping: NativeMapping, offset: number, changed: (last: boolean) => void): number {
  const waits = allWaits();
  const id = ++waits.lastId;
  native.futexWatch(mapping, offset, id);
  waits.pending.set(id, { over: changed, kept: false, holder: undefined });
  return id;
}

/** False: it is over already, and its callback is about to be called or was. */
export function cancelWordWait(id: number): boolean {
  const cancelled = native.futexCancel(id);
  if (cancelled) remove(id);
  return cancelled;
}

/** Whether the wait keeps the process alive, and `holder` from being collected. */
export function holdWordWait(id: number, holder: object | undefined, kept: boolean): void {
  const waits = allWaits();
  const wait = waits.pending.get(id);
  if (wait !== undefined) wait.holder = holder;
  keep(waits, id, kept);
}

function keep(waits: WordWaits, id: number, kept: boolean): void {
  const wait = waits.pending.get(id);
  if (wait === undefined || wait.kept === kept) return;
  wait.kept = kept;
  if (kept && waits.kept++ === 0) native.futexKeep(true);
  if (!kept && --waits.kept === 0) native.futexKeep(false);
}

function remove(id: number): void {
  const waits = allWaits();
  keep(waits, id, false);
  waits.pending.delete(id);
}
