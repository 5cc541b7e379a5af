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
import type { ChannelMemory } from './channel-memory.js';
import { layout, messageMax, ring, setCount, wakeWord } from './layout.js';

const {
  awake,
  begunWord,
  doneWord,
  headWord,
  receivedWord,
  receiverSleepWord,
  recordHeader,
  recordPad,
  recordSize,
  ringWord,
  senderRoleWord,
  senderSleepWord,
  starved,
  tailWord,
} = ring;

/** An empty ring is looked at this often before its mapping is. */
const looksPerCheck = 64;
/** After a run of so many messages the next ones are on their way: */
const longRun = 16;
/** the ring is looked at so often before the sender is asked to hurry. */
const graceLooks = 64;

export interface ReaderStart {
  head: number;
  done: number;
  /** Up to here a predecessor had messages in hand. */
  begun: number;
  received: number;
}

/** Positions and sequence numbers are int32 and wrap. */
export class RingReader {
  readonly #memory: ChannelMemory;
  readonly #words: Int32Array;
  // 0 at first, as all numbers here: a field that was undefined once costs a check whenever it is read.
  readonly #mask: number = 0;
  readonly #messageMax: number = 0;
  readonly #eighth: number = 0;
  readonly #corrupt: (what: string) => Error;
  /** Up to here a predecessor had messages in hand. */
  readonly #begunBefore: number = 0;
  /** Whether that lies ahead. */
  #again = false;
  /** All before it is finished: what the shared word says. */
  #done: number = 0;
  /** Behind what is in hand; the same as #done when nothing is. */
  #next: number = 0;
  /** What the shared tail said when it was last looked at. */
  #tail: number = 0;
  /** What the shared head says. */
  #head: number = 0;
  /** Sequence numbers of the messages at #next, at #done and at #head. */
  #nextNumber: number = 0;
  #doneNumber: number = 0;
  #headNumber: number = 0;
  /** How many messages end before #head. */
  #received: number = 0;
  /** The number of the next message when last all was empty for long; and looks in vain since. */
  #emptyNumber = 0;
  #emptyLooks = 0;
  #looks = 0;
  /** Bytes of padding before the message that `look` has found. */
  #pad = 0;
  /** Where in the ring the message begins that `look` has found. */
  offset = 0;
  /** Its bytes. */
  length = 0;

