/**
 * How one side of a channel waits for the other: the requests of its async calls, served in order, and the one sleep
 * that they share.
 *
 *   add ──> [request, request, …] ──served──> settled
 *              │ none can be served
 *              v
 *           polling (some turns of the event loop) ──> asleep (a waiter thread, and a watch on the peer's life)
 *              ^                                           │ woken, or the peer died
 *              └───────────────────────────────────────────┘
 *
 * Before it sleeps: flag set (Atomics.store, a full fence), then a last look at the ring and at the peer's role. Who
 * publishes, hands back space, attaches or leaves looks at the flag after a fence of its own.
 */
import { failpoint } from '../internal/failpoint.js';
import { type NativeParticipant, native } from '../internal/native.js';
import { addWordWait, cancelWordWait, keepWordWait } from '../internal/word-waits.js';
import type { ChannelMemory } from './channel-memory.js';
import { asleep, awake, getCount, layout, setCount } from './layout.js';
import { PeerWatch } from './peer-watch.js';

/** How the peer fares. `closed`: it left by `close()`; `died`: it ended otherwise. */
export type PeerState = 'none' | 'alive' | 'closed' | 'died';

/** How the owner of a role fares, `role` being the word that says who has it. One system call. */
export function judge(participant: NativeParticipant, role: number): PeerState {
  if (role === 0) return 'none';
  if (role === layout.roleClosed) return 'closed';
  return native.participantAlive(participant, role & layout.ownerMask) ? 'alive' : 'died';
}

export interface Request {
  /**
   * Serves it if that can be done now. With `peer` it is the last look before sleeping, and the state of the peer may
   * decide. Returns whether it is settled.
   */
  attempt(peer?: PeerState): boolean;
  /** Whether the last attempt stopped short of what could be done, to let the event loop have its turn. */
  readonly yields?: boolean;
  /** Settles it in an error. */
  fail(error: unknown): void;
}

export interface SideOfRing {
  readonly memory: ChannelMemory;
  readonly participant: NativeParticipant;
  /** Byte offset of the word that this side sleeps on. */
  readonly sleepOffset: number;
  /** Byte offset of the peer's role. */
  readonly peerOffset: number;
  /** Index of the word that counts how often this side slept. */
  readonly sleptWord: number;
}

// Polling costs a turn of the event loop each time: worth it while the peer is at work.
const pollMs = 0.05;
// After this many polls in vain only each 32nd wait polls.
const patience = 8;
const polledAnyway = 32;
const spins = 300;
const nsPerMs = 1e6;

export class WaitLine {
  readonly #side: SideOfRing;
  readonly #words: Int32Array;
  readonly #sleepWord: number;
  readonly #peerWord: number;
  readonly #requests: Request[] = [];
  readonly #watch = new PeerWatch();
  #serving = false;
  #poll: NodeJS.Immediate | undefined;
  #pollUntil = 0;
  #luck = patience;
  #waits = 0;
  /** The pending wait on the word. */
  #sleep: number | undefined;
  #kept = true;

  constructor(side: SideOfRing) {
    this.#side = side;
    this.#words = side.memory.words;
    this.#sleepWord = side.sleepOffset / 4;
    this.#peerWord = side.peerOffset / 4;
  }

  /** Whether nobody waits. */
  get idle(): boolean {
    return this.#requests.length === 0;
  }

