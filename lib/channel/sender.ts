/**
 * The sender of a channel.
 *
 * A message is accepted first and published a little later, many at a time, because publishing costs more than
 * writing: the store to the tail is a full fence. Publication comes at once when the receiver has nothing to do, else
 * with the 32nd message or 64 KiB, at the end of this turn of the event loop, before any blocking call of this
 * package and when a receiver of this thread finds nothing, and on flush(), close() and the end of the process.
 */
import { Buffer } from 'node:buffer';
import { IpcError } from '../errors.js';
import { checkInteger, invalidType, outOfRange } from '../internal/arguments.js';
import { byteLengthOf, bytesOf, invalidMessage, isBytes, type MessageData } from '../internal/bytes.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import { beforeBlocking, type SyncWaitOptions, turnIsLong, type WaitOptions } from '../internal/waiting.js';
import type { ChannelMemory } from './channel-memory.js';
import { layout, messageMax } from './layout.js';
import { over, RingWriter, unclaimed } from './ring-writer.js';
import { type Attempt, later, Side, type SideSetup, sideNumber, waits } from './side.js';
import { afterClaim, checkCommit, Slot, type SlotOwner } from './slot.js';
import type { PeerState } from './wait-line.js';

export type { MessageData } from '../internal/bytes.js';

const batchMessages = layout.batchMessages;
/** As constants of this module, which the engine folds. */
const none = unclaimed;

/** Up to here a loop is faster than the call of TypedArray.prototype.set. */
const loopBytes = 8;

type SenderStart = [tail: number, head: number, turn: number, messages: number, bytes: number];

/**
 * The sending side of a channel, as `channel.sender()` gives it. A message is accepted first, and published a little
 * later with others: docs/channel.md, "Accepted, and published".
 */
