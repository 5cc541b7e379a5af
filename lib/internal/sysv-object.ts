/**
 * What System V queues and semaphore sets have in common. The kernel knows nothing of who uses one: there is no
 * descriptor, and `close()` ends just our own waits.
 */
import { IpcError } from '../errors.js';
import { BlockingLines } from './blocking-lines.js';
import { isGone, type Key } from './keys.js';

export interface SysvSetup {
  id: number;
  key: Key;
  created: boolean;
}

export interface SysvKind {
  /** How errors name it. */
  readonly name: string;
  /** Asks the kernel for one; throws. */
  look(id: number): unknown;
  /** The id of a key's; throws. */
  find(key: number): number;
}

export abstract class SysvObject {
  readonly #setup: SysvSetup;
  readonly #kind: SysvKind;
  readonly #what: string;
  #closed = false;
  /** @internal */
  protected readonly lines: BlockingLines;

  /** @internal */
  protected constructor(kind: SysvKind, setup: SysvSetup) {
    this.#setup = setup;
    this.#kind = kind;
    this.#what = `The ${kind.name} with the id ${setup.id}`;
    this.lines = new BlockingLines({
      checkOpen: () => this.checkOpen(),
      busyError: (why) => new IpcError('ERR_INTERPROC_BUSY', `${this.#what} is busy: ${why}`),
      path: `id ${setup.id}`,
      isThere: () => isThere(() => kind.look(setup.id)),
    });
  }

  /** The kernel's number for it. */
  get id(): number {
    return this.#setup.id;
  }

  /** The key that it was made or opened with; null for a private one. */
  get key(): Key {
    return this.#setup.key;
  }

  /** Whether the factory made it; false where it was there already. */
  get created(): boolean {
    return this.#setup.created;
  }

  /** Whether the key still leads to this very one; false for a private or removed one. */
  get linked(): boolean {
    this.checkOpen();
    const { id, key } = this.#setup;
    if (key === null) return false;
    try {
      return this.#kind.find(key) === id;
    } catch {
      return false;
    }
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Ends its pending calls in `ERR_INTERPROC_CLOSED`. The kernel's object stays: see `remove()`. Again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.lines.close(() => this.#closedError());
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Pending calls let the process end, as an unref()ed timer does. */
  unref(): this {
    this.lines.keep(false);
    return this;
  }

  /** Pending calls keep the process alive, as a timer does: so it is by default. */
  ref(): this {
    this.lines.keep(true);
    return this;
  }

  /** @internal Throws `ERR_INTERPROC_CLOSED`. */
  protected checkOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): IpcError {
    return new IpcError('ERR_INTERPROC_CLOSED', `${this.#what} is closed`);
  }
}

function isThere(look: () => unknown): boolean {
  try {
    look();
    return true;
  } catch (error) {
    return !isGone(error);
  }
}
