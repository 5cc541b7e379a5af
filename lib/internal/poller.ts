/**
 * Waiting on descriptors without blocking the event loop or a pool thread: their edges (native/os/poll_set.h), told to
 * those who wait on them.
 *
 * A try comes first, and the wait when that found nothing: whatever comes after the try is told. Edges that nobody waits
 * for end the interest in them, so that a busy peer doesn't wake a process which isn't reading.
 */
import { type Native, type NativeDescriptor, native } from './native.js';

export const readable = 1;
export const writable = 2;
type Side = typeof readable | typeof writable;

/** Who waits for one side of a descriptor. */
export interface Waiter {
  /** Tries again. */
  serve(): void;
  readonly idle: boolean;
}

interface Poller {
  readonly watches: Map<number, WeakRef<Watch>>;
  /** Those who wait, so that they aren't collected meanwhile. */
  readonly waiting: Set<Watch>;
  kept: number;
  lastId: number;
  readonly collected: FinalizationRegistry<number>;
}

const pollerOf: unique symbol = Symbol.for('interproc.poller') as never;
const eventsAtOnce = 64;
/**
 * Bun ends the process in uv_poll_init, and Deno (2.9) tells of one event and no other. The variable is for tests of what is
 * done there instead.
 */
const ownThread =
  'bun' in process.versions || 'deno' in process.versions || process.env.INTERPROC_NO_UV_POLL === '1';

/** Kept with the addon: test runners evaluate this module more than once over the same one. */
function thePoller(): Poller {
  const addon: Native & { [pollerOf]?: Poller } = native;
  let poller = addon[pollerOf];
  if (poller === undefined) {
    const watches = new Map<number, WeakRef<Watch>>();
    const events = new Uint32Array(2 * eventsAtOnce);
    native.pollInit(
      events,
      (count) => {
        for (let at = 0; at < 2 * count; at += 2) {
          watches
            .get(events[at] as number)
            ?.deref()
            ?.tell(events[at + 1] as number);
        }
      },
      ownThread,
    );
    const collected = new FinalizationRegistry<number>((id) => watches.delete(id));
    poller = { watches, waiting: new Set(), kept: 0, lastId: 0, collected };
    addon[pollerOf] = poller;
  }
  return poller;
}

/** The watch over one descriptor. */
export class Watch {
  readonly #descriptor: NativeDescriptor;
  readonly #waiters: { side: Side; waiter: Waiter }[] = [];
  #id = 0;
  #interest = 0;
  #kept = true;
  #busy = 0;

  constructor(descriptor: NativeDescriptor) {
    this.#descriptor = descriptor;
  }

  /** Who is told of a side. */
  add(side: Side, waiter: Waiter): void {
    this.#waiters.push({ side, waiter });
  }

  /**
   * What comes on that side from now on is told. `again`: also what is there now.
   *
   * @throws `ENOSPC`, `ENOMEM`.
   */
  arm(side: Side, again = false): void {
    if ((this.#interest & side) !== 0 && !again) return;
    this.#change(this.#interest | side, again);
  }

  /** Whether somebody waits: then the process is kept alive, unless it is not to be. */
  hold(waits: boolean): void {
    const before = this.#busy;
    this.#busy += waits ? 1 : -1;
    if (before !== 0 && this.#busy !== 0) return;
    const { waiting } = thePoller();
    if (waits) waiting.add(this);
    else waiting.delete(this);
    if (this.#kept) keepLoop(waits ? 1 : -1);
  }

  keep(kept: boolean): void {
    if (this.#kept === kept) return;
    this.#kept = kept;
    if (this.#busy > 0) keepLoop(kept ? 1 : -1);
  }

  /** Nothing is told any more. REQUIRES that nobody waits. */
  stop(): void {
    if (this.#id === 0) return;
    if (this.#interest !== 0) this.#change(0, false);
    const { watches, collected } = thePoller();
    watches.delete(this.#id);
    collected.unregister(this);
  }

  /** @internal */
  tell(events: number): void {
    let unwanted = events;
    for (const { side, waiter } of this.#waiters) {
      if ((events & side) === 0 || waiter.idle) continue;
      unwanted &= ~side;
      waiter.serve();
    }
    if ((this.#interest & unwanted) !== 0) this.#change(this.#interest & ~unwanted, false);
  }

  #change(interest: number, again: boolean): void {
    const poller = thePoller();
    if (this.#id === 0) {
      this.#id = freeId(poller);
      poller.watches.set(this.#id, new WeakRef(this));
      poller.collected.register(this, this.#id, this);
    }
    native.descriptorWatch(this.#descriptor, this.#id, interest, again);
    this.#interest = interest;
  }
}

/** The kernel keeps 32 bits: those of the past are used again. */
function freeId(poller: Poller): number {
  do poller.lastId = (poller.lastId + 1) >>> 0 || 1;
  while (poller.watches.has(poller.lastId));
  return poller.lastId;
}

function keepLoop(change: 1 | -1): void {
  const poller = thePoller();
  poller.kept += change;
  if (change > 0 && poller.kept === 1) native.pollKeep(true);
  if (change < 0 && poller.kept === 0) native.pollKeep(false);
}
