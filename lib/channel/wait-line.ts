/**
 * How one side of a channel waits for the other: the requests of its async calls, served in order, and the one sleep
 * that they share.
 *
 *   add ──> [request, request, …] ──served──> settled
 *              │ none can be served
 *              v
 *           polling (some turns of the event loop) ──> asleep (watching the bell, and the peer's life)
 *              ^                                           │ woken, or the peer died
 *              └───────────────────────────────────────────┘
 *
 * Invariant: once it is closed the word belongs to a successor, who may be asleep: nothing here stores to it.
 *
 * Before it sleeps: flag set (Atomics.store, a full fence), then a last look at the ring and at the peer's role. Who
 * publishes, hands back space, attaches or leaves looks at the flag after a fence of its own.
 */
import { failpoint } from '../internal/failpoint.js';
import { type NativeParticipant, native } from '../internal/native.js';
import { Patience, pollMs } from '../internal/patience.js';
import { type Request, RequestLine } from '../internal/request-line.js';
import { turnIsLong, WaitTimers } from '../internal/waiting.js';
import { Bell } from './bell.js';
import type { ChannelMemory } from './channel-memory.js';
import { getCount, layout, ring, setCount } from './layout.js';
import { PeerWatch } from './peer-watch.js';

const { asleep, awake } = ring;

/** How the peer fares. `closed`: it left by `close()`; `died`: it ended otherwise. */
export type PeerState = 'none' | 'alive' | 'closed' | 'died';

/** How the owner of a role fares, `role` being the word that says who has it. One system call. */
export function judge(participant: NativeParticipant, role: number): PeerState {
  if (role === 0) return 'none';
  if (role === layout.roleClosed) return 'closed';
  return native.participantAlive(participant, role & layout.ownerMask) ? 'alive' : 'died';
}

export interface SideOfRing {
  readonly memory: ChannelMemory;
  readonly participant: NativeParticipant;
  /** Byte offset of the word that says how this side sleeps. */
  readonly sleepOffset: number;
  /** Byte offset of what it is woken by. */
  readonly bellOffset: number;
  /** Byte offset of the peer's role. */
  readonly peerOffset: number;
  /** Index of the word that counts how often this side slept. */
  readonly sleptWord: number;
}

// About 20 us: a sleep and a wake-up cost more.
const spins = 4000;
/** In between the processor is offered to the peer, who may have no other. */
const spinsPerYield = 100;
const nsPerMs = 1e6;

export class WaitLine {
  /** Those of the timeouts. */
  readonly timers: WaitTimers = new WaitTimers();
  readonly #side: SideOfRing;
  readonly #words: Int32Array;
  readonly #sleepWord: number;
  readonly #peerWord: number;
  readonly #requests = new RequestLine<PeerState>();
  readonly #watch = new PeerWatch();
  #closed = false;
  #attempted: Request<PeerState> | undefined;
  /** Whether serving was cut short to let the event loop have its turn. */
  #cutShort = false;
  #poll: NodeJS.Immediate | undefined;
  #pollUntil = 0;
  readonly #polling = new Patience();
  readonly #spinning = new Patience();
  readonly #bell = new Bell((last) => this.#rung(last));
  /** Whether nothing goes on but that the bell is awaited. */
  #asleep = false;

  constructor(side: SideOfRing) {
    this.#side = side;
    this.#words = side.memory.words;
    this.#sleepWord = side.sleepOffset / 4;
    this.#peerWord = side.peerOffset / 4;
  }

  /** Tells from now on whether somebody waits, as it changes. */
  set onQueued(tell: (queued: boolean) => void) {
    this.#requests.onQueued = tell;
  }

  /** Whether nobody waits. */
  get idle(): boolean {
    return this.#requests.first === undefined;
  }

