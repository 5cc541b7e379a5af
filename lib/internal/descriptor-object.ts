/** What has a descriptor and waits on it: the ends of pipes, and sockets. */
import { IpcError } from '../errors.js';
import { illegalConstructor } from './arguments.js';
import { type NativeDescriptor, native } from './native.js';
import { readable, Watch, writable } from './poller.js';
import { Turns } from './turns.js';
import { WaitTimers } from './waiting.js';

/** Only factories have it. */
export const construct: unique symbol = Symbol('construct');

export function checkConstruct(key: unknown, className: string): void {
  if (key !== construct) throw illegalConstructor(className);
}

export abstract class DescriptorObject {
  readonly #descriptor: NativeDescriptor;
  readonly #what: string;
  readonly #timers = new WaitTimers();
  #closed = false;
  /** @internal */
  protected readonly watch: Watch;
  /** @internal The calls that read, or accept. */
  protected readonly reading: Turns;
  /** @internal The calls that write. */
  protected readonly writing: Turns;

  /** @internal Takes over the descriptor. `what`: how errors name it, as in "The reader of a pipe". */
  protected constructor(descriptor: NativeDescriptor, what: string) {
    this.#descriptor = descriptor;
    this.#what = what;
    this.watch = new Watch(descriptor);
    const turnsOf = (side: typeof readable | typeof writable) => {
      const turns = new Turns({
        checkOpen: () => this.checkOpen(),
        arm: () => this.watch.arm(side),
        hold: (waits) => this.watch.hold(waits),
        busyError: (why) => this.busyError(why),
        timers: this.#timers,
      });
      this.watch.add(side, turns);
      return turns;
    };
    this.reading = turnsOf(readable);
    this.writing = turnsOf(writable);
  }

  /**
   * The descriptor (close-on-exec), for handing it to a child through `stdio` of `child_process.spawn`, or to another
   * process over a socket. It stays this object's: `close()` closes it. Throws `ERR_INTERPROC_CLOSED`.
   */
  get fd(): number {
    return native.descriptorFd(this.descriptor);
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Closes it; pending calls reject with `ERR_INTERPROC_CLOSED`. Again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#end();
    this.onClosed(() => this.#closedError());
    native.descriptorClose(this.#descriptor);
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Closes this object and leaves its descriptor open: it is the caller's now, as for `new net.Socket({ fd })`. The file
   * of a socket stays, too.
   * Pending calls reject with `ERR_INTERPROC_CLOSED`. Throws `ERR_INTERPROC_CLOSED`.
   */
  detach(): number {
    this.checkOpen();
    this.#end();
    return native.descriptorDetach(this.#descriptor);
  }

  /** Pending calls let the process end, as an unref()ed timer does. */
  unref(): this {
    return this.#keep(false);
  }

  /** Pending calls keep the process alive, as a timer does: so it is by default. */
  ref(): this {
    return this.#keep(true);
  }

  /** @internal Ends what waits beside the turns. */
  protected onEnd(_error: () => unknown): void {}

  /** @internal Before the descriptor goes; not where somebody else takes it over. `error`: that it is closed. */
  protected onClosed(_error: () => unknown): void {}

  /** @internal */
  protected onKeep(_kept: boolean): void {}

  /** @internal */
  protected get kept(): boolean {
    return this.#timers.kept;
  }

  /** @internal */
  protected get timers(): WaitTimers {
    return this.#timers;
  }

  /** @internal Throws `ERR_INTERPROC_CLOSED`. */
  protected get descriptor(): NativeDescriptor {
    this.checkOpen();
    return this.#descriptor;
  }

  /** @internal Blocks until a side may be ready, at most so long. */
  protected sleep(side: typeof readable | typeof writable, nanoseconds: number): void {
    native.descriptorWait(this.descriptor, side, nanoseconds);
  }

  /** @internal */
  protected checkOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  /** @internal */
  protected busyError(why: string): IpcError {
    return new IpcError('ERR_INTERPROC_BUSY', `${this.#what} is busy: ${why}`);
  }

  /** @internal */
  protected get what(): string {
    return this.#what;
  }

  #closedError(): IpcError {
    return new IpcError('ERR_INTERPROC_CLOSED', `${this.#what} is closed`);
  }

  #keep(kept: boolean): this {
    this.#timers.keep(kept);
    this.watch.keep(kept);
    this.onKeep(kept);
    return this;
  }

  #end(): void {
    const error = () => this.#closedError();
    this.#closed = true;
    this.reading.close(error);
    this.writing.close(error);
    this.onEnd(error);
    this.watch.stop();
  }
}
