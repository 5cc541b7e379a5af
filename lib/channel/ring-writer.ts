/**
 * The sender's end of the ring: claims, records, and their publication. native/include/interproc.h draws them.
 *
 * Why plain stores and one Atomics.store are enough: the record is written by plain stores, which come before the
 * store to the tail in program order. That store is sequentially consistent, so a release: an engine may not move
 * earlier stores behind it (V8 emits xchg on x64, stlr on arm64, each after all earlier stores are visible). The
 * receiver reads the tail by Atomics.load, an acquire (mov on x64, ldar on arm64), and the record after it. So whoever
 * sees the new tail sees the records before it. The same in the other direction for the head: the receiver's loads of
 * a record come before its store to the head, which is read by Atomics.load here before anything is written there again.
 */
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import type { ChannelMemory } from './channel-memory.js';
import {
  awake,
  countBytesWord,
  countMessagesWord,
  countsWord,
  countWords,
  everybody,
  getCount,
  headWord,
  layout,
  receiverSleepWord,
  recordHeader,
  recordPad,
  recordSize,
  ringWord,
  setCount,
  tailWord,
  timesFullWord,
  wakeWord,
} from './layout.js';

const batchMessages = layout.batchMessages;
const batchBytes = layout.batchBytes;

export interface WriterStart {
  tail: number;
  head: number;
  /** Which of the two shared counts is that of the last publication. */
  turn: number;
  messages: number;
  bytes: number;
}

export class RingWriter {
  readonly #memory: ChannelMemory;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #corrupt: (what: string) => Error;
  readonly #hasPending: () => void;
  /** Where the next record goes; positions are int32 and wrap. */
  #tail: number;
  /** What the shared tail says. */
  #published: number;
  /** What the shared head said when it was last looked at. */
  #head: number;
  #turn: number;
  #messages: number;
  #bytes: number;
  /** Accepted since the last publication. */
  #pending = 0;
  /** Where the record begins that was reserved. */
  #claim = 0;

  /**
   * @param corrupt Makes the error of a segment that says what it can't.
   * @param hasPending Called for a message that was accepted and is not published.
   */
  constructor(
    memory: ChannelMemory,
    start: WriterStart,
    corrupt: (what: string) => Error,
    hasPending: () => void,
  ) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#capacity = memory.capacity;
    this.#corrupt = corrupt;
    this.#hasPending = hasPending;
    this.#tail = start.tail | 0;
    this.#published = this.#tail;
    this.#head = start.head | 0;
    this.#turn = start.turn;
    this.#messages = start.messages;
    this.#bytes = start.bytes;
  }

  /** Accepted, predecessors' included. */
  get messages(): number {
    return this.#messages;
  }

  /** Where in the ring the bytes of the reserved record begin. */
  get offset(): number {
    return (this.#claim & (this.#capacity - 1)) + recordHeader;
  }

  /** Whether the receiver has finished all, as its head says. */
  get drained(): boolean {
    return Atomics.load(this.#words, headWord) === this.#tail;
  }

  /** Whether the receiver has made room since that was last looked at. */
  get hasNewRoom(): boolean {
    return Atomics.load(this.#words, headWord) !== this.#head;
  }

  /**
   * Finds room for a message of `size` bytes in one piece, padding the end of the ring where it does not fit there; false
   * when there is none. REQUIRES that it is no longer than a message may be.
   */
  reserve(size: number): boolean {
    const capacity = this.#capacity;
    const record = recordSize(size);
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
    // Pairs with the store in RingReader.handBack: those bytes were read before.
    const head = Atomics.load(this.#words, headWord);
    const used = (this.#tail - head) >>> 0;
    if (used > this.#capacity) throw this.#corrupt('its head is out of range');
    this.#head = head;
    if (this.#capacity - used >= needed) return true;
    setCount(this.#words, timesFullWord, getCount(this.#words, timesFullWord) + 1);
    this.publish(); // a receiver can only make room of what it sees
    return false;
  }

  /** Makes a message of the first `size` bytes of what was reserved, and publishes when it is time. */
  accept(size: number): void {
    const words = this.#words;
    const at = ringWord + ((this.#claim & (this.#capacity - 1)) >> 2);
    failpoint('commit.written');
    words[at] = size;
    words[at + 1] = this.#messages;
    this.#tail = (this.#claim + recordSize(size)) | 0;
    this.#messages++;
    this.#bytes += size;
    failpoint('commit.accepted');
    if (
      ++this.#pending >= batchMessages ||
      (this.#tail - this.#published) >>> 0 >= batchBytes ||
      // A plain load: whether it is stale by a message or two decides nothing but when.
      words[receiverSleepWord] !== awake
    ) {
      this.publish();
    } else if (this.#pending === 1) {
      this.#hasPending();
    }
  }

  /** Lets the receiver see all that was accepted. */
  publish(): void {
    const tail = this.#tail;
    if (tail === this.#published) return;
    const words = this.#words;
    failpoint('publish.begin');
    this.#turn ^= 1;
    const count = countsWord + this.#turn * countWords;
    words[count] = tail;
    setCount(words, count + countMessagesWord, this.#messages);
    setCount(words, count + countBytesWord, this.#bytes);
    failpoint('publish.counted');
    // Publishes the records and the count before it: pairs with the load in RingReader.look.
    Atomics.store(words, tailWord, tail);
    failpoint('publish.stored');
    this.#published = tail;
    this.#pending = 0;
    // After the store, a full fence: a receiver that is about to sleep sees the tail, or is seen here.
    if (wakeWord(words, receiverSleepWord)) {
      native.futexWake(this.#memory.mapping, layout.receiverSleep, everybody);
    }
  }
}
