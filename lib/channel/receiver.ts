/**
 * The receiver of a channel.
 *
 *         head          done         next          tail
 *   ───────┼─────────────┼─────────────┼─────────────┼───────
 *     free │ finished    │ in hand     │ published   │
 *
 * A message is in hand from when it is given out until the next call that receives, or close(); one that a drain
 * handler sees, until the handler returns. Finished messages are never delivered again. What a receiver had in hand when
 * it died is delivered to its successor, and flagged. Space goes back to the sender in eighths of the ring, and all of it
 * when there is nothing to read.
 */
import type { Buffer } from 'node:buffer';
import { checkInteger } from '../internal/arguments.js';
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import { type SyncWaitOptions, turnIsLong, type WaitOptions, wait, waitSync } from '../internal/waiting.js';
import type { ChannelMemory } from './channel-memory.js';
import {
  asleep,
  awake,
  begunWord,
  doneWord,
  headWord,
  layout,
  messageMax,
  receivedWord,
  recordHeader,
  recordPad,
  recordSize,
  setCount,
  starved,
  tailWord,
} from './layout.js';
import { copyOut, Message } from './message.js';
import { checkHandler, Side, type SideSetup, sideNumber } from './side.js';
import type { PeerState, Request } from './wait-line.js';

/**
 * Reads a message in place. It must not be async: what it was given is another message once it returns. When it throws,
 * the message stays unread.
 */
export type DrainHandler = (message: Message) => void;

const everybody = 0x7fff_ffff;
const senderSleepWord = layout.senderSleep / 4;
const receiverSleepWord = layout.receiverSleep / 4;
const ringWord = layout.ring / 4;
/** An empty ring is looked at this often before its mapping is. */
const looksPerCheck = 64;

export class Receiver extends Side implements AsyncIterable<Buffer> {
  readonly #memory: ChannelMemory;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  readonly #messageMax: number;
  readonly #eighth: number;
  readonly #message: Message;
  /** Up to here a predecessor had messages in hand. Positions are int32 and wrap. */
  #begunBefore: number;
  /** All before it is finished: what the shared word says. */
  #done: number;
  /** Behind what is in hand; the same as #done when nothing is. */
  #next: number;
  /** The furthest that was ever given out: what the shared word says. */
  #begun: number;
  /** What the shared tail said when it was last looked at. */
  #tail: number;
  /** What the shared head says. */
  #head: number;
  /** Finished, predecessors' included. */
  #received: number;
  /** How many are in hand. */
  #inHand = 0;
  /** Of the last call's messages, the first so many were in a dead receiver's hand. */
  #redelivered = 0;
  /** The record that #look has found. */
  #at = 0;
  #length = 0;
  #end = 0;
  #inHandler = false;
  #looks = 0;

  /** @internal Use `channel.receiver()`. */
  constructor(setup: SideSetup) {
    super('receiver', setup);
    this.#memory = setup.memory;
    this.#words = setup.memory.words;
    this.#bytes = setup.memory.bytes;
    this.#capacity = setup.memory.capacity;
    this.#messageMax = messageMax(this.#capacity);
    this.#eighth = this.#capacity >> 3;
    this.#message = new Message(this.#bytes);
    const [head, done, begun, received] = native.roleStart(setup.participant, sideNumber.receiver);
    this.#head = (head as number) | 0;
    this.#done = (done as number) | 0;
    this.#next = this.#done;
    this.#tail = this.#done;
    this.#begun = (begun as number) | 0;
    this.#begunBefore = this.#begun;
    this.#received = received as number;
  }

  /** How many messages are finished, predecessors' included. */
  get received(): number {
    return this.#received;
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
    return message ?? this.#nothing(null);
  }

