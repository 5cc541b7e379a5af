// The Mutex: a word, and data that it guards.

import { ABANDONED, type Call, Pc, TRY } from './participants.js';
import { WordModel } from './word-model.js';

export class MutexModel extends WordModel {
  protected readonly wakesAll = false;

  protected inside(pc: number): boolean {
    return (pc >= Pc.touch && pc <= Pc.poison) || pc === Pc.peekTaken;
  }

  protected begin(p: number, call: Call): void {
    if (call === 'tryLock') this.set(p, TRY);
    this.takeLoad(p);
  }

  protected taken(p: number, seized: boolean): void {
    if (seized) this.set(p, ABANDONED);
    this.go(p, Pc.touch);
  }

  protected repaired(p: number): void {
    this.go(p, Pc.releaseLoad);
  }

  protected again(p: number): void {
    this.go(p, Pc.takeLoad);
  }

  protected takesWord(): boolean {
    return true;
  }

  protected stepBeyond(_: number, pc: number): void {
    throw new Error(`a mutex has no step ${pc}`);
  }
}