  /** Whether the waits keep the process alive, once they are asleep: polling is over in a moment. */
  keep(kept: boolean): void {
    this.#kept = kept;
    if (this.#sleep !== undefined) keepWordWait(this.#sleep, kept);
  }

  get kept(): boolean {
    return this.#kept;
  }

  /** Puts a request last, and serves what can be served. */
  add(request: Request): void {
    this.#requests.push(request);
    if (this.#requests.length === 1) this.#startPolling();
  }

  /** Takes a request back: false if it is settled already. */
  remove(request: Request): boolean {
    const at = this.#requests.indexOf(request);
    if (at < 0) return false;
    this.#requests.splice(at, 1);
    if (this.idle) this.#rest();
    return true;
  }

  /** Serves what can be served now, and judges the rest anew: after something has changed on this side. */
  serve(): void {
    if (this.idle || this.#serving) return;
    if (this.#sleep !== undefined && cancelWordWait(this.#sleep)) this.#sleep = undefined;
    this.#advance();
  }

  /** Ends all waits in an error, and all watching. Without one they never settle: where the process ends. */
  close(error?: () => unknown): void {
    const requests = this.#requests.splice(0);
    this.#rest();
    this.#watch.stop();
    if (error !== undefined) for (const request of requests) request.fail(error());
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
    for (let spin = 0; spin < spins; spin++) if (changed()) break;
    this.#side.memory.checkThere();
    const role = Atomics.load(this.#words, this.#peerWord) >>> 0;
    const peer = judge(this.#side.participant, role);
    Atomics.store(this.#words, this.#sleepWord, asleep);
    try {
      result = attempt();
      if (result !== undefined || Atomics.load(this.#words, this.#peerWord) >>> 0 !== role) return result;
      result = attempt(peer);
      if (result !== undefined) return result;
      this.#countSleep();
      const { memory, sleepOffset } = this.#side;
      native.futexSleep(memory.mapping, sleepOffset, asleep, Math.max(1, Math.round(sliceMs * nsPerMs)));
      return undefined;
    } finally {
      Atomics.store(this.#words, this.#sleepWord, awake);
    }
  }

  /** Serves from the front on; true when nobody is left. A request that can't be judged fails alone. */
  #serveAll(peer?: PeerState): boolean {
    this.#serving = true;
    try {
      for (;;) {
        const request = this.#requests[0];
        if (request === undefined) return true;
        let settled: boolean;
        try {
          settled = request.attempt(peer);
        } catch (error) {
          settled = true;
          request.fail(error);
        }
        if (!settled) return false;
        if (this.#requests[0] === request) this.#requests.shift();
      }
    } finally {
      this.#serving = false;
    }
  }

  /** Whether there is something to do that needs no waiting: nobody would wake a sleeper for it. */
  #yields(): boolean {
    return this.#requests[0]?.yields === true;
  }

  #advance(): void {
    if (this.#serveAll()) this.#rest();
    else if (this.#poll === undefined && this.#sleep === undefined) this.#startPolling();
  }

  #startPolling(): void {
    const lucky = this.#luck > 0 || ++this.#waits % polledAnyway === 0;
    // Always once: what can be served at once may have to wait for the next turn (turnIsLong).
    this.#pollUntil = lucky ? performance.now() + pollMs : 0;
    this.#pollNext();
  }

  #pollNext(): void {
    this.#poll = setImmediate(() => {
      this.#poll = undefined;
      if (this.#serveAll()) {
        this.#luck = patience;
        this.#rest();
      } else if (this.#yields() || performance.now() < this.#pollUntil) {
        this.#pollNext();
      } else {
        if (this.#pollUntil !== 0) this.#luck = Math.max(0, this.#luck - 1);
        this.#fallAsleep();
      }
    });
  }

  #fallAsleep(): void {
    try {
      this.#side.memory.checkThere();
      for (;;) {
        const role = Atomics.load(this.#words, this.#peerWord) >>> 0;
        const peer = judge(this.#side.participant, role);
        Atomics.store(this.#words, this.#sleepWord, asleep);
        if (this.#serveAll()) return this.#rest();
        if (this.#yields()) return this.#pollNext();
        if (Atomics.load(this.#words, this.#peerWord) >>> 0 !== role) continue;
        if (this.#serveAll(peer)) return this.#rest();
        if (peer === 'alive') {
          this.#watch.watch(this.#side.participant, role & layout.ownerMask, () => this.#wake());
        }
        break;
      }
      this.#countSleep();
      const { memory, sleepOffset } = this.#side;
      let over = false;
      const id = addWordWait(
        memory.mapping,
        sleepOffset,
        asleep,
        () => {
          over = true;
          this.#sleep = undefined;
          this.#advance();
        },
        this.#kept,
      );
      if (!over) this.#sleep = id;
    } catch (error) {
      for (const request of this.#requests.splice(0)) request.fail(error);
      this.#rest();
    }
  }

  #countSleep(): void {
    failpoint('wait.asleep');
    const { sleptWord } = this.#side;
    setCount(this.#words, sleptWord, getCount(this.#words, sleptWord) + 1);
  }

  /** The peer died: what waits for it is judged anew. */
  #wake(): void {
    if (this.#sleep === undefined || !cancelWordWait(this.#sleep)) return;
    this.#sleep = undefined;
    this.#fallAsleep();
  }

  /** Nobody waits any more. */
  #rest(): void {
    if (this.#poll !== undefined) clearImmediate(this.#poll);
    this.#poll = undefined;
    if (this.#sleep !== undefined) cancelWordWait(this.#sleep);
    this.#sleep = undefined;
    if (!this.#side.memory.closed) Atomics.store(this.#words, this.#sleepWord, awake);
  }
}
