/**
 * The receiver's end of the ring.
 *
 *         head          done         next          tail
 *   ───────┼─────────────┼─────────────┼─────────────┼───────
 *     free │ finished    │ in hand     │ published   │
 *
 * `done` and the furthest `next` are shared words, written by plain stores for each message: whoever succeeds a dead
 * receiver goes on from there. The head is what the sender looks at, and moves in eighths of the ring.
 */
import { failpoint } from '../internal/failpoint.js';
import { native } from '../internal/native.js';
import type { ChannelMemory } from './channel-memory.js';
import {
  awake,
  begunWord,
  doneWord,
  everybody,
  headWord,
  layout,
  messageMax,
  receivedWord,
  receiverSleepWord,
  recordHeader,
  recordPad,
  recordSize,
  ringWord,
  senderRoleWord,
  senderSleepWord,
  setCount,
  starved,
  tailWord,
  wakeWord,
} from './layout.js';

/** An empty ring is looked at this often before its mapping is. */
const looksPerCheck = 64;

export interface ReaderStart {
  head: number;
  done: number;
  /** Up to here a predecessor had messages in hand. */
  begun: number;
  received: number;
}

export class RingReader {
  readonly #memory: ChannelMemory;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #messageMax: number;
  readonly #eighth: number;
  readonly #corrupt: (what: string) => Error;
  #begunBefore: number;
  /** All before it is finished: what the shared word says. Positions are int32 and wrap. */
  #done: number;
  /** Behind what is in hand; the same as #done when nothing is. */
  #next: number;
  /** The furthest that was ever given out: what the shared word says. */
  #begun: number;
  /** What the shared tail said when it was last looked at. */
  #tail: number;
  /** What the shared head says. */
  #head: number;
  #received: number;
  /** How many messages are in hand. */
  #inHand = 0;
  #looks = 0;
  #end = 0;
  /** Where in the ring the message begins that `look` has found. */
  offset = 0;
  /** Its bytes. */
  length = 0;

  /** @param corrupt Makes the error of a segment that says what it can't. */
  constructor(memory: ChannelMemory, start: ReaderStart, corrupt: (what: string) => Error) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#capacity = memory.capacity;
    this.#messageMax = messageMax(memory.capacity);
    this.#eighth = memory.capacity >> 3;
    this.#corrupt = corrupt;
    this.#head = start.head | 0;
    this.#done = start.done | 0;
    this.#next = this.#done;
    this.#tail = this.#done;
    this.#begun = start.begun | 0;
    this.#begunBefore = this.#begun;
    this.#received = start.received;
  }

  /** Finished, predecessors' included. */
  get received(): number {
    return this.#received;
  }

  /** Whether more was published than was given out. */
  get hasMore(): boolean {
    return Atomics.load(this.#words, tailWord) !== this.#next;
  }

  /** Whether the sender has closed, and all that it published was given out. */
  get ended(): boolean {
    if ((++this.#looks & (looksPerCheck - 1)) === 0) this.#memory.checkThere();
    if (Atomics.load(this.#words, senderRoleWord) >>> 0 !== layout.roleClosed) return false;
    // It published before it closed: pairs with the compare-and-swap in interproc_leave_role.
    return !this.hasMore;
  }

  /**
   * Looks for the next message: leaves it in `offset` and `length`. `anew`: asks the sender's tail when all that was
   * seen before is given out.
   */
  look(anew: boolean): boolean {
    let position = this.#next;
    // Pairs with the store in RingWriter.publish.
    if (position === this.#tail && anew) this.#tail = Atomics.load(this.#words, tailWord);
    let available = (this.#tail - position) >>> 0;
    if (available === 0) return false;
    const capacity = this.#capacity;
    if (available > capacity || (available & 7) !== 0) throw this.#corrupt('its tail is out of range');
    let offset = position & (capacity - 1);
    // Read once, and then used: a hostile peer may change it meanwhile.
    let length = this.#words[ringWord + (offset >> 2)] as number;
    if (length < 0) {
      const pad = length ^ recordPad;
      if (pad !== capacity - offset || pad >= available) throw this.#corrupt('its padding is out of range');
      position = (position + pad) | 0;
      available -= pad;
      offset = 0;
      length = this.#words[ringWord] as number;
    }
    if (length < 0 || length > this.#messageMax) throw this.#corrupt('a length is out of range');
    const record = recordSize(length);
    if (record > available || record > capacity - offset) throw this.#corrupt('a record is cut off');
    if (this.#words[ringWord + (offset >> 2) + 1] !== ((this.#received + this.#inHand) | 0)) {
      throw this.#corrupt('a record is out of sequence');
    }
    this.offset = offset + recordHeader;
    this.length = length;
    this.#end = (position + record) | 0;
    return true;
  }

  /** Takes the message that `look` has found in hand; true if a dead receiver had it. */
  begin(): boolean {
    const again = ((this.#begunBefore - this.#next) | 0) > 0;
    if (!again) this.#begunBefore = this.#next; // carried along: 2 GiB behind, it would lie before it again
    this.#next = this.#end;
    this.#inHand++;
    if (((this.#end - this.#begun) | 0) > 0) {
      this.#begun = this.#end;
      this.#words[begunWord] = this.#end;
    }
    failpoint('receive.begun');
    return again;
  }

  /** What is in hand is finished. */
  finish(): void {
    if (this.#next === this.#done) return;
    failpoint('receive.handled');
    this.#done = this.#next;
    this.#received += this.#inHand;
    this.#inHand = 0;
    this.#words[doneWord] = this.#done;
    failpoint('receive.done');
    if ((this.#done - this.#head) >>> 0 >= this.#eighth) this.handBack();
  }

  /** What is in hand is unread again. */
  putBack(): void {
    this.#next = this.#done;
    this.#inHand = 0;
  }

  /** Finishes what is in hand, for good: what was put back was in no dead receiver's hand. */
  end(): void {
    this.finish();
    this.#words[begunWord] = this.#done;
    this.handBack();
  }

  /** Gives the space of what is finished to the sender. */
  handBack(): void {
    const done = this.#done;
    if (done === this.#head) return;
    const words = this.#words;
    setCount(words, receivedWord, this.#received);
    failpoint('release.counted');
    // All loads of those records come before it: pairs with the load in RingWriter.#lookForRoom.
    Atomics.store(words, headWord, done);
    failpoint('release.stored');
    this.#head = done;
    // After the store, a full fence: a sender that is about to sleep sees the head, or is seen here.
    if (wakeWord(words, senderSleepWord)) {
      native.futexWake(this.#memory.mapping, layout.senderSleep, everybody);
    }
  }

  /** There is something to read: the sender need not hurry. */
  feed(): void {
    if (this.#words[receiverSleepWord] !== awake) Atomics.store(this.#words, receiverSleepWord, awake);
  }

  /** Nothing to read: all space goes back, and the sender is asked to publish at once. */
  starve(): void {
    this.handBack();
    // One that is about to sleep (ASLEEP) is hungry enough.
    if (this.#words[receiverSleepWord] === awake) Atomics.store(this.#words, receiverSleepWord, starved);
  }
}
