/**
 * The sender of a channel.
 *
 * A message is accepted first and published a little later, many at a time, because publishing costs more than
 * writing: the store to the tail is a full fence. Publication comes at once when the receiver has nothing to do, else
 * with the 32nd message or 64 KiB, at the end of this turn of the event loop, before any blocking call of this
 * package, and on flush(), close() and the end of the process.
 *
 * Why plain stores and one Atomics.store are enough: the record is written by plain stores, which come before the
 * store to the tail in program order. That store is sequentially consistent, so a release: an engine may not move
 * earlier stores behind it (V8 emits xchg on x64, stlr on arm64, each after all earlier stores are visible). The
 * receiver reads the tail by Atomics.load, an acquire (mov on x64, ldar on arm64), and the record after it. So whoever
 * sees the new tail sees the records before it. The same in the other direction for the head: the receiver's loads of
 * a record come before its store to the head, which the sender reads by Atomics.load before it writes there again.
 */
import { Buffer } from 'node:buffer';
import { IpcError } from '../errors.js';
import { checkInteger, invalidType, outOfRange } from '../internal/arguments.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import {
  beforeBlocking,
  type SyncWaitOptions,
  turnIsLong,
  type WaitOptions,
  wait,
  waitSync,
} from '../internal/waiting.js';
import type { ChannelMemory } from './channel-memory.js';
import {
  asleep,
  awake,
  countBytesWord,
  countMessagesWord,
  countsWord,
  countWords,
  getCount,
  headWord,
  layout,
  messageMax,
  recordHeader,
  recordPad,
  recordSize,
  setCount,
  tailWord,
  timesFullWord,
} from './layout.js';
import { Side, type SideSetup, sideNumber } from './side.js';
import { abortSlot, commitSlot, Slot, type SlotOwner } from './slot.js';
import type { PeerState, Request } from './wait-line.js';

/** Bytes, or text that is sent as UTF-8. */
export type MessageData = ArrayBufferView | ArrayBufferLike | string;

const everybody = 0x7fff_ffff;
const batchMessages = layout.batchMessages;
const batchBytes = layout.batchBytes;
const receiverSleepWord = layout.receiverSleep / 4;
const ringWord = layout.ring / 4;
/** Up to here a loop is faster than the call of TypedArray.prototype.set. */
const loopBytes = 32;

