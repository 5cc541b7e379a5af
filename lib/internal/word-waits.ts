/**
 * Waits on words that the addon has in hand for this env, by their id (native/node/futex.cc). The addon tells of all
 * that are over in one call.
 */
import { type Native, type NativeMapping, native } from './native.js';

interface WordWait {
  over(): void;
  /** Whether it keeps the process alive, as a timer does. */
  kept: boolean;
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
    native.futexInit((ids) => {
      for (const id of ids) remove(id)?.over();
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
  kept = true,
): number | undefined {
  const waits = allWaits();
  const id = ++waits.lastId;
  if (!native.futexAdd(mapping, offset, expected, id)) return undefined;
  waits.pending.set(id, { over, kept });
  if (kept && waits.kept++ === 0) native.futexKeep(true);
  return id;
}

/** False: it is over already, and its callback is about to be called or was. */
export function cancelWordWait(id: number): boolean {
  const cancelled = native.futexCancel(id);
  if (cancelled) remove(id);
  return cancelled;
}

/** Whether the wait keeps the process alive. */
export function keepWordWait(id: number, kept: boolean): void {
  const waits = allWaits();
  const wait = waits.pending.get(id);
  if (wait === undefined || wait.kept === kept) return;
  wait.kept = kept;
  if (kept && waits.kept++ === 0) native.futexKeep(true);
  if (!kept && --waits.kept === 0) native.futexKeep(false);
}

function remove(id: number): WordWait | undefined {
  const waits = allWaits();
  const wait = waits.pending.get(id);
  waits.pending.delete(id);
  if (wait?.kept && --waits.kept === 0) native.futexKeep(false);
  return wait;
}
