/**
 * The receiver of a channel.
 *
 * A message is in hand from when it is given out until the next call that receives, or close(); one that a drain
 * handler sees, until the handler returns. Finished messages are never delivered again. What a receiver had in hand when
 * it died is delivered to its successor, and flagged.
 */
import type { Buffer } from 'node:buffer';
import { checkInteger } from '../internal/arguments.js';
import { native } from '../internal/native.js';
import { seriesOf } from '../internal/series.js';
import {
  clockCalls,
  keepPromises,
  type SyncWaitOptions,
  turnIsLong,
  type WaitOptions,
} from '../internal/waiting.js';
import { Copies } from './copies.js';
import { Message } from './message.js';
import { RingReader } from './ring-reader.js';
import { type Attempt, checkHandler, Side, type SideSetup, sideNumber, waits } from './side.js';
import type { PeerState } from './wait-line.js';

/**
 * Reads a message in place. It must not be async: what it was given is another message once it returns. When it throws,
 * the message stays unread.
 */
export type DrainHandler = (message: Message) => void;

type ReceiverStart = [head: number, done: number, begun: number, received: number];

/**
 * The receiving side of a channel, as `channel.receiver()` gives it. A message is in hand until the next call that
 * receives, or `close()`; what was in hand when a receiver died comes again to its successor, flagged.
 */
export class Receiver extends Side implements AsyncIterable<Buffer> {
  readonly #ring: RingReader;
  readonly #copies: Copies;
  readonly #message: Message;
  /** Of the last call's messages, the first so many were in a dead receiver's hand. */
  #redelivered = 0;
  #inHandler = false;