  /**
   * As `tryReceive`, waiting for a message; undefined when the sender has closed and all is received.
   *
   * @throws (rejects with) `ERR_INTERPROC_PEER_DIED` when it would wait for a sender that ended without closing;
   *   `ETIMEDOUT`; `AbortError`; and as `tryReceive`.
   */
  receive(options?: WaitOptions): Promise<Buffer | undefined> {
    if (options === undefined && this.line.idle && !this.#inHandler && !turnIsLong()) {
      try {
        this.checkOpen();
        const message = this.#takeOne();
        if (message !== undefined) return Promise.resolve(message);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#wait('receive', options, () => this.#takeOne());
  }

  /** As `receive`, blocking the calling thread. Ends when its worker is terminated. */
  receiveSync(options?: SyncWaitOptions): Buffer | undefined {
    return this.#waitSync('receive', options, () => this.#takeOne());
  }

  /** Up to `max` messages that are there now; null when there are none, undefined at the end. Throws as `tryReceive`. */
  tryReceiveMany(max: number): Buffer[] | null | undefined {
    this.#checkFree();
    const most = checkInteger(max, 'max', 1);
    if (!this.line.idle) return null;
    return this.#takeMany(most) ?? this.#nothing(null);
  }

  /** At least one message and at most `max`, waiting for the first; undefined at the end. Rejects as `receive`. */
  async receiveMany(max: number, options?: WaitOptions): Promise<Buffer[] | undefined> {
    this.checkOpen();
    const most = checkInteger(max, 'max', 1);
    return this.#wait('receive', options, () => this.#takeMany(most));
  }

  /** As `receiveMany`, blocking the calling thread. */
  receiveManySync(max: number, options?: SyncWaitOptions): Buffer[] | undefined {
    this.checkOpen();
    const most = checkInteger(max, 'max', 1);
    return this.#waitSync('receive', options, () => this.#takeMany(most));
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
    return count === 0 ? this.#nothing(0) : count;
  }

  /** As `tryDrain`, waiting for the first message; undefined at the end. Rejects as `tryDrain` throws, and as `receive`. */
  async drain(
    handler: DrainHandler,
    limit: number = Number.POSITIVE_INFINITY,
    options?: WaitOptions,
  ): Promise<number | undefined> {
    this.checkOpen();
    const most = checkLimit(handler, limit);
    if (options === undefined && this.line.idle && !this.#inHandler && !turnIsLong()) {
      const count = this.#drain(handler, most);
      if (count > 0) return count;
    }
    return this.#wait('receive', options, () => this.#drain(handler, most) || undefined);
  }

  /** As `drain`, blocking the calling thread until there is a message. */
  drainSync(
    handler: DrainHandler,
    limit: number = Number.POSITIVE_INFINITY,
    options?: SyncWaitOptions,
  ): number | undefined {
    this.#checkFree();
    const most = checkLimit(handler, limit);
    return this.#waitSync('receive', options, () => this.#drain(handler, most) || undefined);
  }

  /**
   * Messages as they come, each a Buffer of its own, until the sender closes. A message is in hand while the loop's body
   * runs. Leaving the loop closes nothing and finishes nothing; closing the receiver ends the loop.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    let over = false;
    const end = (): IteratorReturnResult<undefined> => {
      over = true;
      return { done: true, value: undefined };
    };
    return {
      next: async (): Promise<IteratorResult<Buffer, undefined>> => {
        if (over || this.closed) return end();
        try {
          const value = await this.receive();
          return value === undefined ? end() : { done: false, value };
        } catch (error) {
          if (this.closed) return end();
          over = true;
          throw error;
        }
      },
      return: async () => end(),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Finishes what is in hand, and leaves. Pending calls reject with `ERR_INTERPROC_CLOSED`. Again does nothing. */
  close(): void {
    this.#close(false);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal For the end of the process. */
  end(closes: boolean): void {
    if (closes) this.#close(true);
  }

  #close(processEnds: boolean): void {
    if (this.closed) return;
    this.#finish();
    this.#handBack();
    this.leave(processEnds);
  }

  /** Open, and not inside a handler, whose message would be pulled away. */
  #checkFree(): void {
    if (this.closed) throw this.closedError();
    if (this.#inHandler) throw this.busyError('it is inside a drain handler');
  }

  /** What there is to say when nothing can be read: `nothing` now, or the end. */
  #nothing<T>(nothing: T): T | undefined {
    if ((++this.#looks & (looksPerCheck - 1)) === 0) this.#memory.checkThere();
    if (Atomics.load(this.#words, layout.senderRole / 4) >>> 0 !== layout.roleClosed) return nothing;
    // It published before it closed: pairs with the compare-and-swap in interproc_leave_role.
    return Atomics.load(this.#words, tailWord) === this.#next ? undefined : nothing;
  }

  /** What is in hand is finished. */
  #finish(): void {
    if (this.#next === this.#done) return;
    failpoint('receive.handled');
    this.#done = this.#next;
    this.#received += this.#inHand;
    this.#inHand = 0;
    // A plain store: whoever succeeds this process reads it when this process is gone.
    this.#words[doneWord] = this.#done;
    failpoint('receive.done');
    if ((this.#done - this.#head) >>> 0 >= this.#eighth) this.#handBack();
  }

  #handBack(): void {
    const done = this.#done;
    if (done === this.#head) return;
    const words = this.#words;
    setCount(words, receivedWord, this.#received);
    failpoint('release.counted');
    // All loads of those records come before it: pairs with the load in Sender.#lookForRoom.
    Atomics.store(words, headWord, done);
    failpoint('release.stored');
    this.#head = done;
    // After the store, a full fence: a sender that is about to sleep sees the head, or is seen here.
    if (
      Atomics.load(words, senderSleepWord) === asleep &&
      Atomics.exchange(words, senderSleepWord, awake) === asleep
    ) {
      native.futexWake(this.#memory.mapping, layout.senderSleep, everybody);
    }
  }

  /**
   * Looks for the next record behind #next: leaves it in #at, #length and #end. `again`: asks the sender's tail when all
   * that was seen before is read.
   */
  #look(again: boolean): boolean {
    let position = this.#next;
    // Pairs with the store in Sender.#publish.
    if (position === this.#tail && again) this.#tail = Atomics.load(this.#words, tailWord);
    let available = (this.#tail - position) >>> 0;
    if (available === 0) return false;
    const capacity = this.#capacity;
    if (available > capacity || (available & 7) !== 0) throw this.corruptError('its tail is out of range');
    let offset = position & (capacity - 1);
    // Read once, and then used: a hostile peer may change it meanwhile.
    let length = this.#words[ringWord + (offset >> 2)] as number;
    if (length < 0) {
      const pad = length ^ recordPad;
      if (pad !== capacity - offset || pad >= available)
        throw this.corruptError('its padding is out of range');
      position = (position + pad) | 0;
      available -= pad;
      offset = 0;
      length = this.#words[ringWord] as number;
    }
    if (length < 0 || length > this.#messageMax) throw this.corruptError('a length is out of range');
    const record = recordSize(length);
    if (record > available || record > capacity - offset) throw this.corruptError('a record is cut off');
    if (this.#words[ringWord + (offset >> 2) + 1] !== ((this.#received + this.#inHand) | 0)) {
      throw this.corruptError('a record is out of sequence');
    }
    this.#at = offset + recordHeader;
    this.#length = length;
    this.#end = (position + record) | 0;
    return true;
  }

  /** Tells the sender whether it is waited for: it publishes at once then. */
  #showHunger(hungry: boolean): void {
    const there = this.#words[receiverSleepWord];
    // One that is about to sleep (ASLEEP) is hungry enough.
    if (hungry ? there === awake : there !== awake) {
      Atomics.store(this.#words, receiverSleepWord, hungry ? starved : awake);
    }
  }

  /** Nothing to read: all space goes back, and the sender is told. */
  #starve(): void {
    this.#handBack();
    this.#showHunger(true);
  }

  /** Takes the record that #look has found in hand; true if a dead receiver had it. */
  #begin(): boolean {
    const again = ((this.#begunBefore - this.#next) | 0) > 0;
    if (!again) this.#begunBefore = this.#next; // carried along: 2 GiB behind, it would lie before it again
    this.#next = this.#end;
    this.#inHand++;
    if (((this.#end - this.#begun) | 0) > 0) {
      this.#begun = this.#end;
      this.#words[begunWord] = this.#end; // for a successor, as #done is
    }
    failpoint('receive.begun');
    return again;
  }

  #takeOne(): Buffer | undefined {
    if (this.#inHandler) return undefined;
    this.#finish();
    if (!this.#look(true)) {
      this.#starve();
      return undefined;
    }
    this.#showHunger(false);
    const copy = copyOut(this.#bytes, this.#at, this.#length);
    this.#redelivered = this.#begin() ? 1 : 0;
    return copy;
  }

  #takeMany(max: number): Buffer[] | undefined {
    if (this.#inHandler) return undefined;
    this.#finish();
    this.#redelivered = 0;
    if (!this.#look(true)) {
      this.#starve();
      return undefined;
    }
    this.#showHunger(false);
    const taken: Buffer[] = [];
    do {
      taken.push(copyOut(this.#bytes, this.#at, this.#length));
      if (this.#begin()) this.#redelivered++;
    } while (taken.length < max && this.#look(false));
    return taken;
  }

  /** Bounded by what was published when it began: however fast the sender is, this ends. */
  #drain(handler: DrainHandler, limit: number): number {
    if (this.#inHandler) return 0;
    this.#finish();
    if (!this.#look(true)) {
      this.#starve();
      return 0;
    }
    this.#showHunger(false);
    const message = this.#message;
    let handled = 0;
    this.#inHandler = true;
    try {
      do {
        const at = this.#at;
        const length = this.#length;
        message.show(at, length, this.#begin());
        const returned: unknown = handler(message);
        if (returned !== undefined) checkNotAsync(returned);
        handled++;
        // The handler may have closed it, which has finished the message.
        if (this.closed) return handled;
        this.#finish();
      } while (handled < limit && this.#look(false));
    } catch (error) {
      // Unread; messages before it are finished.
      this.#next = this.#done;
      this.#inHand = 0;
      throw error;
    } finally {
      this.#inHandler = false;
      message.redelivered = false;
      if (!this.closed && !this.line.idle) this.line.serve();
    }
    return handled;
  }

  #wait<T>(
    call: string,
    options: WaitOptions | undefined,
    attempt: () => T | undefined,
  ): Promise<T | undefined> {
    return wait<T | undefined>(
      call,
      options,
      (settle) => {
        this.checkOpen();
        let attempting = false;
        const request: Request = {
          attempt: (peer) => {
            attempting = true;
            const result = attempt();
            attempting = false;
            if (result !== undefined) settle.resolve(result);
            else if (this.#inHandler) return false;
            else if (this.#nothing(null) === undefined) settle.resolve(undefined);
            else if (peer === 'died' && !this.awaitPeer) settle.reject(this.peerGone('died'));
            else return false;
            return true;
          },
          // A drain whose handler closes the receiver has an outcome, which comes when the handler returns.
          fail: (error) => {
            if (!attempting || !this.closed) settle.reject(error);
          },
        };
        if (!this.line.idle || turnIsLong() || !request.attempt()) this.line.add(request);
        return () => this.line.remove(request);
      },
      this.line.kept,
    );
  }

  #waitSync<T>(
    call: string,
    options: SyncWaitOptions | undefined,
    attempt: () => T | undefined,
  ): T | undefined {
    this.#checkFree();
    if (!this.line.idle) throw this.busyError('its asynchronous calls come first, and they are waiting');
    if (options === undefined) {
      const result = attempt();
      if (result !== undefined) return result;
    }
    const changed = () => Atomics.load(this.#words, tailWord) !== this.#next;
    const look = (peer?: PeerState): { value: T | undefined } | undefined => {
      const value = attempt();
      if (value !== undefined || this.#nothing(null) === undefined) return { value };
      if (peer === 'died' && !this.awaitPeer) throw this.peerGone('died');
      return undefined;
    };
    return waitSync(call, options, (sliceMs) => this.line.slice(sliceMs, changed, look)).value;
  }
}

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
