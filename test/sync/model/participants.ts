// Participants and the memory that they share: what a state of a model is, in bytes, and what the futex does to it.
//
// A futex sleep compares and enqueues in one step. A wake-up ends sleeps in the order in which they began, or in
// any order.

import type { Kind } from './explore.js';
import { NOT_RECOVERABLE, owner, type Rules, STARVING, WAITERS } from './rules.js';

/** What a participant does next. */
export const Pc = {
  idle: 0,
  ended: 1,
  dead: 2,
  // Waiting for the word.
  takeLoad: 3,
  takeCas: 4,
  prepareLoad: 5,
  prepareCas: 6,
  sleep: 7,
  asleep: 8,
  lookLoad: 9,
  lookCas: 10,
  settleLoad: 11,
  settleCas: 12,
  settleWake: 13,
  // Holding it.
  touch: 14,
  repair: 15,
  clearWriting: 16,
  releaseLoad: 17,
  releaseCas: 18,
  poison: 19,
  // It has let go, and owes what is here.
  poisonWake: 20,
  releaseWake: 21,
  releaseClear: 22,
  releaseWakeAgain: 23,
  // RwLock: a writer that has the word.
  drainLoad: 24,
  drainCas: 25,
  drainSleep: 26,
  drainAsleep: 27,
  drainLook: 28,
  setWriting: 29,
  // RwLock: a reader.
  slotClaim: 30,
  readState: 31,
  readWriting: 32,
  backOut: 33,
  backWake: 34,
  readFirst: 35,
  readAgain: 36,
  unread: 37,
  unreadWake: 38,
  // A look without getting up: what waits for the event loop stays asleep on the word meanwhile.
  peekLoad: 39,
  peekCas: 40,
  peekTaken: 41,
} as const;

export const NAMES = Object.keys(Pc);

/** What a participant knows of its call, in bits. */
export const SLEPT = 1;
export const TRY = 2;
export const ABANDONED = 4;
export const READER = 8;
/** A reader that takes the word as a writer does. */
export const TAKEOVER = 16;
/** A call that gives up, and so owes the others the wake-up that it may have had. */
export const LEAVING = 32;
/** Woken while it looked. */
export const WOKEN = 64;
/** The word is not the one that it sleeps on: it may not say any more that somebody does. */
export const CHANGED = 128;
const FLAG_NAMES = ['slept', 'try', 'abandoned', 'reader', 'takeover', 'leaving', 'woken', 'changed'];

/** The bytes of a state: what is shared, then five bytes a participant. */
export const WORD = 0;
export const DATA = 1; // 1: in the middle of a change
const QUEUE = 2; // the sleepers, the first in the lowest two bits; 0 where order does not matter
export const WRITING = 3;
export const SLOT = 4;
/** Of the dead, for the properties: no participant reads it. */
export const LEFT = 7;
export const BROKEN = 1; // one died inside
export const OWED = 2; // one died that may have owed others a wake-up
const SHARED = 8;
const PC = 0;
const SEEN = 1; // a word that it has read and still needs
const FLAGS = 2;
const ROUNDS = 3;
const INDEX = 4; // of a slot
const EACH = 5;

/** A word in a byte. */
const pack = (word: number): number =>
  (owner(word) === NOT_RECOVERABLE ? 15 : owner(word)) |
  ((word & STARVING) !== 0 ? 16 : 0) |
  ((word & WAITERS) !== 0 ? 32 : 0);
const unpack = (byte: number): number =>
  ((byte & 15) === 15 ? NOT_RECOVERABLE : byte & 15) |
  ((byte & 16) !== 0 ? STARVING : 0) |
  ((byte & 32) !== 0 ? WAITERS : 0);

const say = (word: number): string =>
  (owner(word) === NOT_RECOVERABLE ? 'not recoverable' : `${owner(word)}`) +
  ((word & STARVING) !== 0 ? '+S' : '') +
  ((word & WAITERS) !== 0 ? '+W' : '');

/** What a participant's calls are: it begins any of them, `rounds` times. */
export interface Program {
  calls: readonly Call[];
  rounds: number;
  givesUp?: boolean;
  /** It looks without getting up, as `lock()` does; else as `lockSync()`. */
  peeks?: boolean;
}
export type Call = 'lock' | 'tryLock' | 'write' | 'tryWrite' | 'read' | 'tryRead';

/** Mistakes, one of which may be built in. */
export type Mistake =
  | 'wakes before it stores'
  | 'never looks'
  | 'does not wake again after clearing STARVING'
  | 'keeps the wake-up that it had when it gives up'
  | 'writes before readers are gone'
  | 'forgets an abandoned lock when it gives up'
  | 'leaves STARVING behind when it stops reading'
  | 'does not tell those who sleep that a lock is not recoverable'
  | 'backs out without waking'
  | 'takes over only where a reader would wait';

export interface Options {
  programs: readonly Program[];
  /** How many may die. */
  deaths?: number;
  fifo?: boolean;
  /** Who takes an abandoned lock may let go of it without having repaired anything. */
  unrepaired?: boolean;
  rules?: Partial<Rules>;
  mistake?: Mistake;
}

export abstract class Participants {
  /** The state that is changed, and where each that comes out of it goes. */
  protected now: Uint8Array;
  protected emit: (kind: Kind) => void = () => {};
  protected readonly programs: readonly Program[];
  readonly #fifo: boolean;

