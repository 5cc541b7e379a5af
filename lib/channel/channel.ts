/**
 * A channel: bytes from one sender to one receiver, in any two processes or threads, through a ring in shared memory
 * and without serialization. native/include/interproc.h has the layout and the protocol; docs/channel.md is for users.
 *
 * A handle takes part in its segment from open to close; being the sender or the receiver is a role that one handle at a
 * time has, and that a successor takes over when its owner is dead.
 */
import { IpcError } from '../errors.js';
import { checkBoolean, checkOptions, illegalConstructor } from '../internal/arguments.js';
import { openOrCreate } from '../internal/factories.js';
import { type NativeFile, type NativeParticipant, type NativeRole, native } from '../internal/native.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { endAtExit, forgetAtExit } from './at-exit.js';
import { ChannelMemory } from './channel-memory.js';
import { type ChannelParticipant, type ChannelStats, participantsOf, statsOf, whoIs } from './insight.js';
import { layout, messageMax } from './layout.js';
import { whenThere, whenThereSync } from './opening.js';
import { Receiver } from './receiver.js';
import {
  type ChannelCreateOptions,
  type ChannelOpenOptions,
  checkOpening,
  createAnonymousSegment,
  createSegment,
  type Opening,
  type Segment,
  segmentFromFd,
  tryOpenSegment,
} from './segment.js';
import { Sender } from './sender.js';
import { type Side, type SideName, type SideOptions, type SideSetup, sideNumber } from './side.js';
import {
  type ChannelTarget,
  checkCapacity,
  checkTarget,
  isThere,
  prefix,
  type Target,
  unlinkTarget,
} from './target.js';

/** What `Channel.list()` tells of each channel that has a name. */
export interface ChannelListEntry {
  /** With its slash, as `open` takes it. */
  name: string;
  /** Null where it can't be read, is no channel of this version, or is not ready. */
  capacity: number | null;
  /** How many have it open now; 0: all are dead, and `create` replaces it. Null where it can't be read. */
  participants: number | null;
}

const unknown = { capacity: null, participants: null };

const construct = Symbol('construct');

/**
 * Bytes from one sender to one receiver, in any two processes or threads, through a ring in shared memory and without
 * serialization. docs/channel.md has examples and the contract.
 */
export class Channel {
  readonly #participant: NativeParticipant;
  readonly #file: NativeFile;
  readonly #memory: ChannelMemory;
  readonly #target: Target | undefined;
  readonly #created: boolean;
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;
  #kept = true;

  /** @internal Use the factories. */
  constructor(key: symbol, segment: Segment) {
    if (key !== construct) throw illegalConstructor('Channel');
    const { participant, target, created } = segment;
    this.#participant = participant;
    this.#target = target;
    this.#created = created;
    this.#file = native.participantFile(participant);
    this.#memory = new ChannelMemory(this.#file, native.participantCapacity(participant), this.#label);
    endAtExit(this);
  }

  /**
   * Makes a channel that processes find by `target`: a name, or `{ path }`. It takes the place of one whose participants
   * are all dead, and of what they left in it.
   *
   * @throws `EEXIST` where one is in use, or the name is something else's; `EBUSY` where a process was stopped in the
   *   middle of joining or leaving one that is dead; `EPERM` where such a one is another user's to remove; `ENOSPC` with
   *   the limit; `EACCES`; `ENAMETOOLONG` (names may have 245 bytes); `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`,
   *   `ERR_OUT_OF_RANGE`.
   */
  static create(target: ChannelTarget, options: ChannelCreateOptions): Channel {
    return build(createSegment(target, options));
  }

  /**
   * Opens a channel, and waits until there is one.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `ERR_INTERPROC_MISMATCH`, with both values, for what is no channel
   *   or of another version, kind or capacity; `ERR_INTERPROC_CORRUPT`; `ERR_INTERPROC_BUSY` when 48 have it open;
   *   `EACCES`; and for arguments as `create`.
   */
  static async open(target: ChannelTarget, options?: ChannelOpenOptions & WaitOptions): Promise<Channel> {
    const opening = checkOpening(target, options);
    return whenThere(opening.target, options, () => tryOpen({ ...opening, again: true }));
  }

  /** As `open`, blocking the calling thread. */
  static openSync(target: ChannelTarget, options?: ChannelOpenOptions & SyncWaitOptions): Channel {
    const opening = checkOpening(target, options);
    return whenThereSync(options, () => tryOpen({ ...opening, again: true }));
  }

  /**
   * Opens a channel that is there now, else gives null. Throws as `open` rejects, and `EBUSY` where a process was stopped
   * in the middle of joining or leaving it: `open` waits for that one.
   */
  static tryOpen(target: ChannelTarget, options?: ChannelOpenOptions): Channel | null {
    return tryOpen(checkOpening(target, options));
  }