export class Sender extends Side implements SlotOwner {
  readonly #memory: ChannelMemory;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #text: Buffer;
  readonly #capacity: number;
  readonly #slot: Slot;
  readonly #predecessorPublished: number;
  /** Where the next record goes; positions are int32 and wrap. */
  #tail: number;
  /** What the shared tail says. */
  #published: number;
  /** What the shared head said when it was last looked at. */
  #head: number;
  /** Which of the two shared counts is that of the last publication. */
  #turn: number;
  /** Accepted, predecessors' included. */
  #messages: number;
  #sentBytes: number;
  /** Accepted since the last publication. */
  #pending = 0;
  /** Where the claimed record begins; only while one is claimed. */
  #claim = 0;
  #claimed = false;
  #publishesLater = false;
  readonly #publishNow = (): void => {
    if (this.closed) return;
    try {
      this.#publish();
    } catch {
      // Truncated: nobody is here to be told, and the next call finds it too.
    }
  };

  /** @internal Use `channel.sender()`. */
  constructor(setup: SideSetup) {
    super('sender', setup);
    this.#memory = setup.memory;
    this.#words = setup.memory.words;
    this.#bytes = setup.memory.bytes;
    this.#text = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    this.#capacity = setup.memory.capacity;
    this.#slot = new Slot(this, this.#bytes);
    const [tail, head, turn, messages, bytes] = native.roleStart(setup.participant, sideNumber.sender);
    this.#tail = (tail as number) | 0;
    this.#published = this.#tail;
    this.#head = (head as number) | 0;
    this.#turn = turn as number;
    this.#messages = messages as number;
    this.#sentBytes = bytes as number;
    this.#predecessorPublished = messages as number;
  }

  /** How many messages all senders before this one have published: the number of its first message. */
  get predecessorPublished(): number {
    return this.#predecessorPublished;
  }

  /** How many messages were accepted, predecessors' included. */
  get sent(): number {
    return this.#messages;
  }

  /** The longest message in bytes: what always fits, whatever the ring holds at its end. */
  get maxMessageSize(): number {
    return messageMax(this.#capacity);
  }

  /**
   * Sends if there is room now, else returns false. Never blocks, and looks not at the receiver's life: see `peer`.
   *
   * @throws `ERR_OUT_OF_RANGE` with the limit for a message that never fits; `ERR_INTERPROC_CLOSED`;
   *   `ERR_INTERPROC_BUSY` while a claim is open; `ERR_INTERPROC_CORRUPT`; `ERR_INVALID_ARG_TYPE`.
   */
  trySend(data: MessageData): boolean {
    this.#checkFree();
    return this.line.idle && this.#accept(data);
  }

  /**
   * Sends, and waits for room where there is none. Resolves when the message is accepted. Don't change `data` before.
   *
   * @throws (rejects with) what `trySend` throws, but waits while a claim is open; `ETIMEDOUT`; `AbortError`;
   *   `ERR_INTERPROC_PEER_DIED`, `ERR_INTERPROC_PEER_CLOSED` when it would wait for a receiver that is gone.
   */
  send(data: MessageData, options?: WaitOptions): Promise<void> {
    if (options === undefined && this.line.idle && !this.#claimed && !turnIsLong()) {
      try {
        this.checkOpen();
        if (this.#accept(data)) return Promise.resolve();
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#wait('send', options, () => (this.#accept(data) ? true : undefined)).then(() => {});
  }

  /**
   * As `send`, blocking the calling thread; the message is published when it returns. Ends when its worker is
   * terminated.
   */
  sendSync(data: MessageData, options?: SyncWaitOptions): void {
    this.#waitSync('send', options, () => (this.#accept(data) ? true : undefined));
    this.#publish();
  }

  /**
   * Sends each, in order, waiting for room where there is none; returns how many: all. A rejection tells in `.sent` how
   * many were accepted. One that can't be sent is refused before the first is.
   */
  sendMany(messages: Iterable<MessageData>, options?: WaitOptions): Promise<number> {
    let list: MessageData[];
    try {
      this.checkOpen();
      list = [...messages];
      for (const each of list) this.#sizeOf(each);
    } catch (error) {
      return Promise.reject(error);
    }
    let sent = 0;
    return this.#wait('send', options, () => {
      while (sent < list.length) {
        if (!this.#accept(list[sent] as MessageData)) return undefined;
        sent++;
        // A claim of the receiver's speed could go on for ever.
        if (sent % batchMessages === 0 && sent < list.length && turnIsLong()) return undefined;
      }
      return sent;
    }).catch((error) => {
      throw Object.assign(error as object, { sent });
    });
  }

  /** Sends as many as there is room for now, in order, and returns how many. Throws as `trySend`. */
  trySendMany(messages: Iterable<MessageData>): number {
    this.#checkFree();
    let sent = 0;
    if (!this.line.idle) return sent;
    for (const each of messages) {
      if (!this.#accept(each)) break;
      sent++;
    }
    return sent;
  }

  /** As `sendMany`, blocking; all are published when it returns. An error tells in `.sent` how many were accepted. */
  sendManySync(messages: Iterable<MessageData>, options?: SyncWaitOptions): number {
    this.checkOpen();
    const list = [...messages];
    for (const each of list) this.#sizeOf(each);
    let sent = 0;
    try {
      this.#waitSync('send', options, () => {
        while (sent < list.length && this.#accept(list[sent] as MessageData)) sent++;
        return sent === list.length ? true : undefined;
      });
    } catch (error) {
      throw Object.assign(error as object, { sent });
    }
    this.#publish();
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
    this.#checkFree();
    this.#checkSize(size);
    return this.line.idle && this.#take(size) ? this.#slot : null;
  }

  /** As `tryClaim`, waiting for room, and until an open claim is committed or aborted. Rejects as `send`. */
  claim(size: number, options?: WaitOptions): Promise<Slot> {
    if (options === undefined && this.line.idle && !this.#claimed && !turnIsLong()) {
      try {
        this.checkOpen();
        this.#checkSize(size);
        if (this.#take(size)) return Promise.resolve(this.#slot);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#wait('claim', options, () => {
      this.#checkSize(size);
      return this.#take(size) ? this.#slot : undefined;
    });
  }

  /** As `claim`, blocking the calling thread. */
  claimSync(size: number, options?: SyncWaitOptions): Slot {
    this.checkOpen();
    this.#checkSize(size);
    return this.#waitSync('claim', options, () => (this.#take(size) ? this.#slot : undefined));
  }

  /** Publishes all that was accepted. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`. */
  flush(): void {
    this.checkOpen();
    this.#publish();
    this.#memory.checkThere();
  }

  /**
   * Publishes, and waits until the receiver has finished all: the last message once it asks for the next, or closes.
   * Rejects as `send`.
   */
  async drained(options?: WaitOptions): Promise<void> {
    await this.#wait('drained', options, () => {
      this.#publish();
      return Atomics.load(this.#words, headWord) === this.#tail ? true : undefined;
    });
  }

  /**
   * Publishes, and ends the stream: the receiver's iteration ends after the last message. Pending sends reject with
   * `ERR_INTERPROC_CLOSED`; an open claim vanishes. Again is allowed and does nothing.
   */
  close(): void {
    this.#close(false);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  [commitSlot](length: number): void {
    this.#checkClaim();
    const { length: claimed } = this.#slot;
    if (length !== claimed) checkInteger(length, 'length', 0, claimed);
    this.#claimed = false;
    this.#finish(length);
    if (!this.line.idle) this.line.serve();
  }

  /** @internal */
  [abortSlot](): void {
    this.#checkClaim();
    this.#claimed = false;
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
    this.#claimed = false;
    beforeBlocking.delete(this.#publishNow);
    this.leave(processEnds);
  }

  #checkClaim(): void {
    this.checkOpen();
    if (!this.#claimed) {
      throw new IpcError('ERR_INTERPROC_NOT_CLAIMED', `${this.about} has no open claim`);
    }
  }

  /** Open, and no claim in the way of a call that can't wait for its end. */
  #checkFree(): void {
    if (this.closed) throw this.closedError();
    if (this.#claimed) throw this.busyError('commit or abort the open claim first');
  }

  #checkSize(size: unknown): void {
    checkInteger(size, 'size', 0);
    if ((size as number) > this.maxMessageSize) throw this.#tooLong('size', size);
  }

  #tooLong(name: string, size: unknown): RangeError {
    return outOfRange(
      name,
      `<= ${this.maxMessageSize}, the longest message of a channel of ${this.#capacity} bytes (capacity / 2 - 8)`,
      size,
    );
  }

  /** The bytes of a message; throws for what is none, or never fits. */
  #sizeOf(data: MessageData): number {
    let size: number;
    if (typeof data === 'string') size = Buffer.byteLength(data);
    else if (ArrayBuffer.isView(data) || isBuffer(data)) size = data.byteLength;
    else
      throw invalidType('data', 'of type string or an instance of ArrayBuffer, Buffer or a TypedArray', data);
    if (size > this.#capacity / 2 - recordHeader) throw this.#tooLong('data.byteLength', size);
    return size;
  }

  /** Makes a message of `data`: false when there is no room. */
  #accept(data: MessageData): boolean {
    if (this.#claimed) return false;
    const size = this.#sizeOf(data);
    if (!this.#reserve(recordSize(size))) return false;
    const at = (this.#claim & (this.#capacity - 1)) + recordHeader;
    if (typeof data === 'string') {
      if (size > 0) this.#text.write(data, at, size, 'utf8');
    } else {
      const source =
        data instanceof Uint8Array
          ? data
          : ArrayBuffer.isView(data)
            ? new Uint8Array(data.buffer, data.byteOffset, size)
            : new Uint8Array(data);
      if (size > loopBytes) this.#bytes.set(source, at);
      else for (let index = 0; index < size; index++) this.#bytes[at + index] = source[index] as number;
    }
    this.#finish(size);
    return true;
  }

  /** Opens a claim: false when there is no room, or one is open. */
  #take(size: number): boolean {
    if (this.#claimed || !this.#reserve(recordSize(size))) return false;
    this.#claimed = true;
    this.#slot.show((this.#claim & (this.#capacity - 1)) + recordHeader, size);
    return true;
  }

  /** Finds room for a record of `record` bytes in one piece, padding the end of the ring where it does not fit there. */
  #reserve(record: number): boolean {
    const capacity = this.#capacity;
    const offset = this.#tail & (capacity - 1);
    const toEnd = capacity - offset;
    const pad = toEnd < record ? toEnd : 0;
    const needed = pad + record;
    if (capacity - ((this.#tail - this.#head) >>> 0) < needed && !this.#lookForRoom(needed)) return false;
    if (pad !== 0) this.#words[ringWord + (offset >> 2)] = recordPad | pad;
    failpoint('claim.padded');
    this.#claim = (this.#tail + pad) | 0;
    return true;
  }

  #lookForRoom(needed: number): boolean {
    // Pairs with the store in Receiver.#handBack: those bytes were read before.
    const head = Atomics.load(this.#words, headWord);
    const used = (this.#tail - head) >>> 0;
    if (used > this.#capacity) throw this.corruptError('its head is out of range');
    this.#head = head;
    if (this.#capacity - used >= needed) return true;
    setCount(this.#words, timesFullWord, getCount(this.#words, timesFullWord) + 1);
    this.#publish(); // a receiver can only make room of what it sees
    return false;
  }

  /** Accepts the record that was reserved, as a message of `size` bytes. */
  #finish(size: number): void {
    const words = this.#words;
    const at = ringWord + ((this.#claim & (this.#capacity - 1)) >> 2);
    failpoint('commit.written');
    words[at] = size;
    words[at + 1] = this.#messages;
    this.#tail = (this.#claim + recordSize(size)) | 0;
    this.#messages++;
    this.#sentBytes += size;
    failpoint('commit.accepted');
    if (
      ++this.#pending >= batchMessages ||
      (this.#tail - this.#published) >>> 0 >= batchBytes ||
      // A plain load: whether it is stale by a message or two decides nothing but when.
      words[receiverSleepWord] !== awake
    ) {
      this.#publish();
    } else if (!this.#publishesLater) {
      this.#publishLater();
    }
  }

  /** At the end of this turn of the event loop, or before a blocking call. */
  #publishLater(): void {
    this.#publishesLater = true;
    beforeBlocking.add(this.#publishNow);
    setImmediate(() => {
      this.#publishesLater = false;
      beforeBlocking.delete(this.#publishNow);
      this.#publishNow();
    });
  }

  #publish(): void {
    const tail = this.#tail;
    if (tail === this.#published) return;
    const words = this.#words;
    failpoint('publish.begin');
    this.#turn ^= 1;
    const count = countsWord + this.#turn * countWords;
    words[count] = tail;
    setCount(words, count + countMessagesWord, this.#messages);
    setCount(words, count + countBytesWord, this.#sentBytes);
    failpoint('publish.counted');
    // Publishes the records and the count before it: pairs with the load in Receiver.#look.
    Atomics.store(words, tailWord, tail);
    failpoint('publish.stored');
    this.#published = tail;
    this.#pending = 0;
    // After the store, a full fence: a receiver that is about to sleep sees the tail, or is seen here.
    if (
      Atomics.load(words, receiverSleepWord) !== awake &&
      Atomics.exchange(words, receiverSleepWord, awake) === asleep
    ) {
      native.futexWake(this.#memory.mapping, layout.receiverSleep, everybody);
    }
  }

  #wait<T>(call: string, options: WaitOptions | undefined, attempt: () => T | undefined): Promise<T> {
    return wait<T>(
      call,
      options,
      (settle) => {
        this.checkOpen();
        const request: Request = {
          attempt: (peer) => {
            const result = attempt();
            if (result !== undefined) settle.resolve(result);
            else if (peer !== undefined && this.#gone(peer)) settle.reject(this.peerGone(peer));
            else return false;
            return true;
          },
          fail: (error) => settle.reject(error),
        };
        if (!this.line.idle || turnIsLong() || !request.attempt()) this.line.add(request);
        return () => this.line.remove(request);
      },
      this.line.kept,
    );
  }

  #waitSync<T>(call: string, options: SyncWaitOptions | undefined, attempt: () => T | undefined): T {
    this.#checkFree();
    if (!this.line.idle) throw this.busyError('its asynchronous calls come first, and they are waiting');
    if (options === undefined) {
      const result = attempt();
      if (result !== undefined) return result;
    }
    const changed = () => Atomics.load(this.#words, headWord) !== this.#head;
    return waitSync(call, options, (sliceMs) =>
      this.line.slice(sliceMs, changed, (peer) => {
        const result = attempt();
        if (result === undefined && peer !== undefined && this.#gone(peer)) throw this.peerGone(peer);
        return result;
      }),
    );
  }

  /** Whether no receiver is there that would make room, and none is awaited. */
  #gone(peer: PeerState): peer is 'died' | 'closed' {
    return (peer === 'died' || peer === 'closed') && !this.awaitPeer && !this.#claimed;
  }
}

function isBuffer(value: unknown): value is ArrayBufferLike {
  return (
    value instanceof ArrayBuffer ||
    (typeof SharedArrayBuffer !== 'undefined' && value instanceof SharedArrayBuffer)
  );
}
