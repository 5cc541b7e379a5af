/**
 * Word of the deaths of peers (native/node/death_watch.cc). One watch for each side of a channel that waits for a
 * peer; it goes on for as long as that peer is the same.
 */
import { type Native, type NativeParticipant, native } from '../internal/native.js';

interface Watches {
  readonly byId: Map<number, () => void>;
  lastId: number;
}

const watchesOf: unique symbol = Symbol.for('interproc.deaths') as never;

/** Kept with the addon: test runners evaluate this module more than once over the same one. */
function allWatches(): Watches {
  const addon: Native & { [watchesOf]?: Watches } = native;
  let watches = addon[watchesOf];
  if (watches === undefined) {
    watches = { byId: new Map(), lastId: 0 };
    const { byId } = watches;
    native.deathInit((ids) => {
      for (const id of ids) {
        const died = byId.get(id);
        byId.delete(id);
        died?.();
      }
    });
    addon[watchesOf] = watches;
  }
  return watches;
}

function end(id: number): void {
  allWatches().byId.delete(id);
  native.deathUnwatch(id);
}

// A side that is dropped unclosed is collected, and its watch ends.
const collected = new FinalizationRegistry<number>(end);

export class PeerWatch {
  #owner = 0;
  #id = 0;
  /** Who is told; only this object holds it. */
  #died: (() => void) | undefined;

  /** Calls `died` once `owner` is dead; what was watched before is not watched any more. */
  watch(participant: NativeParticipant, owner: number, died: () => void): void {
    if (owner === this.#owner) return;
    this.stop();
    const watches = allWatches();
    const id = ++watches.lastId;
    native.deathWatch(participant, owner, id);
    const self = new WeakRef<PeerWatch>(this);
    watches.byId.set(id, () => self.deref()?.tell());
    collected.register(this, id, this);
    this.#owner = owner;
    this.#id = id;
    this.#died = died;
  }

  stop(): void {
    if (this.#owner === 0) return;
    this.#owner = 0;
    collected.unregister(this);
    end(this.#id);
  }

  /** @internal */
  tell(): void {
    this.#owner = 0;
    collected.unregister(this);
    this.#died?.();
  }
}
