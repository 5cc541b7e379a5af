/**
 * The sender's end of the ring: claims, records, and their publication. native/include/interproc.h draws them.
 *
 * Why plain stores and one Atomics.store are enough.
 *
 * In the memory model of ECMAScript a record is written by Unordered stores, which come before the SeqCst store to the
 * tail in program order; the receiver's SeqCst load of the tail reads from that store, and so synchronizes with it; its
 * loads of the record come after that load. So the record's stores happen before its loads: no race, whatever the width
 * that each side reads and writes by. A C++ peer (interproc.h) has release and acquire in these places, which is the
 * same edge. The model knows agents of one process only; what carries it to another is the hardware, which knows nothing
 * of processes, and what the engine emits:
 *
 *                       x64                             arm64
 *   plain load, store   mov                             ldr, str
 *   Atomics.load        mov                             ldar: later accesses stay behind it
 *   Atomics.store       xchg: a full fence              stlr: earlier accesses stay before it
 *
 * On x64 stores become visible in their order, and loads happen in theirs. On arm64 stlr and ldar are what order them;
 * stlr is also not passed by a later ldar, so that Atomics.store followed by Atomics.load is the full fence that going to
 * sleep needs (the flag here, the tail there: one of the two sees the other). V8 does not move plain accesses over
 * atomic ones: in its graph each is an effect, and effects keep their order.
 *
 * The same in the other direction for the head: the receiver's loads of a record come before its store to the head, which
 * is read by Atomics.load here before anything is written there again: release, acquire, and a dependency by control.
 *
 * Plain words of one side (done, begun, counts) are read by others for display, and by a successor: between a dead owner
 * and that lies the kernel, which dropped the one's lock and told the other so. A word that is polled is read by
 * Atomics.load; the flag of a sleeper is also read by a plain load in `accept`, where to see it late costs time only.
 */
import { failpoint } from '../internal/failpoint.js';
import type { ChannelMemory } from './channel-memory.js';
import { getCount, layout, ring, setCount, wakeWord } from './layout.js';

const {
  awake,
  countBytesWord,
  countMessagesWord,
  countsWord,
  countWords,
  headWord,
  receiverSleepWord,
  recordHeader,
  recordPad,
  recordSize,
  ringWord,
  tailWord,
  timesFullWord,
} = ring;

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

/** What is claimed while nothing is; and once no more will be. */
export const unclaimed = -1;
export const over = -2;
/** As a constant of this module alone, which the engine folds: layout.ts. */
const none = unclaimed;

/**
 * Positions and sequence numbers are int32 and wrap. `#lap` is the position of the ring's start in this lap:
 *
 *     0               #at - #padded      #at             #limit          capacity
 *     ├─ accepted ─────────┼─ pad, if any ─┼───── free ─────┼─ in use, or ─┤
 *                                                              not asked for
 *
 * What is stored for each message is kept to a minimum: processors look ahead only as far as they can hold stores, and
 * those to the ring miss their cache.
 */