export class Sender extends Side implements SlotOwner {
  readonly #memory: ChannelMemory;
  readonly #ring: RingWriter;
  readonly #bytes: Uint8Array;
  readonly #text: Buffer;
  readonly #slot: Slot;
  readonly #messageMax: number = 0;
  readonly #predecessorPublished: number;
  #publishesLater = false;
  readonly #publishNow = (): void => {
    if (this.closed) return;
    try {
      this.#ring.publish();
    } catch {
      // Truncated: nobody is here to be told, and the next call finds it too.
    }
  };

  /** @internal Use `channel.sender()`. */
  constructor(setup: SideSetup) {
    super('sender', setup);
    const [tail, head, turn, messages, bytes] = native.roleStart(
      setup.participant,
      sideNumber.sender,
    ) as SenderStart;
    this.#memory = setup.memory;
    this.#ring = new RingWriter(
      setup.memory,
      { tail, head, turn, messages, bytes },
      (what) => this.corruptError(what),
      () => this.#publishLater(),
    );
    this.#bytes = setup.memory.bytes;
    this.#text = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    this.line.onQueued = (queued) => {
      this.#ring.queued = queued;
    };
    this.#slot = new Slot(this, this.#ring, this.#bytes);
    this.#messageMax = messageMax(setup.memory.capacity);
    this.#predecessorPublished = messages;
  }

  /** How many messages all senders before this one have published: the number of its first message. */
  get predecessorPublished(): number {
    return this.#predecessorPublished;
  }

  /** How many messages were accepted, predecessors' included. */
  get sent(): number {
    return this.#ring.messages;
  }

  /** The longest message in bytes: what always fits, whatever the ring holds at its end. */
  get maxMessageSize(): number {
    return this.#messageMax;
  }

  /**
   * Sends if there is room now, else returns false. Never blocks, and looks not at the receiver's life: see `peer`.
   *
   * @throws `ERR_OUT_OF_RANGE` with the limit for a message that never fits; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INTERPROC_BUSY` while a claim is open; `ERR_INTERPROC_CORRUPT`; `ERR_INVALID_ARG_TYPE`.
   */
  trySend(data: MessageData): boolean {
    if (this.#ring.claimed !== none) this.#checkFree();
    return !this.#ring.queued && this.#accept(data);
  }

  /**
   * Sends, and waits for room where there is none. Resolves when the message is accepted. Don't change `data` before.
   *
   * @throws (rejects with) what `trySend` throws, but waits while a claim is open; `ETIMEDOUT`; `AbortError`;
   *   `ERR_INTERPROC_PEER_DIED`, `ERR_INTERPROC_PEER_CLOSED` when it would wait for a receiver that is gone.
   */
  send(data: MessageData, options?: WaitOptions): Promise<void> {
    if (options === undefined && this.#servesAtOnce()) {
      try {
        this.checkOpen();
        if (this.#accept(data)) return Promise.resolve();
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.waitFor<void>('send', options, (peer) =>
      this.#accept(data) ? undefined : this.#noRoom(peer),
    );
  }

  /**
   * As `send`, blocking the calling thread; the message is published when it returns. Ends when its worker is
   * terminated.
   */
  sendSync(data: MessageData, options?: SyncWaitOptions): void {
    this.#waitSync<void>('send', options, (peer) => (this.#accept(data) ? undefined : this.#noRoom(peer)));
    this.#ring.publish();
  }

  /**
   * Sends each, in order, waiting for room where there is none; returns how many: all. A rejection tells in `.sent` how
   * many were accepted. One that can't be sent is refused before the first is.
   */
  async sendMany(messages: Iterable<MessageData>, options?: WaitOptions): Promise<number> {
    let sent = 0;
    try {
      const list = this.#listOf(messages);
      return await this.waitFor('send', options, (peer) => {
        while (sent < list.length) {
          if (!this.#accept(list[sent] as MessageData)) return this.#noRoom(peer);
          sent++;
          // With a receiver that keeps up this would not end before the list does.
          if (sent % batchMessages === 0 && sent < list.length && turnIsLong()) return later;
        }
        return sent;
      });
    } catch (error) {
      throw withSent(error, sent);
    }
  }

  /**
   * Sends as many as there is room for now, in order, and returns how many. Throws as `trySend`, before the first is
   * sent; else, for a ring that is corrupt, `.sent` tells how many were accepted.
   */
  trySendMany(messages: Iterable<MessageData>): number {
    let sent = 0;
    try {
      const list = this.#listOf(messages);
      this.#checkFree();
      if (!this.line.idle) return sent;
      while (sent < list.length && this.#accept(list[sent] as MessageData)) sent++;
      return sent;
    } catch (error) {
      throw withSent(error, sent);
    }
  }

  /** As `sendMany`, blocking; all are published when it returns. An error tells in `.sent` how many were accepted. */
  sendManySync(messages: Iterable<MessageData>, options?: SyncWaitOptions): number {
    let sent = 0;
    try {
      const list = this.#listOf(messages);
      this.#waitSync<void>('send', options, (peer) => {
        while (sent < list.length && this.#accept(list[sent] as MessageData)) sent++;
        return sent === list.length ? undefined : this.#noRoom(peer);
      });
    } catch (error) {
      throw withSent(error, sent);
    }
    this.#ring.publish();
    return sent;
  }

  /**
   * Claims room for a message of `size` bytes, to be written in place: `slot.bytes`, `.int32` and `.float64` from their
   * offsets on, then `slot.commit()` or `slot.abort()`. Null when there is no room now. The slot is the same object each
   * time. What was there before is not cleared.
   *
   * @throws As `trySend`; `ERR_INTERPROC_BUSY` while the last claim is open.
   */
  tryClaim(size: number): Slot | null {
    // Each of them once, and small enough to be inlined where it is called: this is the hottest path there is.
    const ring = this.#ring;
    if (ring.claimed !== none || typeof size !== 'number' || size >>> 0 !== size || size > this.#messageMax) {
      this.#refuse(size);
    }
    return ring.queued ? null : this.#take(size);
  }

  /** Throws what is wrong with a claim of `size`. */
  #refuse(size: number): void {
    this.#checkFree();
    this.#checkSize(size);
  }

  /** As `tryClaim`, waiting for room, and until an open claim is committed or aborted. Rejects as `send`. */
  claim(size: number, options?: WaitOptions): Promise<Slot> {
    if (options === undefined && this.#servesAtOnce()) {
      try {
        this.checkOpen();
        this.#checkSize(size);
        const slot = this.#take(size);
        if (slot !== null) return Promise.resolve(slot);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.waitFor('claim', options, (peer) => {
      this.#checkSize(size);
      return this.#take(size) ?? this.#noRoom(peer);
    });
  }

  /** As `claim`, blocking the calling thread. */
  claimSync(size: number, options?: SyncWaitOptions): Slot {
    this.checkOpen();
    this.#checkSize(size);
    return this.#waitSync('claim', options, (peer) => this.#take(size) ?? this.#noRoom(peer));
  }

  /** Publishes all that was accepted. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`. */
  flush(): void {
    this.checkOpen();
    this.#ring.publish();
    this.#memory.checkThere();
  }

  /**
   * Publishes, and waits until the receiver has finished all: the last message once it asks for the next, or closes.
   * Rejects as `send`.
   */
  async drained(options?: WaitOptions): Promise<void> {
    await this.waitFor<void>('drained', options, (peer) => {
      this.#ring.publish();
      return this.#ring.drained ? undefined : this.#noRoom(peer);
    });
  }

  /**
   * Publishes, and ends the stream: the receiver's iteration ends after the last message. Pending sends reject with
   * `ERR_INTERPROC_CLOSED`; an open claim vanishes. Again is allowed and does nothing.
   */
  close(): void {
    this.#close(false);
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  [checkCommit](length: number | undefined): number {
    this.checkOpen();
    const { claimed } = this.#ring;
    if (claimed < 0) throw new IpcError('ERR_INTERPROC_NOT_CLAIMED', `${this.about} has no open claim`);
    return length === undefined ? claimed : checkInteger(length, 'length', 0, claimed);
  }

  /** @internal */
  [afterClaim](): void {
    this.line.serve();
  }

  /** @internal For the end of the process: publishes, and closes where that is how it ends. */
  end(closes: boolean): void {
    if (closes) this.#close(true);
    else this.#publishNow();
  }

  #close(processEnds: boolean): void {
    if (this.closed) return;
    this.#publishNow();
    failpoint('close.published');
    this.#ring.claimed = over;
    beforeBlocking.delete(this.#publishNow);
    this.leave(processEnds);
  }

  /** Open, and no claim in the way of a call that can't wait for its end. */
  #checkFree(): void {
    if (this.closed) throw this.closedError();
    if (this.#ring.claimed >= 0) throw this.busyError('commit or abort the open claim first');
  }

  #checkSize(size: unknown): void {
    checkInteger(size, 'size', 0);
    if ((size as number) > this.#messageMax) throw this.#tooLong('size', size);
  }

  #tooLong(name: string, size: unknown): RangeError {
    return outOfRange(
      name,
      `<= ${this.#messageMax}, the longest message of a channel of ${this.#memory.capacity} bytes (capacity / 2 - 8)`,
      size,
    );
  }

  /** How many bytes a message has; throws for what is none, or never fits. */
  #sizeOf(data: MessageData): number {
    let size: number;
    if (typeof data === 'string') size = Buffer.byteLength(data);
    else if (isBytes(data)) size = byteLengthOf(data, 'data');
    else throw invalidMessage('data', data);
    if (size > this.#messageMax) throw this.#tooLong('data.byteLength', size);
    return size;
  }

  /** All that it yields, first: it may be anybody's code, which closes or claims. Throws for what can't be sent. */
  #listOf(messages: Iterable<MessageData>): MessageData[] {
    this.checkOpen();
    if (typeof messages?.[Symbol.iterator] !== 'function') {
      throw invalidType('messages', 'an iterable of strings, ArrayBuffers, Buffers or TypedArrays', messages);
    }
    const list = [...messages];
    for (const each of list) this.#sizeOf(each);
    return list;
  }

  /** Makes a message of `data`: false when there is no room. Runs no code but its own. */
  #accept(data: MessageData): boolean {
    if (this.#ring.claimed >= 0) return false;
    const size = this.#sizeOf(data);
    if (!this.#ring.reserve(size)) return false;
    const at = this.#ring.offset;
    if (typeof data === 'string') {
      if (size > 0) this.#text.write(data, at, size, 'utf8');
    } else {
      const source = bytesOf(data, size);
      if (size > loopBytes) this.#bytes.set(source, at);
      else for (let index = 0; index < size; index++) this.#bytes[at + index] = source[index] as number;
    }
    this.#ring.accept(size);
    return true;
  }

  /** Opens a claim: null when there is no room, or one is open. */
  #take(size: number): Slot | null {
    const ring = this.#ring;
    if (ring.claimed >= 0 || ring.reserve(size) === false) return null;
    ring.claimed = size;
    return this.#slot.show(ring.offset, size);
  }

  /** Whether a call that would wait may try at once: nobody is before it, and the event loop has had its turns. */
  #servesAtOnce(): boolean {
    return this.line.idle && this.#ring.claimed < 0 && !turnIsLong();
  }

  /** At the end of this turn of the event loop, or before a blocking call. */
  #publishLater(): void {
    if (this.#publishesLater) return;
    this.#publishesLater = true;
    beforeBlocking.add(this.#publishNow);
    setImmediate(() => {
      this.#publishesLater = false;
      beforeBlocking.delete(this.#publishNow);
      this.#publishNow();
    });
  }

  #waitSync<T>(call: string, options: SyncWaitOptions | undefined, once: Attempt<T>): T {
    this.#checkFree();
    return this.waitForSync(call, options, () => this.#ring.hasNewRoom, once);
  }

  /** What an attempt gives that found no room. Throws when no receiver is there that would make some. */
  #noRoom(peer: PeerState | undefined): typeof waits {
    const gone = peer === 'died' || peer === 'closed';
    if (gone && !this.awaitPeer && this.#ring.claimed < 0) throw this.peerGone(peer);
    return waits;
  }
}

/** The error, telling how many messages were accepted; a user's own may be of any kind, also frozen. */
function withSent(error: unknown, sent: number): unknown {
  if (error instanceof Error && Object.isExtensible(error)) Object.assign(error, { sent });
  return error;
}