  /**
   * Opens the channel, or makes it where there is none: `.created` tells which. So it does not matter which of two
   * processes starts first. One that exists must have the capacity; its mode and owner are left as they are.
   */
  static openOrCreate(target: ChannelTarget, options: ChannelCreateOptions): Channel {
    const opening = checkOpening(target, { capacity: checkCapacity(options) });
    return openOrCreate(
      () => {
        const opened = tryOpen(opening);
        if (opened === null) throw new IpcError('ENOENT', 'ENOENT: there is no such channel');
        return opened;
      },
      () => Channel.create(target, options),
    );
  }

  /**
   * Makes a channel without a name: hand `.fd` to a child through `stdio`, or to a worker through `workerData`, and
   * open it there with `fromFd`. It is gone with the last process that has it.
   *
   * @throws `ENOMEM`; `EMFILE`; and for arguments as `create`.
   */
  static anonymous(options: Omit<ChannelCreateOptions, 'persist'>): Channel {
    return build(createAnonymousSegment(options));
  }

  /**
   * Opens the channel behind a descriptor that was inherited or received. The descriptor is duplicated; the caller
   * keeps and closes his own.
   *
   * @throws `EBADF`; `EACCES` for another user's, whose mode does not let it be opened anew; `ERR_INTERPROC_UNLINKED` for
   *   one whose name was removed; and as `tryOpen`.
   */
  static fromFd(fd: number, options?: ChannelOpenOptions): Channel {
    return build(segmentFromFd(fd, options));
  }

  /** Removes the name; who has it open goes on, and nobody else gets in. Throws `ENOENT`, `EACCES`, `EPERM`. */
  static unlink(target: ChannelTarget): void {
    unlinkTarget(checkTarget(target, 'shm_unlink'));
  }

  /** All channels that have a name in /dev/shm, whoever made them. Those with 0 participants are stale. */
  static list(): ChannelListEntry[] {
    return native.posixShmList().flatMap((file): ChannelListEntry[] => {
      if (!file.startsWith(prefix)) return [];
      const name = `/${file.slice(prefix.length)}`;
      try {
        const channel = Channel.tryOpen(name, { readOnly: true });
        // Gone meanwhile, or there and not ready.
        if (channel === null) return isThere(checkTarget(name)) ? [{ name, ...unknown }] : [];
        const participants = channel.participants().filter(({ readOnly }) => !readOnly).length;
        const { capacity } = channel;
        channel.close();
        return [{ name, capacity, participants }];
      } catch (error) {
        if (!(error instanceof IpcError)) throw error;
        return [{ name, ...unknown }];
      }
    });
  }

  /** With its leading slash; null for one with a path, and for one without a name. */
  get name(): string | null {
    return this.#target?.name ?? null;
  }

  /** Where its file lies; null for one that came without a name. */
  get path(): string | null {
    return this.#target?.path ?? null;
  }

  /** Bytes of the ring. */
  get capacity(): number {
    return this.#memory.capacity;
  }