  /** @param corrupt Makes the error of a segment that says what it can't. */
  constructor(memory: ChannelMemory, start: ReaderStart, corrupt: (what: string) => Error) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#mask = memory.capacity - 1;
    this.#messageMax = messageMax(memory.capacity);
    this.#eighth = memory.capacity >> 3;
    this.#corrupt = corrupt;
    this.#head = start.head | 0;
    this.#done = start.done | 0;
    this.#next = this.#done;
    this.#tail = this.#done;
    this.#begunBefore = start.begun | 0;
    this.#again = this.#begunBefore !== this.#done;
    this.#nextNumber = start.received | 0;
    this.#doneNumber = this.#nextNumber;
    this.#headNumber = this.#nextNumber;
    this.#emptyNumber = this.#nextNumber;
    this.#received = start.received;
  }

  /** Finished, predecessors' included. */
  get received(): number {
    return this.#received + ((this.#doneNumber - this.#headNumber) | 0);
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

  /** The position of the bytes of the message that `look` has found. */
  get position(): number {
    return (this.#next + this.#pad + recordHeader) | 0;
  }

  /** How many bytes are published in one piece from the bytes of that message on. */
  get run(): number {
    return Math.min((this.#tail - this.position) | 0, this.#mask + 1 - this.offset);
  }

  /**
   * Looks for the next message: leaves it in `offset` and `length`. `anew`: asks the sender's tail when all that was
   * seen before is given out.
   */
  look(anew: boolean): boolean {
    const position = this.#next;
    if (position === this.#tail && !(anew && this.#lookAtTail())) return false;
    const words = this.#words;
    const offset = position & this.#mask;
    const at = ringWord + (offset >> 2);
    // Read once, and then used: a hostile peer may change it meanwhile.
    const length = words[at] as number;
    if (length < 0) return this.#pastPad(length ^ recordPad);
    const record = recordSize(length);
    if (
      length > this.#messageMax ||
      record > ((this.#tail - position) | 0) ||
      offset + record > this.#mask + 1 ||
      words[at + 1] !== this.#nextNumber
    ) {
      throw this.#corrupt(this.#whatIsWrong(length));
    }
    this.offset = offset + recordHeader;
    this.length = length;
    return true;
  }

  /** Whether more was published than was seen before. */
  #lookAtTail(): boolean {
    // Pairs with the store in RingWriter.publish.
    const tail = Atomics.load(this.#words, tailWord);
    const available = (tail - this.#next) | 0;
    if (available < 0 || available > this.#mask + 1 || (available & 7) !== 0)
      throw this.#corrupt('its tail is out of range');
    this.#tail = tail;
    return available !== 0;
  }

  /** The end of the ring was too short for the record: it begins at the start. */
  #pastPad(pad: number): boolean {
    const toEnd = this.#mask + 1 - (this.#next & this.#mask);
    if (pad !== toEnd || pad >= ((this.#tail - this.#next) | 0)) {
      throw this.#corrupt('its padding is out of range');
    }
    const unpadded = this.#next;
    this.#next = (unpadded + pad) | 0;
    try {
      this.look(false); // of padding there it would find that it is too long
    } finally {
      this.#next = unpadded;
    }
    this.#pad = pad;
    return true;
  }

  #whatIsWrong(length: number): string {
    if (length > this.#messageMax) return 'a length is out of range';
    const toEnd = this.#mask + 1 - (this.#next & this.#mask);
    if (recordSize(length) > Math.min(toEnd, (this.#tail - this.#next) | 0)) return 'a record is cut off';
    return 'a record is out of sequence';
  }

  /** Takes the message that `look` has found in hand; true if a dead receiver had it. */
  begin(): boolean {
    const end = (this.#next + this.#pad + recordSize(this.length)) | 0;
    const again = this.#again && this.#hadBefore();
    this.#next = end;
    if (this.#pad !== 0) this.#pad = 0;
    this.#nextNumber = (this.#nextNumber + 1) | 0;
    if (!again) this.#words[begunWord] = end;
    failpoint('receive.begun');
    return again;
  }

  /** Whether a predecessor had the next one in hand: the shared word says so already. */
  #hadBefore(): boolean {
    this.#again = ((this.#begunBefore - this.#next) | 0) > 0;
    return this.#again;
  }

  /** What is in hand is finished. */
  finish(): void {
    const next = this.#next;
    if (next === this.#done) return;
    failpoint('receive.handled');
    this.#done = next;
    this.#doneNumber = this.#nextNumber;
    this.#words[doneWord] = next;
    failpoint('receive.done');
    if (((next - this.#head) | 0) >= this.#eighth) this.handBack();
  }

  /** What is in hand is unread again. */
  putBack(): void {
    this.#next = this.#done;
    this.#nextNumber = this.#doneNumber;
  }

  /** Finishes what is in hand, for good: what was put back was in no dead receiver's hand. */
  end(): void {
    this.finish();
    if (!this.#again || !this.#hadBefore()) this.#words[begunWord] = this.#done;
    this.handBack();
  }

  /** Gives the space of what is finished to the sender. */
  handBack(): void {
    const done = this.#done;
    if (done === this.#head) return;
    const words = this.#words;
    this.#received = this.received;
    this.#headNumber = this.#doneNumber;
    setCount(words, receivedWord, this.#received);
    failpoint('release.counted');
    // All loads of those records come before it: pairs with the load in RingWriter.#makeRoom.
    Atomics.store(words, headWord, done);
    failpoint('release.stored');
    this.#head = done;
    // After the store, a full fence: a sender that is about to sleep sees the head, or is seen here.
    if (wakeWord(words, senderSleepWord)) this.#memory.ring(layout.senderBell);
  }

  /** There is something to read: the sender need not hurry. */
  feed(): void {
    this.#emptyLooks = 0;
    // A plain store: while it is on its way the sender merely hurries.
    if (this.#words[receiverSleepWord] !== awake) this.#words[receiverSleepWord] = awake;
  }

  /**
   * Nothing to read: all space goes back. The sender is asked to publish at once, which costs both sides more than a
   * batch does: so not while it is likely to be at one.
   */
  starve(): void {
    this.handBack();
    const run = (this.#nextNumber - this.#emptyNumber) | 0;
    if (run >= longRun && ++this.#emptyLooks < graceLooks) return;
    this.starveNow();
  }

  /** The sender is asked to publish at once: for who is about to sleep. */
  starveNow(): void {
    this.#emptyNumber = this.#nextNumber;
    this.#emptyLooks = 0;
    // One that is about to sleep (ASLEEP) is hungry enough.
    if (this.#words[receiverSleepWord] === awake) Atomics.store(this.#words, receiverSleepWord, starved);
  }
}