  /** @internal Use `channel.receiver()`. */
  constructor(setup: SideSetup) {
    super('receiver', setup);
    const [head, done, begun, received] = native.roleStart(
      setup.participant,
      sideNumber.receiver,
    ) as ReceiverStart;
    this.#ring = new RingReader(setup.memory, { head, done, begun, received }, (what) =>
      this.corruptError(what),
    );
    this.#copies = new Copies(this.#ring, setup.memory.bytes);
    this.#message = new Message(setup.memory.bytes);
  }

  /** How many messages are finished, predecessors' included. */
  get received(): number {
    return this.#ring.received;
  }

  /**
   * Of the messages that the last call gave out, how many, from its first on, were in the hand of a receiver that died:
   * 0 or 1 after `receive`, up to all after `receiveMany`. In a drain handler see `message.redelivered`.
   */
  get redelivered(): number {
    return this.#redelivered;
  }

  /**
   * The next message as a Buffer of its own; null when there is none now, undefined when the sender has closed and all is
   * received. Never blocks, and looks not at the sender's life: see `peer`. Finishes what was given out before.
   *
   * @throws `ERR_INTERPROC_CORRUPT`, `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`; `ERR_INTERPROC_BUSY` inside a
   *   drain handler.
   */
  tryReceive(): Buffer | null | undefined {
    this.#checkFree();
    if (!this.line.idle) return null;
    const message = this.#takeOne();
    return message ?? (this.#ring.ended ? undefined : null);
  }

  /**
   * As `tryReceive`, waiting for a message; undefined when the sender has closed and all is received.
   *
   * @throws (rejects with) `ERR_INTERPROC_PEER_DIED` when it would wait for a sender that ended without closing;
   *   `ETIMEDOUT`; `AbortError`; and as `tryReceive`.
   */
  receive(options?: WaitOptions): Promise<Buffer | undefined> {
    if (options === undefined && this.#servesAtOnce()) {
      try {
        this.checkOpen();
        const message = this.#takeOne();
        if (message !== undefined) return Promise.resolve(message);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.waitFor('receive', options, (peer) => this.#takeOne() ?? this.#nothing(peer));
  }

  /** As `receive`, blocking the calling thread. Ends when its worker is terminated. */
  receiveSync(options?: SyncWaitOptions): Buffer | undefined {
    return this.#waitSync('receive', options, (peer) => this.#takeOne() ?? this.#nothing(peer));
  }

  /** Up to `max` messages that are there now; null when there are none, undefined at the end. Throws as `tryReceive`. */
  tryReceiveMany(max: number): Buffer[] | null | undefined {
    this.#checkFree();
    const most = checkInteger(max, 'max', 1);
    if (!this.line.idle) return null;
    return this.#takeMany(most) ?? (this.#ring.ended ? undefined : null);
  }

  /** At least one message and at most `max`, waiting for the first; undefined at the end. Rejects as `receive`. */
  async receiveMany(max: number, options?: WaitOptions): Promise<Buffer[] | undefined> {
    this.checkOpen();
    const most = checkInteger(max, 'max', 1);
    return this.waitFor('receive', options, (peer) => this.#takeMany(most) ?? this.#nothing(peer));
  }

  /** As `receiveMany`, blocking the calling thread. */
  receiveManySync(max: number, options?: SyncWaitOptions): Buffer[] | undefined {
    this.checkOpen();
    const most = checkInteger(max, 'max', 1);
    return this.#waitSync('receive', options, (peer) => this.#takeMany(most) ?? this.#nothing(peer));
  }

  /**
   * Calls `handler` for each message that is there now, in place, at most `limit`. Allocates nothing. Returns how many
   * were handled; 0 when there was none, undefined when the sender has closed and all is received.
   *
   * @throws What the handler throws: that message stays unread, and those before it are finished. A TypeError for an
   *   async handler (`ERR_INVALID_ARG_TYPE`; one that returned a promise: its message stays unread); and as `tryReceive`.
   */
  tryDrain(handler: DrainHandler, limit: number = Number.POSITIVE_INFINITY): number | undefined {
    this.#checkFree();
    const most = checkLimit(handler, limit);
    if (!this.line.idle) return 0;
    const count = this.#drain(handler, most);
    return count === 0 && this.#ring.ended ? undefined : count;
  }

  /** As `tryDrain`, waiting for the first message; undefined at the end. Rejects as `tryDrain` throws, and as `receive`. */
  async drain(
    handler: DrainHandler,
    limit: number = Number.POSITIVE_INFINITY,
    options?: WaitOptions,
  ): Promise<number | undefined> {
    this.checkOpen();
    const most = checkLimit(handler, limit);
    if (options === undefined && this.#servesAtOnce(clockCalls)) {
      const count = this.#drain(handler, most);
      if (count > 0) return count;
    }
    return this.waitFor('receive', options, (peer) => this.#drain(handler, most) || this.#nothing(peer));
  }

  /** As `drain`, blocking the calling thread until there is a message. */
  drainSync(
    handler: DrainHandler,
    limit: number = Number.POSITIVE_INFINITY,
    options?: SyncWaitOptions,
  ): number | undefined {
    this.#checkFree();
    const most = checkLimit(handler, limit);
    return this.#waitSync('receive', options, (peer) => this.#drain(handler, most) || this.#nothing(peer));
  }

  /**
   * Messages as they come, each a Buffer of its own, until the sender closes. A message is in hand while the loop's body
   * runs. Leaving the loop closes nothing and finishes nothing; closing the receiver ends the loop.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    return seriesOf({
      next: () => this.receive(),
      now: () => (this.#servesAtOnce() ? this.#takeOne() : undefined),
      isClosed: () => this.closed,
    });
  }

  /** Finishes what is in hand, and leaves. Pending calls reject with `ERR_INTERPROC_CLOSED`. Again does nothing. */
  close(): void {
    this.#close(false);
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal For the end of the process. */
  end(closes: boolean): void {
    if (closes) this.#close(true);
  }

  #close(processEnds: boolean): void {
    if (this.closed) return;
    try {
      this.#ring.end();
    } catch {
      // Truncated: there is nothing left to hand back, and nobody here to be told.
    }
    this.leave(processEnds);
  }

  /** Open, and not inside a handler, whose message would be pulled away. */
  #checkFree(): void {
    if (this.closed) throw this.closedError();
    if (this.#inHandler) throw this.busyError('it is inside a drain handler');
  }

  /** Whether a call that would wait may take what is there: nobody is before it, and the event loop has had its turns. */
  #servesAtOnce(weight?: number): boolean {
    return this.line.idle && !this.#inHandler && !turnIsLong(weight);
  }

  /** Finishes what was in hand, and looks for more. */
  #turnOver(): boolean {
    const ring = this.#ring;
    ring.finish();
    if (!ring.look(true)) {
      ring.starve();
      keepPromises(); // who polls must not wait for what this thread keeps back
      return false;
    }
    ring.feed();
    return true;
  }

  #takeOne(): Buffer | undefined {
    if (this.#inHandler || !this.#turnOver()) return undefined;
    const copy = this.#copies.next();
    this.#redelivered = this.#ring.begin() ? 1 : 0;
    return copy;
  }

  #takeMany(max: number): Buffer[] | undefined {
    if (this.#inHandler || !this.#turnOver()) return undefined;
    const taken = [this.#copies.next()];
    this.#redelivered = this.#ring.begin() ? 1 : 0;
    try {
      while (taken.length < max && this.#ring.look(false)) {
        taken.push(this.#copies.next());
        if (this.#ring.begin()) this.#redelivered++;
      }
    } catch {
      // Corrupt, or no memory: the next call meets it again. What was taken before is good.
    }
    return taken;
  }

  /** Bounded by what was published when it began: however fast the sender is, this ends. */
  #drain(handler: DrainHandler, limit: number): number {
    if (this.#inHandler || !this.#turnOver()) return 0;
    this.#copies.forget();
    const ring = this.#ring;
    const message = this.#message;
    const most = Math.min(limit, mostMessages) | 0;
    let handled = 0;
    this.#inHandler = true;
    try {
      do {
        message.show(ring.offset, ring.length);
        const again = ring.begin();
        if (message.redelivered !== again) message.redelivered = again;
        const returned: unknown = handler(message);
        if (returned !== undefined) checkNotAsync(returned);
        handled++;
        // The handler may have closed it, which has finished the message.
        if (this.closed) return handled;
        ring.finish();
      } while (handled < most && ring.look(false));
    } catch (error) {
      ring.putBack(); // unread; messages before it are finished
      throw error;
    } finally {
      this.#inHandler = false;
      message.redelivered = false;
      if (!this.closed && !this.line.idle) this.line.serve();
    }
    return handled;
  }

  #waitSync<T>(call: string, options: SyncWaitOptions | undefined, once: Attempt<T>): T {
    this.#checkFree();
    return this.waitForSync(call, options, () => this.#ring.hasMore, once);
  }

  /** What an attempt gives that found nothing: it waits, or this is the end. Throws when the sender is dead. */
  #nothing(peer: PeerState | undefined): typeof waits | undefined {
    if (this.#inHandler) return waits;
    if (peer !== undefined) this.#ring.starveNow();
    if (this.#ring.ended) return undefined;
    if (peer === 'died' && !this.awaitPeer) throw this.peerGone(peer);
    return waits;
  }
}

/** No ring has so many: as an int32 it costs less to compare with. */
const mostMessages = 0x7fff_ffff;

function checkLimit(handler: unknown, limit: unknown): number {
  checkHandler(handler);
  if (handler instanceof AsyncFunction) checkNotAsync(Promise.resolve());
  return limit === Number.POSITIVE_INFINITY ? limit : checkInteger(limit, 'limit', 1);
}

const AsyncFunction = (async () => {}).constructor;

function checkNotAsync(returned: unknown): void {
  if (typeof (returned as { then?: unknown } | null)?.then !== 'function') return;
  throw Object.assign(
    new TypeError(
      'The "handler" argument must not be async: the message is another one once it returns. Use receive(), or copy()',
    ),
    { code: 'ERR_INVALID_ARG_TYPE' },
  );
}
