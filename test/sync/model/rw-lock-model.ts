// The RwLock: a word for writers, the id of who writes, and a slot for each that reads.

import {
  ABANDONED,
  type Call,
  LEAVING,
  type Options,
  Pc,
  READER,
  SLOT,
  TAKEOVER,
  TRY,
  WRITING,
} from './participants.js';
import { owner, WAITERS } from './rules.js';
import { WordModel } from './word-model.js';

export class RwLockModel extends WordModel {
  protected readonly wakesAll = true;
  /** As many slots as read at once. */
  readonly #slots: number;

  constructor(options: Options) {
    super(options);
    this.#slots = options.programs.filter(({ calls }) => calls.some((call) => /read/i.test(call))).length;
  }

  protected inside(pc: number): boolean {
    return (pc >= Pc.touch && pc <= Pc.clearWriting) || pc === Pc.poison;
  }

  protected begin(p: number, call: Call): void {
    if (call === 'tryRead' || call === 'tryWrite') this.set(p, TRY);
    if (call === 'read' || call === 'tryRead') {
      this.set(p, READER);
      this.#slotClaim(p);
    } else this.takeLoad(p);
  }

  protected again(p: number): void {
    this.setIndex(p, 0);
    this.go(p, this.has(p, READER) && !this.has(p, TAKEOVER) ? Pc.slotClaim : Pc.takeLoad);
  }

  protected takesWord(p: number): boolean {
    if (!this.has(p, READER)) return true;
    return this.has(p, TAKEOVER) && this.mistake !== 'takes over only where a reader would wait';
  }

  protected taken(p: number): void {
    this.setIndex(p, 0);
    this.go(p, this.mistake === 'writes before readers are gone' ? Pc.setWriting : Pc.drainLoad);
  }

  protected repaired(p: number): void {
    this.go(p, Pc.clearWriting);
  }

  /** A reader that took the word, and found that nothing was abandoned, reads. */
  protected override released(p: number): void {
    if (this.has(p, READER) && !this.has(p, ABANDONED) && !this.has(p, LEAVING)) {
      this.unset(p, TAKEOVER);
      this.again(p);
    } else this.over(p);
  }

  /** Stops to drain: the word goes back, and `writing` stays as it is. */
  #stopDraining(p: number): void {
    this.set(p, LEAVING);
    if (this.mistake === 'forgets an abandoned lock when it gives up') this.now[WRITING] = 0;
    this.go(p, Pc.releaseLoad);
  }

  #mayStopDraining(p: number): void {
    if (!this.programs[p]?.givesUp || this.has(p, TRY)) return;
    this.leaveQueue(p);
    this.#stopDraining(p);
    this.emit('give up');
  }

  #slotClaim(p: number): void {
    const at = SLOT + this.index(p);
    if (this.cas(0, p + 1, at)) this.go(p, Pc.readState);
    else {
      this.setIndex(p, (this.index(p) + 1) % this.#slots);
      this.go(p, Pc.slotClaim);
    }
    this.step();
  }

  /** Where a reader that is out of its slot goes on. */
  #backedOut(p: number): void {
    this.setIndex(p, 0);
    if (this.has(p, TAKEOVER)) this.go(p, Pc.takeLoad);
    else this.go(p, this.has(p, TRY) ? Pc.lookLoad : Pc.prepareLoad);
  }

  #stopReading(p: number): void {
    if (this.mistake === 'leaves STARVING behind when it stops reading') this.over(p);
    else {
      this.setIndex(p, 0);
      this.go(p, Pc.settleLoad);
    }
  }

  protected stepBeyond(p: number, pc: number): void {
    const at = SLOT + this.index(p);
    const seen = this.seen(p);
    switch (pc) {
      case Pc.drainLoad: {
        if (this.index(p) === this.#slots) {
          if (this.now[WRITING] !== 0) this.set(p, ABANDONED);
          if (this.has(p, READER) && !this.has(p, ABANDONED)) this.go(p, Pc.releaseLoad);
          else this.go(p, Pc.setWriting);
          this.setIndex(p, 0);
          break;
        }
        const reader = this.word(at);
        if (reader === 0) {
          this.setIndex(p, this.index(p) + 1);
          this.go(p, Pc.drainLoad);
        } else if (this.has(p, TRY)) this.go(p, Pc.drainLook, reader);
        else this.go(p, (reader & WAITERS) === 0 ? Pc.drainCas : Pc.drainSleep, reader);
        break;
      }
      case Pc.drainCas:
        if (this.cas(seen, seen | WAITERS, at)) this.go(p, Pc.drainSleep, seen | WAITERS);
        else this.go(p, Pc.drainLoad);
        break;
      case Pc.drainSleep:
        this.#mayStopDraining(p);
        if (this.word(at) === seen) this.fallAsleep(p, Pc.drainAsleep, seen);
        else this.go(p, Pc.drainLoad);
        break;
      case Pc.drainAsleep:
        this.#mayStopDraining(p);
        this.leaveQueue(p);
        this.go(p, Pc.drainLook, seen);
        this.emit('look');
        return;
      case Pc.drainLook:
        if (this.isDead(owner(seen)) && this.mistake !== 'never looks') {
          this.cas(seen, 0, at);
          this.go(p, Pc.drainLoad);
        } else if (this.has(p, TRY)) this.#stopDraining(p);
        else this.go(p, Pc.drainLoad);
        break;
      case Pc.setWriting:
        this.now[WRITING] = p + 1;
        this.go(p, Pc.touch);
        break;
      case Pc.clearWriting:
        this.now[WRITING] = 0;
        this.go(p, Pc.releaseLoad);
        break;

      case Pc.slotClaim:
        if (this.index(p) === 0) this.mayGiveUp(p);
        this.#slotClaim(p);
        return;
      case Pc.readState:
        if (owner(this.word()) !== 0) this.go(p, Pc.backOut);
        else this.go(p, Pc.readWriting);
        break;
      case Pc.readWriting:
        if (this.now[WRITING] === 0) this.go(p, Pc.readFirst);
        else {
          this.set(p, TAKEOVER);
          this.go(p, Pc.backOut);
        }
        break;
      case Pc.backOut: {
        const waited = (this.word(at) & WAITERS) !== 0;
        this.store(0, at);
        if (waited && this.mistake !== 'backs out without waking') this.go(p, Pc.backWake);
        else this.#backedOut(p);
        break;
      }
      case Pc.backWake:
        this.wake(at, true, () => this.#backedOut(p));
        return;

      case Pc.readFirst:
        this.go(p, Pc.readAgain);
        break;
      case Pc.readAgain:
        this.go(p, Pc.unread);
        break;
      case Pc.unread: {
        const waited = (this.word(at) & WAITERS) !== 0;
        this.store(0, at);
        if (waited) this.go(p, Pc.unreadWake);
        else this.#stopReading(p);
        break;
      }
      case Pc.unreadWake:
        this.wake(at, true, () => this.#stopReading(p));
        return;
      default:
        throw new Error(`an RwLock has no step ${pc}`);
    }
    this.step();
  }
}
