// What Mutex and RwLock have in common: participants that wait for a lock word, take it and let go of it. One step
// is one access of shared memory or one system call, and what follows from it locally; memory is sequentially
// consistent.
//
// Sleepers wake by their time at any moment, and may then give up. SIGKILL comes at any step. Who is dead is seen
// to be dead by all that look later (that the kernel lets go of the byte later is a death that comes later), and
// nobody else ever is.

import type { Kind, Model } from './explore.js';
import {
  ABANDONED,
  BROKEN,
  type Call,
  CHANGED,
  DATA,
  LEAVING,
  LEFT,
  type Mistake,
  NAMES,
  type Options,
  OWED,
  Participants,
  Pc,
  SLEPT,
  TRY,
  WOKEN,
  WORD,
} from './participants.js';
import { type Asker, NOT_RECOVERABLE, owner, type Rules, rules, STARVING, WAITERS } from './rules.js';

/** Whether the word is the participant's own in this step. */
const holds = (pc: number): boolean =>
  (pc >= Pc.touch && pc <= Pc.poison) || (pc >= Pc.drainLoad && pc <= Pc.setWriting) || pc === Pc.peekTaken;

export abstract class WordModel extends Participants implements Model {
  readonly initial: Uint8Array;
  /** The steps that somebody has come to. */
  readonly reached = new Set<string>();
  protected readonly mistake: Mistake | undefined;
  readonly #rules: Rules;
  readonly #deaths: number;
  readonly #unrepaired: boolean;

  constructor(options: Options) {
    super(options);
    this.initial = this.now.slice();
    this.mistake = options.mistake;
    this.#rules = { ...rules, ...options.rules };
    this.#deaths = options.deaths ?? 0;
    this.#unrepaired = options.unrepaired ?? false;
  }

  /** A mutex wakes one, a lock that several can have at once wakes all. */
  protected abstract readonly wakesAll: boolean;
  /** Who dies there leaves an abandoned lock. */
  protected abstract inside(pc: number): boolean;
  /** p begins: its first step is in `emit` already. */
  protected abstract begin(p: number, call: Call): void;
  /** p has the word; `seized` from a dead owner. */
  protected abstract taken(p: number, seized: boolean): void;
  /** p has repaired or changed the data, and is about to let go. */
  protected abstract repaired(p: number): void;
  /** p waits for the word itself. */
  protected abstract takesWord(p: number): boolean;
  protected abstract stepBeyond(p: number, pc: number): void;

  // The explorer's questions.

  follow(state: Uint8Array, emit: (kind: Kind) => void): void {
    this.now = state;
    this.emit = emit;
    const mayDie = this.count(Pc.dead) < this.#deaths;
    for (let p = 0; p < this.programs.length; p++) {
      const pc = this.pc(p);
      if (pc === Pc.ended || pc === Pc.dead) continue;
      this.reached.add(NAMES[pc] as string);
      this.#step(p, pc);
      if (mayDie && pc !== Pc.idle) {
        if (this.inside(pc)) this.now[LEFT]! |= BROKEN;
        if (pc !== Pc.asleep && !holds(pc)) this.now[LEFT]! |= OWED;
        this.finish(p, Pc.dead);
        emit('death');
      }
    }
  }

  ended(state: Uint8Array): boolean {
    this.now = state;
    return this.count(Pc.ended) + this.count(Pc.dead) === this.programs.length;
  }

  /** Only what the dead owed, and the lock that they hold, may wait for somebody's time to look. */
  looksCount(state: Uint8Array): boolean {
    this.now = state;
    return (state[LEFT]! & OWED) !== 0 || this.isDead(owner(this.word()));
  }

  violation(state: Uint8Array): string | null {
    this.now = state;
    const word = this.word();
    const recoverable = owner(word) !== NOT_RECOVERABLE;
    if (recoverable && (word & STARVING) !== 0 && (word & WAITERS) === 0) return 'STARVING without WAITERS';
    let writers = 0;
    let readers = 0;
    for (let p = 0; p < this.programs.length; p++) {
      const pc = this.pc(p);
      const reads = pc >= Pc.readFirst && pc <= Pc.unread;
      const inside = pc >= Pc.touch && pc <= Pc.clearWriting;
      if (holds(pc) && owner(word) !== p + 1) return 'who has the lock is not its owner';
      if (inside) writers++;
      if (reads) readers++;
      if (reads && state[DATA] !== 0) return 'a reader reads what is half-written';
      if (pc === Pc.touch && state[DATA] !== 0 && !this.has(p, ABANDONED))
        return 'nobody told that the data are broken';
      if (this.has(p, ABANDONED) && (state[LEFT]! & BROKEN) === 0)
        return 'abandoned, though nobody died inside';
    }
    if (writers > 1 || (writers > 0 && readers > 0)) return 'two have a lock that excludes them';
    return null;
  }