  constructor({ programs, fifo = false }: Options) {
    this.programs = programs;
    this.#fifo = fifo;
    this.now = new Uint8Array((SHARED + EACH * programs.length + 3) & ~3);
    programs.forEach(({ rounds }, p) => {
      this.setRounds(p, rounds);
    });
  }

  /** p, woken, tries again to get what it waits for. */
  protected abstract again(p: number): void;

  // A participant's own bytes.

  protected pc(p: number): number {
    return this.now[SHARED + EACH * p + PC] as number;
  }
  protected go(p: number, pc: number, seen = 0): void {
    this.now[SHARED + EACH * p + PC] = pc;
    this.now[SHARED + EACH * p + SEEN] = pack(seen);
  }
  protected seen(p: number): number {
    return unpack(this.now[SHARED + EACH * p + SEEN] as number);
  }
  protected has(p: number, flag: number): boolean {
    return ((this.now[SHARED + EACH * p + FLAGS] as number) & flag) !== 0;
  }
  protected set(p: number, flag: number): void {
    this.now[SHARED + EACH * p + FLAGS]! |= flag;
  }
  protected unset(p: number, flag: number): void {
    this.now[SHARED + EACH * p + FLAGS]! &= ~flag;
  }
  protected rounds(p: number): number {
    return this.now[SHARED + EACH * p + ROUNDS] as number;
  }
  protected setRounds(p: number, rounds: number): void {
    this.now[SHARED + EACH * p + ROUNDS] = rounds;
  }
  protected index(p: number): number {
    return this.now[SHARED + EACH * p + INDEX] as number;
  }
  protected setIndex(p: number, index: number): void {
    this.now[SHARED + EACH * p + INDEX] = index;
  }
  /** p is through, asleep or not, and knows nothing any more. */
  protected finish(p: number, pc: number): void {
    this.leaveQueue(p);
    this.now.fill(0, SHARED + EACH * p, SHARED + EACH * (p + 1));
    this.go(p, pc);
  }
  protected count(pc: number): number {
    let count = 0;
    for (let p = 0; p < this.programs.length; p++) if (this.pc(p) === pc) count++;
    return count;
  }

  describe(state: Uint8Array): string {
    this.now = state;
    const each = this.programs.map((_, p) => {
      const flags = FLAG_NAMES.filter((_, bit) => this.has(p, 1 << bit));
      return `${p + 1}: ${NAMES[this.pc(p)]} ${say(this.seen(p))} ${flags.join(' ')}`.padEnd(34);
    });
    const slots = [SLOT, SLOT + 1, SLOT + 2].map((at) => say(this.word(at))).join(' ');
    const shared = `word ${say(this.word()).padEnd(5)} data ${state[DATA]} writing ${state[WRITING]} slots ${slots}`;
    return [shared, ...each].join(' | ');
  }

  // Shared memory.

  protected word(at = WORD): number {
    return unpack(this.now[at] as number);
  }
  protected store(word: number, at = WORD): void {
    this.now[at] = pack(word);
  }
  protected cas(expected: number, word: number, at = WORD): boolean {
    if (this.word(at) !== expected) return false;
    this.store(word, at);
    return true;
  }
  protected isDead(id: number): boolean {
    return id > 0 && id <= this.programs.length && this.pc(id - 1) === Pc.dead;
  }
  protected step(): void {
    this.emit('step');
  }

  // The futex.

  protected fallAsleep(p: number, pc: number, seen = 0): void {
    this.go(p, pc, seen);
    if (!this.#fifo) return;
    let end = 0;
    while (((this.now[QUEUE] as number) >> end) & 3) end += 2;
    this.now[QUEUE]! |= (p + 1) << end;
  }

  protected leaveQueue(p: number): void {
    let queue = 0;
    let end = 0;
    for (let rest = this.now[QUEUE] as number; rest > 0; rest >>= 2) {
      if ((rest & 3) === p + 1) continue;
      queue |= (rest & 3) << end;
      end += 2;
    }
    this.now[QUEUE] = queue;
  }

  /** The word that p sleeps on, or -1. */
  #sleepsOn(p: number): number {
    const pc = this.pc(p);
    if (pc === Pc.asleep || (pc >= Pc.peekLoad && !this.has(p, WOKEN))) return WORD;
    return pc === Pc.drainAsleep ? SLOT + this.index(p) : -1;
  }

  #wakeUp(p: number): void {
    this.leaveQueue(p);
    if (this.pc(p) === Pc.drainAsleep) this.go(p, Pc.drainLoad);
    else if (this.pc(p) !== Pc.asleep) this.set(p, WOKEN);
    else {
      this.set(p, SLEPT);
      this.again(p);
    }
  }

  /** Wakes on the word: `then` goes on, knowing how many, once for each way this can come out. */
  protected wake(at: number, all: boolean, then: (woken: number) => void): void {
    let sleepers: number[] = [];
    for (let p = 0; p < this.programs.length; p++) if (this.#sleepsOn(p) === at) sleepers.push(p);
    if (all || sleepers.length === 0) {
      for (const p of sleepers) this.#wakeUp(p);
      then(sleepers.length);
      this.step();
      return;
    }
    if (this.#fifo) {
      for (let rest = this.now[QUEUE] as number; rest > 0; rest >>= 2) {
        if (!sleepers.includes((rest & 3) - 1)) continue;
        sleepers = [(rest & 3) - 1];
        break;
      }
    }
    for (const p of sleepers) {
      this.#wakeUp(p);
      then(1);
      this.step();
    }
  }
}