  /** The longest message in bytes. */
  get maxMessageSize(): number {
    return messageMax(this.#memory.capacity);
  }

  /** Whether the factory made it; false where it was there already. */
  get created(): boolean {
    return this.#created;
  }

  /** Whether it was opened for looking only: `stats()` and `participants()`. */
  get readOnly(): boolean {
    return this.#memory.readOnly;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#memory.closed;
  }

  /** The descriptor (close-on-exec), for handing it to a child through `stdio`. `close()` closes it. */
  get fd(): number {
    this.#memory.checkThere();
    return native.fileDescriptor(this.#file);
  }

  /** Whether its name still leads to it; false for one without. Where it does not, no successor can join. */
  get linked(): boolean {
    this.#memory.checkThere();
    return (
      this.#target !== undefined &&
      this.#memory.words[layout.state / 4] === layout.ready &&
      native.fileLinkedAt(this.#file, this.#target.path)
    );
  }

  /**
   * Becomes the sender, also in the place of one that has died: it goes on behind what that has published.
   *
   * @throws `ERR_INTERPROC_BUSY` while there is a living one, `ERR_INTERPROC_UNLINKED` where the name was removed,
   *   `ERR_INTERPROC_READ_ONLY`, `ERR_INTERPROC_CORRUPT`, `ERR_INTERPROC_CLOSED`.
   */
  sender(options?: SideOptions): Sender {
    const { role, awaitPeer } = this.#take('sender', options);
    this.#sender = this.#attach(
      role,
      (setup) => new Sender({ ...setup, awaitPeer }),
      () => {
        this.#sender = undefined;
      },
    );
    return this.#sender;
  }

  /**
   * Becomes the receiver, also in the place of one that has died: what that had finished does not come again, what it
   * had in hand does, flagged. Throws as `sender`.
   */
  receiver(options?: SideOptions): Receiver {
    const { role, awaitPeer } = this.#take('receiver', options);
    this.#receiver = this.#attach(
      role,
      (setup) => new Receiver({ ...setup, awaitPeer }),
      () => {
        this.#receiver = undefined;
      },
    );
    return this.#receiver;
  }

  /** Who has it open, as the kernel sees it now: no dead ones. Throws `ERR_INTERPROC_CLOSED`. */
  participants(): ChannelParticipant[] {
    this.#memory.checkThere();
    return participantsOf(this.#memory, this.#participant);
  }

  /** What has gone through it, and how it fares. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_CORRUPT`. */
  stats(): ChannelStats {
    this.#memory.checkThere();
    const stats = statsOf(this.#memory, this.#participant);
    const sent = this.#sender?.sent ?? stats.sent;
    const received = this.#receiver?.received ?? stats.received;
    return { ...stats, sent, received };
  }

  /** Removes the name; who has it open goes on. Throws `ENOENT` where it leads elsewhere by now, `EACCES`, `EPERM`. */
  unlink(): void {
    if (this.linked) return unlinkTarget(this.#target as Target, this.#file);
    throw new IpcError(
      'ENOENT',
      `ENOENT: no such file or directory, unlink: no name leads to ${this.#about}`,
    );
  }

  /** Pending waits let the process end, as an unref()ed timer does; also of a sender or receiver that it becomes later. */
  unref(): this {
    this.#kept = false;
    this.#sender?.unref();
    this.#receiver?.unref();
    return this;
  }

  /** Pending waits keep the process alive, as a timer does: so it is by default. */
  ref(): this {
    this.#kept = true;
    this.#sender?.ref();
    this.#receiver?.ref();
    return this;
  }

  /**
   * Closes the sender and the receiver that it has, and leaves. The last participant to leave removes the name, unless
   * it is to persist, or another process was stopped in the middle of joining or leaving. Again is allowed and does
   * nothing.
   */
  close(): void {
    if (this.closed) return;
    forgetAtExit(this);
    this.#sender?.close();
    this.#receiver?.close();
    native.participantLeave(this.#participant);
    this.#memory.close();
    native.fileClose(this.#file);
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string,
  ): string {
    const { name, path, capacity, readOnly, closed } = this;
    const where = name === null && path !== null ? { path } : { name };
    return `Channel ${inspect({ ...where, capacity, readOnly, closed }, options)}`;
  }

  /** @internal For the end of the process. */
  end(closes: boolean): void {
    this.#sender?.end(closes);
    this.#receiver?.end(closes);
    if (closes) this.close();
  }

  get #label(): string {
    return this.#target?.label ?? '';
  }

  get #about(): string {
    return this.#label === '' ? 'the channel' : `the channel '${this.#label}'`;
  }

  #take(side: SideName, options: SideOptions | undefined): { role: NativeRole; awaitPeer: boolean } {
    const awaitPeer = checkBoolean(checkOptions(options).awaitPeer, 'options.awaitPeer', false);
    this.#memory.checkThere();
    if (this.readOnly) {
      throw new IpcError('ERR_INTERPROC_READ_ONLY', `${capital(this.#about)} was opened read-only`);
    }
    try {
      return { role: native.roleTake(this.#participant, sideNumber[side]), awaitPeer };
    } catch (error) {
      throw this.#explainBusy(error, side);
    }
  }

  /** Says who it is that has the role. */
  #explainBusy(error: unknown, side: SideName): unknown {
    if ((error as { code?: unknown }).code !== 'ERR_INTERPROC_BUSY') return error;
    const holder = this.participants().find(({ roles }) => roles.includes(side));
    const who = holder === undefined ? '' : whoIs(holder);
    return new IpcError('ERR_INTERPROC_BUSY', `${capital(this.#about)} has a living ${side}${who}`);
  }

  #attach<T extends Side>(
    role: NativeRole,
    make: (setup: Omit<SideSetup, 'awaitPeer'>) => T,
    left: () => void,
  ): T {
    const about = this.#label === '' ? '' : ` '${this.#label}'`;
    try {
      const side = make({ memory: this.#memory, participant: this.#participant, role, about, left });
      return this.#kept ? side : side.unref();
    } catch (error) {
      native.roleLeave(role, false);
      throw error;
    }
  }
}

function tryOpen(opening: Opening): Channel | null {
  const segment = tryOpenSegment(opening);
  return segment === null ? null : build(segment);
}

function build(segment: Segment): Channel {
  try {
    return new Channel(construct, segment);
  } catch (error) {
    native.participantLeave(segment.participant);
    throw error;
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
