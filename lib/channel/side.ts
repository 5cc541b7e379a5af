/** What the two sides of a channel have in common: a role, the waiting for the peer, and the end. */
import { IpcError } from '../errors.js';
import { invalidType } from '../internal/arguments.js';
import type { NativeParticipant, NativeRole } from '../internal/native.js';
import { native } from '../internal/native.js';
import { Request } from '../internal/request-line.js';
import {
  type Settle,
  type SyncWaitOptions,
  turnIsLong,
  type WaitOptions,
  wait,
  waitSync,
} from '../internal/waiting.js';
import type { ChannelMemory } from './channel-memory.js';
import { layout, ring } from './layout.js';
import { type PeerState, WaitLine } from './wait-line.js';

const { receiverSleptWord, senderSleptWord } = ring;

/** How a side waits for the other one. */
export interface SideOptions {
  /**
   * Where a peer is gone: wait for its successor. By default that is an error of the call that would have to wait for
   * it: `ERR_INTERPROC_PEER_DIED`, and for a sender, whose receiver has closed, `ERR_INTERPROC_PEER_CLOSED`.
   */
  awaitPeer?: boolean;
}

export interface SideSetup {
  memory: ChannelMemory;
  participant: NativeParticipant;
  role: NativeRole;
  /** How errors name the channel: ` 'feed'`, or '' without a name. */
  about: string;
  awaitPeer: boolean;
  /** Tells the channel that the role is free again. */
  left(): void;
}

export type SideName = 'sender' | 'receiver';

/** As in native/include/interproc.h, enum interproc_side. */
export const sideNumber = { sender: 0, receiver: 1 } as const;

/** What an attempt gives that can't be served now. */
export const waits: unique symbol = Symbol('waits');
/** What an attempt gives that asks for another one in the next turn of the event loop. */
export const later: unique symbol = Symbol('later');

/**
 * Tries to do what a call is to do. With `peer` it is the last try before it sleeps, and how the peer fares may decide.
 */
export type Attempt<T> = (peer?: PeerState) => T | typeof waits | typeof later;

class SideRequest<T> extends Request<PeerState> {
  yields = false;
  readonly #settle: Settle<T>;
  readonly #once: Attempt<T>;
  #running = false;

  constructor(settle: Settle<T>, once: Attempt<T>) {
    super();
    this.#settle = settle;
    this.#once = once;
  }

  attempt(peer?: PeerState): boolean {
    let result: T | typeof waits | typeof later;
    this.#running = true;
    try {
      result = this.#once(peer);
    } finally {
      this.#running = false;
    }
    this.yields = result === later;
    if (result === later || result === waits) return false;
    this.#settle.resolve(result);
    return true;
  }

  fail(error: unknown): void {
    // A drain whose handler closes the receiver has an outcome, which comes when the handler returns.
    if (!this.#running) this.#settle.reject(error);
  }
}

export abstract class Side {
  readonly #name: SideName;
  readonly #setup: SideSetup;
  #closed = false;
  /** @internal */
  protected readonly line: WaitLine;

  /** @internal */
  protected constructor(name: SideName, setup: SideSetup) {
    this.#name = name;
    this.#setup = setup;
    const { memory, participant } = setup;
    this.line = new WaitLine(
      name === 'sender'
        ? {
            memory,
            participant,
            sleepOffset: layout.senderSleep,
            bellOffset: layout.senderBell,
            peerOffset: layout.receiverRole,
            sleptWord: senderSleptWord,
          }
        : {
            memory,
            participant,
            sleepOffset: layout.receiverSleep,
            bellOffset: layout.receiverBell,
            peerOffset: layout.senderRole,
            sleptWord: receiverSleptWord,
          },
    );
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * How the other side fares, as the kernel sees it now (one system call): `'none'` was never there, `'closed'` left by
   * `close()`, `'died'` ended without. Throws `ERR_INTERPROC_CLOSED`.
   */
  get peer(): PeerState {
    this.checkOpen();
    return this.line.peer();
  }

  /** Pending waits let the process end, as an unref()ed timer does. */
  unref(): this {
    this.line.keep(false);
    return this;
  }

  /** Pending waits keep the process alive, as a timer does: so it is by default. */
  ref(): this {
    this.line.keep(true);
    return this;
  }

  /** @internal */
  protected get awaitPeer(): boolean {
    return this.#setup.awaitPeer;
  }

  /** @internal */
  protected waitFor<T>(call: string, options: WaitOptions | undefined, once: Attempt<T>): Promise<T> {
    return wait<T>(
      call,
      options,
      (settle) => {
        this.checkOpen();
        const request = new SideRequest(settle, once);
        if (!this.line.idle || turnIsLong() || !request.attempt()) this.line.add(request);
        return (lastTry) => this.line.remove(request, lastTry);
      },
      this.line.timers,
    );
  }

  /** @internal `changed`: whether another attempt may have more luck, in a nanosecond or two. */
  protected waitForSync<T>(
    call: string,
    options: SyncWaitOptions | undefined,
    changed: () => boolean,
    once: Attempt<T>,
  ): T {
    if (!this.line.idle) throw this.busyError('its asynchronous calls come first, and they are waiting');
    const attempt = (peer?: PeerState): { value: T } | undefined => {
      this.checkOpen(); // the getter of an option may have closed it
      const value = once(peer);
      return value === waits || value === later ? undefined : { value };
    };
    if (options === undefined) {
      const settled = attempt();
      if (settled !== undefined) return settled.value;
    }
    return waitSync(call, options, (sliceMs) => this.line.slice(sliceMs, changed, attempt)).value;
  }

  /** @internal Ends it. At the end of the process nobody is left to be told of it. */
  protected leave(processEnds = false): void {
    this.#closed = true;
    this.line.close(processEnds ? undefined : () => this.closedError());
    native.roleLeave(this.#setup.role, true);
    this.#setup.left();
  }

  /** @internal */
  protected checkOpen(): void {
    if (this.#closed) throw this.closedError();
  }

  /** @internal */
  protected get about(): string {
    return `The ${this.#name} of channel${this.#setup.about}`;
  }

  /** @internal */
  protected closedError(): IpcError {
    return new IpcError('ERR_INTERPROC_CLOSED', `${this.about} is closed`);
  }

  /** @internal */
  protected busyError(why: string): IpcError {
    return new IpcError('ERR_INTERPROC_BUSY', `${this.about} is busy: ${why}`);
  }

  /** @internal */
  protected corruptError(what: string): Error {
    try {
      this.#setup.memory.checkThere(); // the zeros of a hole are no corruption
    } catch (error) {
      return error as Error;
    }
    return new IpcError(
      'ERR_INTERPROC_CORRUPT',
      `The channel${this.#setup.about} is corrupt, ${what}: some process has written into it`,
    );
  }

  /** @internal */
  protected peerGone(peer: 'died' | 'closed'): IpcError {
    const other = this.#name === 'sender' ? 'receiver' : 'sender';
    return new IpcError(
      peer === 'died' ? 'ERR_INTERPROC_PEER_DIED' : 'ERR_INTERPROC_PEER_CLOSED',
      `${this.about} would wait for its ${other}, which has ${peer === 'died' ? 'died without closing' : 'closed'}; ` +
        'with { awaitPeer: true } it waits for a successor',
    );
  }
}

export function checkHandler(handler: unknown): void {
  if (typeof handler !== 'function') throw invalidType('handler', 'of type function', handler);
}
