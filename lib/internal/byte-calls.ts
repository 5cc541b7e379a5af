/** Reading and writing streams of bytes: what the ends of pipes and stream sockets have in common. */
import type { Buffer } from 'node:buffer';
import { IpcError } from '../errors.js';
import { invalidType } from './arguments.js';
import { type MessageData, messageBytes } from './bytes.js';
import { withBytesWritten } from './bytes-written.js';
import { type NativeDescriptor, native } from './native.js';
import { checkTarget, keepScratch, type ReadOptions, scratchOf, type Target, viewOf } from './read-memory.js';
import { again, neverGivesUp, type Turns, type Work } from './turns.js';
import type { SyncWaitOptions, WaitOptions } from './waiting.js';

export interface ByteEnd {
  /** Throws `ERR_INTERPROC_CLOSED`. */
  descriptor(): NativeDescriptor;
  readonly turns: Turns;
  /** Blocks until there may be something to do, at most so long. */
  sleep(nanoseconds: number): void;
}

export class ByteReading {
  readonly #end: ByteEnd;
  readonly #check: (target: Target) => Target;

  /** `check` gives a target back, or throws. */
  constructor(end: ByteEnd, check: (target: Target) => Target = (target) => target) {
    this.#end = end;
    this.#check = check;
  }

  tryRead(options: ReadOptions | undefined): Buffer | null | undefined {
    this.#end.descriptor();
    const target = this.#check(checkTarget(options));
    if (!this.#end.turns.idle) return null;
    const read = this.#take(target, 0);
    return read === again ? null : read;
  }

  read(options: (ReadOptions & WaitOptions) | undefined): Promise<Buffer | undefined> {
    try {
      const target = this.#check(checkTarget(options));
      const { turns } = this.#end;
      const atOnce = neverGivesUp(options) && turns.servesAtOnce;
      if (atOnce) {
        const { looks } = turns;
        const read = this.#take(target, looks);
        turns.looked(looks, read !== again);
        if (read !== again) return Promise.resolve(read);
      }
      return turns.run('read', options, { step: (looks) => this.#take(target, looks) }, atOnce);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  readSync(options: (ReadOptions & SyncWaitOptions) | undefined): Buffer | undefined {
    const target = this.#check(checkTarget(options));
    const { turns, sleep } = this.#end;
    return turns.runSync('read', options, { step: (looks) => this.#take(target, looks) }, sleep);
  }

  #take({ into, size }: Target, looks: number): Buffer | undefined | typeof again {
    const length = native.descriptorRead(this.#end.descriptor(), into ?? scratchOf(size), size, looks);
    if (length < 0) return again;
    if (length === 0) return undefined;
    return into === undefined ? keepScratch(length) : viewOf(into, length);
  }
}

const done = Promise.resolve();

/** Moves the bytes of a call on, from `offset`: how many, or -1 where that would have to wait, also at so many looks. */
type Move = (descriptor: NativeDescriptor, offset: number, looks: number) => number;
export type MoveOf = (bytes: Uint8Array) => Move;

export class ByteWriting {
  readonly #end: ByteEnd;
  readonly #what: string;
  readonly #check: (length: number) => void;
  #torn = false;

  /** `what`: how errors name the end. `check` throws for a length that can't be written as one. */
  constructor(end: ByteEnd, what: string, check: (length: number) => void = () => {}) {
    this.#end = end;
    this.#what = what;
    this.#check = check;
  }

  /** `move`: how, where that is not just writing. */
  tryWrite(data: MessageData, move: MoveOf = moveOf): number | null {
    const bytes = messageBytes(data);
    return this.#try(bytes.length, move(bytes));
  }

  tryWritev(list: readonly MessageData[]): number | null {
    const { bytes, length } = checkList(list);
    return this.#try(length, moveList(bytes));
  }

  /** `move`: how, where that is not just writing. */
  write(data: MessageData, options: WaitOptions | undefined, move: MoveOf = moveOf): Promise<void> {
    try {
      const bytes = messageBytes(data);
      return this.#write(bytes.length, move(bytes), options);
    } catch (error) {
      return Promise.reject(withBytesWritten(error, 0));
    }
  }

  writeSync(data: MessageData, options: SyncWaitOptions | undefined, move: MoveOf = moveOf): void {
    const bytes = messageBytes(data);
    this.#writeSync(bytes.length, move(bytes), options);
  }

  writev(list: readonly MessageData[], options: WaitOptions | undefined): Promise<void> {
    try {
      const { bytes, length } = checkList(list);
      return this.#write(length, moveList(bytes), options);
    } catch (error) {
      return Promise.reject(withBytesWritten(error, 0));
    }
  }

  writevSync(list: readonly MessageData[], options: SyncWaitOptions | undefined): void {
    const { bytes, length } = checkList(list);
    this.#writeSync(length, moveList(bytes), options);
  }

  /** Where a write was cut short: what comes after it would make no sense to who reads. */
  checkWhole(): void {
    if (!this.#torn) return;
    throw new IpcError(
      'ERR_INTERPROC_TORN',
      `${this.#what} takes no more: an earlier write ended half-way, and its reader would take what comes for the rest`,
    );
  }

  tear(): void {
    this.#torn = true;
  }

  #try(length: number, move: Move): number | null {
    const descriptor = this.#end.descriptor();
    this.#check(length);
    this.checkWhole();
    if (!this.#end.turns.idle) return null;
    if (length === 0) return 0;
    const written = move(descriptor, 0, 0);
    return written < 0 ? null : written;
  }

  #write(length: number, move: Move, options: WaitOptions | undefined): Promise<void> {
    const { turns } = this.#end;
    const atOnce = neverGivesUp(options) && turns.servesAtOnce;
    const first = atOnce ? this.#try(length, move) : null;
    if (first === length) return done;
    const { work, written } = this.#workOf(length, move, first ?? 0);
    const writing = turns.run('write', options, work, atOnce);
    return writing.catch((error) => {
      throw withBytesWritten(error, written());
    });
  }

  #writeSync(length: number, move: Move, options: SyncWaitOptions | undefined): void {
    const { work, written } = this.#workOf(length, move);
    try {
      this.#end.turns.runSync('write', options, work, this.#end.sleep);
    } catch (error) {
      throw withBytesWritten(error, written());
    }
  }

  #workOf(length: number, move: Move, begun = 0): { work: Work<void>; written: () => number } {
    this.#check(length);
    let offset = begun;
    const step = (looks: number): undefined | typeof again => {
      const descriptor = this.#end.descriptor();
      this.checkWhole();
      while (offset < length) {
        const moved = move(descriptor, offset, looks);
        if (moved < 0) return again;
        offset += moved;
      }
      return undefined;
    };
    const giveUp = () => {
      if (offset > 0) this.tear();
      return true;
    };
    return { work: { step, giveUp }, written: () => offset };
  }
}

const moveOf: MoveOf = (bytes) => (descriptor, offset, looks) =>
  native.descriptorWrite(descriptor, bytes, offset, looks);

function moveList(list: readonly Uint8Array[]): Move {
  return (descriptor, offset, looks) => native.descriptorWritev(descriptor, list, offset, looks);
}

function checkList(list: unknown): { bytes: Uint8Array[]; length: number } {
  if (!Array.isArray(list)) throw invalidType('list', 'an instance of Array', list);
  const bytes = list.map((data, index) => messageBytes(data, `list[${index}]`));
  return { bytes, length: bytes.reduce((total, each) => total + each.length, 0) };
}