  /** Whether the waits keep the process alive, once they are asleep: polling is over in a moment. */
  keep(kept: boolean): void {
    this.timers.keep(kept);
    if (this.#asleep) this.#bell.await(kept);
  }

  /** Puts a request last, and serves what can be served. REQUIRES that it is not closed. */
  add(request: Request<PeerState>): void {
    const first = this.idle;
    this.#requests.add(request);
    if (first) this.#startPolling();
  }

  /**
   * Takes a request back: false if it is settled already, or is being attempted, which settles it when code of the
   * user's runs here meanwhile.
   */
  remove(request: Request<PeerState>, lastTry: boolean): boolean {
    if (lastTry) this.serve();
    if (request === this.#attempted || !this.#requests.remove(request)) return false;
    if (this.idle) this.#rest();
    return true;
  }

  /** Serves what can be served now, and judges the rest anew: after something has changed on this side. */
  serve(): void {
    if (this.#closed || this.idle || this.#attempted !== undefined) return;
    this.#wakeUp();
    this.#advance();
  }

  /** Ends all waits in an error, and all watching. Without one they never settle: where the process ends. */
  close(error?: () => unknown): void {
    this.#rest();
    this.#closed = true;
    this.#watch.stop();
    this.#bell.stop();
    for (const request of this.#takeAll()) if (error !== undefined) request.fail(error());
  }

  /** How the peer fares now. */
  peer(): PeerState {
    return judge(this.#side.participant, Atomics.load(this.#words, this.#peerWord) >>> 0);
  }

  /**
   * One slice of a blocking wait: `attempt` as of a request, undefined while it can't be served. Throws what attempt
   * throws.
   */
  slice<T>(
    sliceMs: number,
    changed: () => boolean,
    attempt: (peer?: PeerState) => T | undefined,
  ): T | undefined {
    let result = attempt();
    if (result !== undefined || sliceMs === 0) return result;
    if (this.#spin(changed)) {
      result = attempt();
      if (result !== undefined) return result;
    }
    this.#side.memory.checkWhole();
    const role = Atomics.load(this.#words, this.#peerWord) >>> 0;
    const peer = judge(this.#side.participant, role);
    const { memory, bellOffset } = this.#side;
    const bell = Atomics.load(this.#words, bellOffset / 4);
    Atomics.store(this.#words, this.#sleepWord, asleep);
    try {
      result = attempt();
      if (result !== undefined || Atomics.load(this.#words, this.#peerWord) >>> 0 !== role) return result;
      result = attempt(peer);
      if (result !== undefined) return result;
      this.#countSleep();
      native.futexSleep(memory.mapping, bellOffset, bell, Math.max(1, Math.round(sliceMs * nsPerMs)));
      return undefined;
    } finally {
      this.#wordAwake();
    }
  }

  #spin(changed: () => boolean): boolean {
    if (!this.#spinning.worthwhile) return changed();
    let found = false;
    for (let spin = 1; spin <= spins && !found; spin++) {
      if (spin % spinsPerYield === 0 && !native.yieldProcessor()) spin = spins;
      found = changed();
    }
    this.#spinning.tell(found);
    return found;
  }

  #wordAwake(): void {
    if (!this.#closed) Atomics.store(this.#words, this.#sleepWord, awake);
  }

  *#takeAll(): Generator<Request<PeerState>> {
    for (let { first } = this.#requests; first !== undefined; first = this.#requests.first) {
      this.#requests.remove(first);
      yield first;
    }
  }

  /** Serves from the front on; true when nobody is left. A request that can't be judged fails alone. */
  #serveAll(peer?: PeerState): boolean {
    this.#cutShort = false;
    try {
      for (;;) {
        const request = this.#requests.first;
        if (request === undefined) return true;
        this.#attempted = request;
        let settled: boolean;
        try {
          settled = request.attempt(peer);
        } catch (error) {
          settled = true;
          request.fail(error);
        }
        if (!settled) return false;
        this.#requests.remove(request);
        this.#cutShort = !this.idle && turnIsLong();
        if (this.#cutShort) return false;
      }
    } finally {
      this.#attempted = undefined;
    }
  }

  /** Whether there is something to do that needs no waiting: nobody would wake a sleeper for it. */
  #yields(): boolean {
    return this.#cutShort || this.#requests.first?.yields === true;
  }

  #advance(): void {
    if (this.#serveAll()) this.#rest();
    else if (this.#poll === undefined && !this.#asleep) this.#startPolling();
  }

  #startPolling(): void {
    const polls = this.#polling.worthwhile;
    this.#pollUntil = polls ? performance.now() + pollMs : 0;
    // What could be served at once may have to wait for the next turn.
    if (polls || turnIsLong()) this.#pollNext();
    else this.#fallAsleep();
  }

  #pollNext(): void {
    this.#poll = setImmediate(() => {
      this.#poll = undefined;
      if (this.#serveAll() || this.#servesAfterYielding()) {
        this.#polling.tell(true);
        this.#rest();
      } else if (this.#yields() || performance.now() < this.#pollUntil) {
        this.#pollNext();
      } else {
        if (this.#pollUntil !== 0) this.#polling.tell(false);
        this.#fallAsleep();
      }
    });
  }

  /** Offers the processor to the peer first, who may have no other. */
  #servesAfterYielding(): boolean {
    if (this.#pollUntil === 0 || this.#yields()) return false;
    native.yieldProcessor();
    return this.#serveAll();
  }

  #fallAsleep(): void {
    for (;;) {
      try {
        if (!this.#sleeps()) this.#rest();
        return;
      } catch (error) {
        const { first } = this.#requests;
        if (first === undefined) throw error;
        this.#requests.remove(first);
        first.fail(error);
      }
    }
  }

  /** False when nobody is left who would wait. */
  #sleeps(): boolean {
    if (this.idle) return false;
    const { memory, bellOffset } = this.#side;
    memory.checkWhole();
    this.#bell.listen(memory.mapping, bellOffset);
    for (;;) {
      const role = Atomics.load(this.#words, this.#peerWord) >>> 0;
      const peer = judge(this.#side.participant, role);
      Atomics.store(this.#words, this.#sleepWord, asleep);
      if (this.#serveAll()) return false;
      if (!this.#yields()) {
        if (Atomics.load(this.#words, this.#peerWord) >>> 0 !== role) continue;
        if (this.#serveAll(peer)) return false;
      }
      if (this.#yields()) {
        this.#wordAwake();
        this.#pollNext();
        return true;
      }
      // What was served on the way has made it AWAKE, or STARVED since: nobody would ring.
      if (Atomics.load(this.#words, this.#sleepWord) !== asleep) continue;
      if (peer === 'alive') {
        this.#watch.watch(this.#side.participant, role & layout.ownerMask, () => this.#peerDied());
      }
      break;
    }
    this.#countSleep();
    this.#asleep = true;
    this.#bell.await(this.timers.kept);
    return true;
  }

  /** Who rings has made the word AWAKE before; what is heard late, of a sleep that was given up, has not. */
  #rung(last: boolean): void {
    if (!this.#asleep || (!last && Atomics.load(this.#words, this.#sleepWord) === asleep)) return;
    this.#wakeUp();
    this.#advance();
  }

  #wakeUp(): void {
    if (!this.#asleep) return;
    this.#asleep = false;
    this.#bell.rest();
  }

  #countSleep(): void {
    failpoint('wait.asleep');
    const { sleptWord } = this.#side;
    setCount(this.#words, sleptWord, getCount(this.#words, sleptWord) + 1);
  }

  /** What waits for it is judged anew. */
  #peerDied(): void {
    if (!this.#asleep) return;
    this.#wakeUp();
    this.#fallAsleep();
  }

  /** Nobody waits any more. */
  #rest(): void {
    if (this.#poll !== undefined) clearImmediate(this.#poll);
    this.#poll = undefined;
    this.#wakeUp();
    this.#wordAwake();
  }
}