  // The steps.

  #asker(p: number, waitedLong: boolean): Asker {
    return { id: p + 1, slept: this.has(p, SLEPT), isTry: this.has(p, TRY), waitedLong };
  }

  #mayTake(p: number, word: number): boolean {
    return this.#rules.take(word, this.#asker(p, false)) !== null;
  }

  /** Both answers to 'has it waited long', where they differ. */
  #either(word: (waitedLong: boolean) => number | null, then: (word: number) => void): void {
    const short = word(false);
    const long = word(true);
    if (short !== null) then(short);
    if (long !== null && long !== short) then(long);
  }

  /** Another call begins, or none. */
  protected over(p: number): void {
    const rounds = this.rounds(p) - 1;
    this.finish(p, rounds > 0 ? Pc.idle : Pc.ended);
    this.setRounds(p, rounds);
  }

  /** The lock is not recoverable: no call after this one. */
  protected stop(p: number): void {
    this.finish(p, Pc.ended);
  }

  /** What p may do instead of going on: its time is up, or it was aborted. */
  protected mayGiveUp(p: number): void {
    if (!this.programs[p]?.givesUp || this.has(p, TRY) || this.has(p, LEAVING)) return;
    if (this.mistake === 'keeps the wake-up that it had when it gives up') this.over(p);
    else {
      this.leaveQueue(p);
      this.set(p, LEAVING);
      this.go(p, Pc.settleLoad);
    }
    this.emit('give up');
  }

  /** p has looked, and has nothing. It tells anew that it sleeps where others may have forgotten. */
  #peeked(p: number): void {
    if (this.has(p, WOKEN) || this.has(p, CHANGED)) {
      this.leaveQueue(p);
      this.unset(p, WOKEN | CHANGED);
      this.again(p);
    } else this.go(p, Pc.asleep, this.seen(p));
  }

  protected takeLoad(p: number): void {
    const word = this.word();
    if (owner(word) === NOT_RECOVERABLE) this.stop(p);
    else if (this.#mayTake(p, word)) this.go(p, Pc.takeCas, word);
    else if (this.has(p, TRY)) this.go(p, Pc.lookCas, word);
    else this.go(p, Pc.prepareLoad);
    this.step();
  }

  #step(p: number, pc: number): void {
    switch (pc) {
      case Pc.idle:
        for (const call of this.programs[p]!.calls) this.begin(p, call);
        return;

      case Pc.takeLoad:
        if (this.has(p, SLEPT)) this.mayGiveUp(p);
        this.takeLoad(p);
        return;

      case Pc.takeCas: {
        const seen = this.seen(p);
        if (this.word() !== seen) {
          this.go(p, Pc.takeLoad);
          this.step();
          return;
        }
        this.#either(
          (long) => this.#rules.take(seen, this.#asker(p, long)),
          (word) => {
            this.store(word);
            this.taken(p, false);
            this.step();
          },
        );
        return;
      }

      case Pc.prepareLoad: {
        this.mayGiveUp(p);
        const word = this.word();
        if (owner(word) === NOT_RECOVERABLE) this.stop(p);
        else if (this.takesWord(p) ? this.#mayTake(p, word) : owner(word) === 0) this.again(p);
        else this.go(p, Pc.prepareCas, word);
        this.step();
        return;
      }

      case Pc.prepareCas: {
        const seen = this.seen(p);
        if (this.word() !== seen) {
          this.again(p);
          this.step();
          return;
        }
        this.#either(
          (long) => this.#rules.sleepOn(seen, this.#asker(p, long)),
          (word) => {
            this.store(word);
            this.go(p, Pc.sleep, word);
            this.step();
          },
        );
        return;
      }

      case Pc.sleep:
        if (this.word() === this.seen(p)) this.fallAsleep(p, Pc.asleep, this.seen(p));
        else this.again(p);
        this.step();
        return;

      case Pc.asleep:
        this.mayGiveUp(p);
        this.set(p, SLEPT);
        if (this.programs[p]?.peeks) this.go(p, Pc.peekLoad, this.seen(p));
        else {
          this.leaveQueue(p);
          this.go(p, Pc.lookLoad);
        }
        this.emit('look');
        return;

      case Pc.peekLoad: {
        const word = this.word();
        if (word !== this.seen(p)) this.set(p, CHANGED);
        if (owner(word) === NOT_RECOVERABLE) this.stop(p);
        else if (owner(word) !== 0 || this.takesWord(p)) this.go(p, Pc.peekCas, word);
        else {
          this.leaveQueue(p);
          this.unset(p, WOKEN | CHANGED);
          this.again(p);
        }
        this.step();
        return;
      }
      case Pc.peekCas: {
        const seen = this.seen(p);
        const isDead = this.isDead(owner(seen)) && this.mistake !== 'never looks';
        if (owner(seen) !== 0 && !isDead) this.#peeked(p);
        else if (this.word() !== seen) this.go(p, Pc.peekLoad, seen);
        else if (isDead) {
          this.store(this.#rules.seize(seen, this.#asker(p, false)));
          this.go(p, Pc.peekTaken, seen);
        } else {
          this.#either(
            (long) => this.#rules.take(seen, this.#asker(p, long)),
            (word) => {
              this.store(word);
              this.go(p, Pc.peekTaken, seen);
              this.step();
            },
          );
          return;
        }
        this.step();
        return;
      }
      // The sleep is ended only now: a wake-up may have gone to who has the lock already.
      case Pc.peekTaken: {
        const seized = owner(this.seen(p)) !== 0;
        this.leaveQueue(p);
        this.unset(p, WOKEN | CHANGED);
        this.taken(p, seized);
        this.step();
        return;
      }

      case Pc.lookLoad: {
        const word = this.word();
        if (owner(word) === NOT_RECOVERABLE) this.stop(p);
        else if (owner(word) === 0) this.again(p);
        else this.go(p, Pc.lookCas, word);
        this.step();
        return;
      }

      // Asks for the owner's byte and, if it is dead, takes its lock. Once dead is dead: that the two are one
      // step hides nothing.
      case Pc.lookCas: {
        const seen = this.seen(p);
        if (!this.isDead(owner(seen)) || this.mistake === 'never looks') {
          if (this.has(p, TRY)) this.over(p);
          else this.go(p, Pc.prepareLoad);
        } else if (this.cas(seen, this.#rules.seize(seen, this.#asker(p, false)))) this.taken(p, true);
        else this.again(p);
        this.step();
        return;
      }

      // Who gives up may have had the wake-up that was meant for others, and a free lock that starves lets in
      // only those who slept: it leaves neither to time.
      case Pc.settleLoad: {
        const word = this.word();
        if (owner(word) === 0 && (word & STARVING) !== 0) this.go(p, Pc.settleCas, word);
        else if (this.has(p, LEAVING) && !this.wakesAll) this.go(p, Pc.settleWake);
        else this.over(p);
        this.step();
        return;
      }
      case Pc.settleCas:
        if (this.cas(this.seen(p), 0) || (this.has(p, LEAVING) && !this.wakesAll)) this.go(p, Pc.settleWake);
        else this.over(p);
        this.step();
        return;
      case Pc.settleWake:
        this.wake(WORD, this.wakesAll, () => this.over(p));
        return;

      case Pc.touch:
        if (this.has(p, ABANDONED) && this.#unrepaired) {
          this.go(p, Pc.poison);
          this.step();
        }
        this.now[DATA] = 1;
        this.go(p, Pc.repair);
        this.step();
        return;
      case Pc.repair:
        this.now[DATA] = 0;
        this.repaired(p);
        this.step();
        return;

      case Pc.poison:
        this.store(NOT_RECOVERABLE);
        if (this.mistake === 'does not tell those who sleep that a lock is not recoverable') this.stop(p);
        else this.go(p, Pc.poisonWake);
        this.step();
        return;
      case Pc.poisonWake:
        this.wake(WORD, true, () => this.stop(p));
        return;

      case Pc.releaseLoad: {
        const word = this.word();
        if (this.mistake === 'wakes before it stores' && (word & WAITERS) !== 0)
          this.wake(WORD, this.wakesAll, () => this.go(p, Pc.releaseCas, word));
        else {
          this.go(p, Pc.releaseCas, word);
          this.step();
        }
        return;
      }
      case Pc.releaseCas: {
        const seen = this.seen(p);
        const left = this.#rules.release(seen);
        if (!this.cas(seen, left)) this.go(p, Pc.releaseLoad);
        else if ((seen & WAITERS) === 0 || this.mistake === 'wakes before it stores') this.released(p);
        else this.go(p, Pc.releaseWake, left);
        this.step();
        return;
      }
      case Pc.releaseWake: {
        const left = this.seen(p);
        this.wake(WORD, this.wakesAll, (woken) => {
          if (left !== 0 && woken === 0) this.go(p, Pc.releaseClear, left);
          else this.released(p);
        });
        return;
      }
      // Nobody was asleep to take a lock that is for those who slept. Who fell asleep since is woken once more.
      case Pc.releaseClear:
        if (!this.cas(this.seen(p), 0) || this.mistake === 'does not wake again after clearing STARVING')
          this.released(p);
        else this.go(p, Pc.releaseWakeAgain);
        this.step();
        return;
      case Pc.releaseWakeAgain:
        this.wake(WORD, this.wakesAll, () => this.released(p));
        return;

      default:
        this.stepBeyond(p, pc);
    }
  }

  /** p has let go of the word. */
  protected released(p: number): void {
    this.over(p);
  }
}
