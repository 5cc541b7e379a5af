/**
 * Word of the wake-ups of one side of a channel: a watch on its bell (native/include/interproc.h), for as long as the
 * side is there. To fall asleep then costs nothing but the flag: the thread that watches is at it already.
 */
import type { NativeMapping } from '../internal/native.js';
import { cancelWordWait, holdWordWait, watchWord } from '../internal/word-waits.js';

// A side that is dropped unclosed is collected, and its watch ends.
const collected = new FinalizationRegistry<number>(cancelWordWait);

export class Bell {
  readonly #rung: (last: boolean) => void;
  /** Of the watch; 0: there is none. */
  #id = 0;

  /**
   * @param rung Called, in a later turn of the event loop, after one ring or several. Also for nothing. `last`: it is not
   *   heard any more.
   */
  constructor(rung: (last: boolean) => void) {
    this.#rung = rung;
  }

  /** From now on it is heard. Again does nothing. */
  listen(mapping: NativeMapping, offset: number): void {
    if (this.#id !== 0) return;
    const self = new WeakRef<Bell>(this);
    this.#id = watchWord(mapping, offset, (last) => self.deref()?.tell(last));
    collected.register(this, this.#id, this);
  }

  /** Somebody waits for it: it is not collected, and the process is kept alive if `kept`. */
  await(kept: boolean): void {
    if (this.#id !== 0) holdWordWait(this.#id, this, kept);
  }

  /** Nobody waits for it. */
  rest(): void {
    if (this.#id !== 0) holdWordWait(this.#id, undefined, false);
  }

  stop(): void {
    if (this.#id === 0) return;
    collected.unregister(this);
    cancelWordWait(this.#id);
    this.#id = 0;
  }

  /** @internal */
  tell(last: boolean): void {
    if (last) {
      collected.unregister(this);
      this.#id = 0;
    }
    this.#rung(last);
  }
}
