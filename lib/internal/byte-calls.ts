/** Reading and writing streams of bytes: what the ends of pipes and stream sockets have in common. */
import { Buffer } from 'node:buffer';
import { IpcError } from '../errors.js';
import { invalidType } from './arguments.js';
import { checkLasting, lengthOf, type MessageData, messageBytes } from './bytes.js';
import { withBytesWritten } from './bytes-written.js';
import { type NativeDescriptor, native } from './native.js';
import { checkTarget, keepScratch, type ReadOptions, scratchOf, type Target, viewOf } from './read-memory.js';
import { again, neverGivesUp, type Turns, type Work } from './turns.js';
import { clockCalls, type SyncWaitOptions, turnIsLong, type WaitOptions } from './waiting.js';

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
    if (into !== undefined) checkLasting(into, size, 'options.into');
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
    return this.#try(lengthOf(bytes), move(bytes));
  }

  tryWritev(list: readonly MessageData[]): number | null {
    const { length, move } = checkList(list);
    return this.#try(length, move);
  }

  /** `move`: how, where that is not just writing. */
  write(data: MessageData, options: WaitOptions | undefined, move: MoveOf = moveOf): Promise<void> {
    try {
      const bytes = messageBytes(data);
      return this.#write(lengthOf(bytes), move(bytes), options);
    } catch (error) {
      return Promise.reject(withBytesWritten(error, 0));
    }
  }

  writeSync(data: MessageData, options: SyncWaitOptions | undefined, move: MoveOf = moveOf): void {
    const bytes = messageBytes(data);
    this.#writeSync(lengthOf(bytes), move(bytes), options);
  }

  writev(list: readonly MessageData[], options: WaitOptions | undefined): Promise<void> {
    try {
      const { length, move } = checkList(list);
      return this.#write(length, move, options);
    } catch (error) {
      return Promise.reject(withBytesWritten(error, 0));
    }
  }

  writevSync(list: readonly MessageData[], options: SyncWaitOptions | undefined): void {
    const { length, move } = checkList(list);
    this.#writeSync(length, move, options);
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

  #try(length: number, move: Move, looks = 0): number | null {
    const descriptor = this.#end.descriptor();
    this.#check(length);
    this.checkWhole();
    if (!this.#end.turns.idle) return null;
    if (length === 0) return 0;
    const written = move(descriptor, 0, looks);
    return written < 0 ? null : written;
  }

  #write(length: number, move: Move, options: WaitOptions | undefined): Promise<void> {
    const { turns } = this.#end;
    const atOnce = neverGivesUp(options) && turns.servesAtOnce;
    const looks = atOnce ? turns.looks : 0;
    const first = atOnce ? this.#try(length, move, looks) : null;
    turns.looked(looks, first !== null);
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
        // A reader that keeps up would have this go on to the end of it all.
        if (offset < length && turnIsLong(clockCalls)) return again;
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

const moveOf: MoveOf = (bytes) => {
  const length = lengthOf(bytes);
  return (descriptor, offset, looks) => {
    checkLasting(bytes, length, 'data');
    return native.descriptorWrite(descriptor, bytes, offset, looks);
  };
};

/** So many pieces at once: IOV_MAX. */
const piecesMax = 1024;
/** Up to so many bytes are written as one, never mixed with those of other writers. man 7 pipe, PIPE_BUF */
export const pipeBuf = 4096;

/** Goes on where it has come to: looking for that from the beginning would take long in a long list. */
function moveList(pieces: readonly Uint8Array[], lengths: readonly number[]): Move {
  let first = 0;
  let before = 0;
  return (descriptor, offset, looks) => {
    while (offset - before >= (lengths[first] as number)) before += lengths[first++] as number;
    const now = first === 0 && pieces.length <= piecesMax ? pieces : pieces.slice(first, first + piecesMax);
    for (const [index, piece] of now.entries()) {
      checkLasting(piece, lengths[first + index] as number, `list[${first + index}]`);
    }
    return native.descriptorWritev(descriptor, now, offset - before, looks);
  };
}

/** Piece by piece, into lists of our own: those that methods of the caller's list make may be anything. */
function checkList(list: unknown): { length: number; move: Move } {
  if (!Array.isArray(list)) throw invalidType('list', 'an instance of Array', list);
  const pieces: Uint8Array[] = [];
  const lengths: number[] = [];
  let length = 0;
  for (let index = 0; index < list.length; index++) {
    const piece = messageBytes(list[index], `list[${index}]`);
    pieces.push(piece);
    lengths.push(lengthOf(piece));
    length += lengthOf(piece);
  }
  // More calls than one would make more writes than one of it.
  const isCopied = pieces.length > piecesMax && length <= pipeBuf;
  return { length, move: isCopied ? moveOf(Buffer.concat(pieces)) : moveList(pieces, lengths) };
}