export class RingWriter {
  readonly #memory: ChannelMemory;
  readonly #words: Int32Array;
  // 0 at first, as all numbers here: a field that was undefined once costs a check whenever it is read.
  readonly #capacity: number = 0;
  readonly #corrupt: (what: string) => Error;
  readonly #hasPending: () => void;
  /** What the shared tail says. */
  #published: number = 0;
  /** What the shared head said when it was last looked at. */
  #head: number = 0;
  #lap = 0;
  /** Where the next record goes, in bytes from the start of the ring. */
  #at = 0;
  /** Up to there it is known to be free. */
  #limit = 0;
  /** Bytes of padding before `#at` that no accepted record follows yet. */
  #padded = 0;
  #turn: number = 0;
  /** Of the next message; and of the first that is not published. */
  #sequence: number = 0;
  #publishedSequence: number = 0;
  /** Published. */
  #messages: number = 0;
  #bytes: number = 0;
  /** Accepted since. */
  #pendingBytes = 0;
  /** Bytes of the open claim, or why there is none. */
  claimed: number = unclaimed;
  /** Whether calls wait that come first. */
  queued = false;

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
    this.#published = start.tail | 0;
    this.#head = start.head | 0;
    this.#at = start.tail & (this.#capacity - 1);
    this.#limit = this.#at;
    this.#lap = (start.tail - this.#at) | 0;
    this.#turn = start.turn;
    this.#sequence = start.messages | 0;
    this.#publishedSequence = this.#sequence;
    this.#messages = start.messages;
    this.#bytes = start.bytes;
  }

  /** Accepted, predecessors' included. */
  get messages(): number {
    return this.#messages + ((this.#sequence - this.#publishedSequence) | 0);
  }

  /** Behind the last record that was accepted. */
  get #tail(): number {
    return (this.#lap + this.#at - this.#padded) | 0;
  }

  /** Where in the ring the bytes of the next record begin. */
  get offset(): number {
    return this.#at + recordHeader;
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
   * Finds room for a message of `size` bytes in one piece; false when there is none. REQUIRES that it is no longer than a
   * message may be.
   */
  reserve(size: number): boolean {
    return this.#at + recordSize(size) <= this.#limit || this.#makeRoom(recordSize(size));
  }

  /** Asks the receiver's head, and pads the end of the ring where the record does not fit there. */
  #makeRoom(record: number): boolean {
    const capacity = this.#capacity;
    let toEnd = capacity - this.#at;
    const pad = toEnd < record ? toEnd : 0;
    const start = (this.#lap + this.#at) | 0;
    if (capacity - ((start - this.#head) | 0) < pad + record) {
      // Pairs with the store in RingReader.handBack: those bytes were read before.
      const head = Atomics.load(this.#words, headWord);
      const used = (this.#tail - head) | 0;
      if (used < 0 || used > capacity) throw this.#corrupt('its head is out of range');
      this.#head = head;
      if (capacity - ((start - head) | 0) < pad + record) {
        setCount(this.#words, timesFullWord, getCount(this.#words, timesFullWord) + 1);
        this.publish(); // a receiver can only make room of what it sees
        return false;
      }
    }
    if (toEnd < record) {
      // It counts once a record behind it is accepted: the tail never ends with padding.
      if (pad !== 0) {
        this.#words[ringWord + (this.#at >> 2)] = recordPad | pad;
        this.#padded = pad;
      }
      this.#lap = (start + pad) | 0;
      this.#at = 0;
      toEnd = capacity;
    }
    failpoint('claim.padded');
    this.#limit = this.#at + Math.min(toEnd, capacity - ((this.#lap + this.#at - this.#head) | 0));
    return true;
  }

  /** Makes a message of the first `size` bytes of what was reserved, and publishes when it is time. Ends the claim. */
  accept(size: number): void {
    const words = this.#words;
    const at = this.#at;
    const sequence = this.#sequence;
    const record = recordSize(size);
    failpoint('commit.written');
    words[ringWord + (at >> 2)] = size;
    words[ringWord + 1 + (at >> 2)] = sequence;
    this.claimed = none;
    this.#sequence = (sequence + 1) | 0;
    this.#at = at + record;
    this.#pendingBytes += size;
    if (this.#padded !== 0) this.#padded = 0;
    failpoint('commit.accepted');
    const pending = (sequence + 1 - this.#publishedSequence) | 0;
    if (
      pending >= batchMessages ||
      ((this.#lap + at + record - this.#published) | 0) >= batchBytes ||
      // A plain load: whether it is stale by a message or two decides nothing but when.
      words[receiverSleepWord] !== awake
    ) {
      this.publish();
    } else if (pending === 1) {
      this.#hasPending();
    }
  }

  /** Lets the receiver see all that was accepted. */
  publish(): void {
    const tail = this.#tail;
    if (tail === this.#published) return;
    const words = this.#words;
    failpoint('publish.begin');
    this.#messages = this.messages;
    this.#publishedSequence = this.#sequence;
    this.#bytes += this.#pendingBytes;
    this.#pendingBytes = 0;
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
    // After the store, a full fence: a receiver that is about to sleep sees the tail, or is seen here.
    if (wakeWord(words, receiverSleepWord)) this.#memory.ring(layout.receiverBell);
  }
}
