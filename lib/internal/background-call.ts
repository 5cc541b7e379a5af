/**
 * Calls that can only block, on threads of their own (native/os/blocking_call.h): neither the event loop nor libuv's pool
 * waits for them, and they can be taken back at any time.
 */
import { type Native, native } from './native.js';

interface Calls {
  readonly pending: Map<number, () => void>;
  kept: number;
  lastId: number;
}

const callsOf: unique symbol = Symbol.for('interproc.calls') as never;

/** Kept with the addon: test runners evaluate this module more than once over the same one. */
function allCalls(): Calls {
  const addon: Native & { [callsOf]?: Calls } = native;
  let calls = addon[callsOf];
  if (calls === undefined) {
    calls = { pending: new Map(), kept: 0, lastId: 0 };
    const { pending } = calls;
    native.callInit((ids) => {
      for (const id of ids) pending.get(id)?.();
    });
    addon[callsOf] = calls;
  }
  return calls;
}

export class BackgroundCall<T> {
  readonly #id: number;
  readonly #path: string;
  #kept = true;
  #result: { value: T } | { error: unknown } | undefined;

  /** `start` starts it under its id. `over` is called in a later turn of the event loop, unless the result was taken. */
  constructor(start: (id: number) => void, over: () => void, path = '') {
    const calls = allCalls();
    this.#id = ++calls.lastId;
    this.#path = path;
    start(this.#id);
    calls.pending.set(this.#id, () => {
      this.#take();
      over();
    });
    keepLoop(1);
  }

  /** What it gave, or undefined while it runs. Throws what it failed with. */
  get result(): { value: T } | undefined {
    this.#take();
    const result = this.#result;
    if (result !== undefined && 'error' in result) throw result.error;
    return result;
  }

  /** Ends it; its result tells whether it was done before: `ECANCELED` if not, or how far it came. */
  cancel(): void {
    if (this.#result === undefined) native.callCancel(this.#id);
    this.#take();
  }

  /** Blocks until it is over, at most so long. */
  sleep(nanoseconds: number): void {
    if (this.#result === undefined) native.callWait(this.#id, nanoseconds);
  }

  /** Whether it keeps the process alive. */
  keep(kept: boolean): void {
    if (this.#kept === kept || this.#result !== undefined) return;
    this.#kept = kept;
    keepLoop(kept ? 1 : -1);
  }

  #take(): void {
    if (this.#result !== undefined) return;
    try {
      const value = native.callTake(this.#id, this.#path) as T | undefined;
      if (value === undefined) return;
      this.#result = { value };
    } catch (error) {
      this.#result = { error };
    }
    allCalls().pending.delete(this.#id);
    if (this.#kept) keepLoop(-1);
  }
}

function keepLoop(change: 1 | -1): void {
  const calls = allCalls();
  calls.kept += change;
  if (change > 0 && calls.kept === 1) native.callKeep(true);
  if (change < 0 && calls.kept === 0) native.callKeep(false);
}
