/**
 * A channel: bytes from one sender to one receiver, in any two processes or threads, through a ring in shared memory
 * and without serialization. native/include/interproc.h has the layout and the protocol; docs/channel.md is for users.
 *
 * A handle takes part in its segment from open to close; being the sender or the receiver is a role that one handle at a
 * time has, and that a successor takes over when its owner is dead.
 */
import { Buffer } from 'node:buffer';
import { IpcError } from '../errors.js';
import { checkBoolean, checkInteger, checkOptions, illegalConstructor } from '../internal/arguments.js';
import { type NativeFile, type NativeParticipant, type NativeRole, native } from '../internal/native.js';
import { explained } from '../internal/system-error.js';
import { checkTimeout, type SyncWaitOptions, type WaitOptions } from '../internal/waiting.js';
import { openOrCreate } from '../memory/file-memory.js';
import { type AccessOptions, checkAccess } from '../memory/options.js';
import { spaceHint } from '../memory/space.js';
import { endAtExit, forgetAtExit } from './at-exit.js';
import { ChannelMemory } from './channel-memory.js';
import {
  doneWord,
  getCount,
  layout,
  messageMax,
  receivedWord,
  receiverSleptWord,
  senderSleptWord,
  tailWord,
  timesFullWord,
} from './layout.js';
import { whenThere, whenThereSync } from './opening.js';
import { Receiver } from './receiver.js';
import { Sender } from './sender.js';
import { type SideName, type SideOptions, sideNumber } from './side.js';
import {
  type ChannelTarget,
  checkCapacity,
  checkTarget,
  openTarget,
  prefix,
  type Target,
  unlinkTarget,
} from './target.js';
import type { PeerState } from './wait-line.js';

export interface ChannelCreateOptions extends AccessOptions {
  /** Bytes of the ring, rounded up to a power of two: 64 to 2^30. A message may have half of it, less 8. */
  capacity: number;
  /** The name outlives the last participant. False by default: the last one to leave removes it. */
  persist?: boolean;
}

export interface ChannelOpenOptions {
  /** What it is expected to be; `ERR_INTERPROC_MISMATCH` where it is another. */
  capacity?: number;
  /** For looking only: `stats()` and `participants()`. False by default. */
  readOnly?: boolean;
}

/** Who has a channel open. */
export interface ChannelParticipant {
  /** Null where it can't be known: of one that opened it read-only. In the pid namespace of its own. */
  pid: number | null;
  /** The thread (man 2 gettid): the pid for the main thread. */
  thread: number | null;
  /** When its process was started. */
  started: Date | null;
  /** Since when it takes part. */
  since: Date | null;
  readOnly: boolean;
  roles: SideName[];
}

export interface ChannelStats {
  /** Messages that were accepted; as its sender's own process knows it, elsewhere as `published`. */
  sent: number;
  /** Messages that the receiver can see, since the channel was made. */
  published: number;
  /** Messages that were finished; as its receiver's own process knows it, elsewhere as of the last space handed back. */
  received: number;
  /** Bytes of all published messages, without their headers. */
  bytes: number;
  /** How often the sender found no room. */
  timesFull: number;
  /** How often each side went to sleep. */
  timesSlept: { sender: number; receiver: number };
  /** Bytes of the ring that hold what is published and not finished, headers included. */
  used: number;
  peers: { sender: PeerState; receiver: PeerState };
}

export interface ChannelListEntry {
  /** With its slash, as `open` takes it. */
  name: string;
  /** Null where it can't be read, or is no channel of this version. */
  capacity: number | null;
  /** How many have it open now; 0: all are dead, and `create` replaces it. Null where it can't be read. */
  participants: number | null;
}

const construct = Symbol('construct');
const maxFd = 0x7fff_ffff;
const notThere = new Set(['ENOENT', 'ERR_INTERPROC_UNLINKED']);

export class Channel {
  readonly #participant: NativeParticipant;
  readonly #file: NativeFile;
  readonly #memory: ChannelMemory;
  readonly #target: Target | undefined;
  readonly #created: boolean;
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;

  /** @internal Use the factories. */
  constructor(
    key: symbol,
    participant: NativeParticipant,
    target: Target | undefined,
    created: boolean,
    capacity: number | undefined,
  ) {
    if (key !== construct) throw illegalConstructor('Channel');
    this.#participant = participant;
    this.#target = target;
    this.#created = created;
    this.#file = native.participantFile(participant);
    const actual = native.participantCapacity(participant);
    if (capacity !== undefined && capacity !== actual) {
      throw mismatch(this.#label, 'capacity', capacity, actual);
    }
    this.#memory = new ChannelMemory(this.#file, actual, this.#label);
    endAtExit(this);
  }

  /**
   * Makes a channel that processes find by `target`: a name, or `{ path }`. It takes the place of one whose participants
   * are all dead, and of what they left in it.
   *
   * @throws `EEXIST` where one is in use, or the name is something else's; `ENOSPC` with the limit; `EACCES`;
   *   `ENAMETOOLONG` (names may have 245 bytes); `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  static create(target: ChannelTarget, options: ChannelCreateOptions): Channel {
    const checked = checkTarget(target);
    const capacity = checkCapacity(options);
    const persist = checkBoolean(options.persist, 'options.persist', false);
    const access = checkAccess(options);
    const participant = explained(
      () => native.segmentCreate(checked.path, checked.object, capacity, persist, ...access),
      spaceHint(checked.path),
    );
    return build(participant, checked, true);
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
    return whenThere(opening.target, options, () => tryOpen(opening));
  }

  /** As `open`, blocking the calling thread. */
  static openSync(target: ChannelTarget, options?: ChannelOpenOptions & SyncWaitOptions): Channel {
    const opening = checkOpening(target, options);
    return whenThereSync(options, () => tryOpen(opening));
  }

  /** Opens a channel that is there now, else gives null. Throws as `open` rejects. */
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
    const capacity = checkCapacity(options);
    return build(native.segmentCreateAnonymous(capacity, false, ...checkAccess(options)), undefined, true);
  }

  /**
   * Opens the channel behind a descriptor that was inherited or received. The descriptor is duplicated; the caller
   * keeps and closes his own.
   *
   * @throws `EBADF`; `EACCES` for another user's, whose mode does not let it be opened anew; `ERR_INTERPROC_UNLINKED` for
   *   one whose name was removed; and as `open`.
   */
  static fromFd(fd: number, options?: ChannelOpenOptions): Channel {
    const checked = checkInteger(fd, 'fd', 0, maxFd);
    const { capacity, readOnly } = checkExpected(options);
    return join(native.fileFromFd(checked, readOnly), undefined, capacity);
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
        if (channel === null) return [];
        const participants = channel.participants().filter(({ readOnly }) => !readOnly).length;
        const { capacity } = channel;
        channel.close();
        return [{ name, capacity, participants }];
      } catch (error) {
        if (!(error instanceof IpcError)) throw error;
        return [{ name, capacity: null, participants: null }];
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

  get readOnly(): boolean {
    return this.#memory.readOnly;
  }

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
    const { words } = this.#memory;
    const owners = {
      sender: Atomics.load(words, layout.senderRole / 4) >>> 0,
      receiver: Atomics.load(words, layout.receiverRole / 4) >>> 0,
    };
    const sides = Object.keys(owners) as SideName[];
    return native
      .participantList(this.#participant)
      .map(({ id, pid, thread, startedMs, sinceMs, readOnly }) => ({
        pid: pid || null,
        thread: thread || null,
        started: startedMs === 0 ? null : new Date(startedMs),
        since: sinceMs === 0 ? null : new Date(sinceMs),
        readOnly,
        roles: sides.filter((side) => owners[side] === id),
      }));
  }

  /** What has gone through it, and how it fares. Throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_CORRUPT`. */
  stats(): ChannelStats {
    this.#memory.checkThere();
    const { words } = this.#memory;
    const [published, bytes] = native.participantPublished(this.#participant);
    return {
      sent: this.#sender?.sent ?? published,
      published,
      received: this.#receiver?.received ?? getCount(words, receivedWord),
      bytes,
      timesFull: getCount(words, timesFullWord),
      timesSlept: {
        sender: getCount(words, senderSleptWord),
        receiver: getCount(words, receiverSleptWord),
      },
      used: (Atomics.load(words, tailWord) - (words[doneWord] as number)) >>> 0,
      peers: { sender: this.#peer('sender'), receiver: this.#peer('receiver') },
    };
  }

  /** Removes the name; who has it open goes on. Throws `ENOENT` where it leads elsewhere by now, `EACCES`, `EPERM`. */
  unlink(): void {
    if (this.linked) return unlinkTarget(this.#target as Target);
    throw new IpcError(
      'ENOENT',
      `ENOENT: no such file or directory, unlink: no name leads to ${this.#about}`,
    );
  }

  /** Pending waits let the process end, as an unref()ed timer does. */
  unref(): this {
    this.#sender?.unref();
    this.#receiver?.unref();
    return this;
  }

  /** Pending waits keep the process alive, as a timer does: so it is by default. */
  ref(): this {
    this.#sender?.ref();
    this.#receiver?.ref();
    return this;
  }

  /**
   * Closes the sender and the receiver that it has, and leaves. The last participant to leave removes the name, unless
   * it is to persist. Again is allowed and does nothing.
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

  #peer(side: SideName): PeerState {
    const role = Atomics.load(this.#memory.words, layout[`${side}Role`] / 4) >>> 0;
    if (role === 0) return 'none';
    if (role === layout.roleClosed) return 'closed';
    return native.participantAlive(this.#participant, role & layout.ownerMask) ? 'alive' : 'died';
  }

  #take(side: SideName, options: SideOptions | undefined): { role: NativeRole; awaitPeer: boolean } {
    this.#memory.checkThere();
    if (this.readOnly) {
      throw new IpcError('ERR_INTERPROC_READ_ONLY', `${capital(this.#about)} was opened read-only`);
    }
    const awaitPeer = checkBoolean(checkOptions(options).awaitPeer, 'options.awaitPeer', false);
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
    const who = holder?.pid ? `, in process ${holder.pid} (thread ${holder.thread})` : '';
    return new IpcError('ERR_INTERPROC_BUSY', `${capital(this.#about)} has a living ${side}${who}`);
  }

  #attach<T>(
    role: NativeRole,
    make: (setup: {
      memory: ChannelMemory;
      participant: NativeParticipant;
      role: NativeRole;
      about: string;
      left(): void;
    }) => T,
    left: () => void,
  ): T {
    const about = this.#label === '' ? '' : ` '${this.#label}'`;
    try {
      return make({ memory: this.#memory, participant: this.#participant, role, about, left });
    } catch (error) {
      native.roleLeave(role, false);
      throw error;
    }
  }
}

interface Opening {
  target: Target;
  capacity: number | undefined;
  readOnly: boolean;
}

function checkExpected(options: ChannelOpenOptions | undefined) {
  const given = checkOptions(options);
  return {
    capacity: given.capacity === undefined ? undefined : checkCapacity(given),
    readOnly: checkBoolean(given.readOnly, 'options.readOnly', false),
  };
}

function checkOpening(
  target: ChannelTarget,
  options: (ChannelOpenOptions & SyncWaitOptions) | undefined,
): Opening {
  checkTimeout(options);
  return { target: checkTarget(target), ...checkExpected(options) };
}

function tryOpen({ target, capacity, readOnly }: Opening): Channel | null {
  try {
    const file = openTarget(target, readOnly);
    if (!isReady(file)) {
      native.fileClose(file);
      return null;
    }
    return join(file, target, capacity);
  } catch (error) {
    if (notThere.has((error as { code: string }).code)) return null;
    throw error;
  }
}

/** Takes over `file`. */
function join(file: NativeFile, target: Target | undefined, capacity: number | undefined): Channel {
  try {
    const label = target?.label ?? '';
    checkSegment(file, label);
    return build(native.segmentJoin(file, target?.path ?? ''), target, false, capacity);
  } finally {
    native.fileClose(file); // the participant has its own reference
  }
}

function build(
  participant: NativeParticipant,
  target: Target | undefined,
  created: boolean,
  capacity?: number,
): Channel {
  try {
    return new Channel(construct, participant, target, created, capacity);
  } catch (error) {
    native.participantLeave(participant);
    throw error;
  }
}

/** The first words of a segment; undefined where it is too short to have any. */
function headerOf(file: NativeFile, label: string): Int32Array | undefined {
  const { size } = native.fileStat(file);
  if (size < layout.ring) return undefined;
  const mapping = native.mapFile(file, 0, layout.ring, label);
  try {
    return new Int32Array(native.mappingBuffer(mapping, false)).slice();
  } finally {
    native.mappingClose(mapping);
  }
}

/** Whether its maker is done with it. */
function isReady(file: NativeFile): boolean {
  const { size } = native.fileStat(file);
  return size > 0 && (size < layout.ring || headerOf(file, '')?.[layout.state / 4] !== 0);
}

/** Throws `ERR_INTERPROC_MISMATCH`, with both values, for what is no channel or not one of ours. */
function checkSegment(file: NativeFile, label: string): void {
  const header = headerOf(file, label);
  const found = (offset: number) => (header?.[offset / 4] ?? 0) >>> 0;
  for (const field of ['magic', 'version', 'kind'] as const) {
    const expected = layout[`${field}Value`];
    if (found(layout[field]) !== expected) throw mismatch(label, field, expected, found(layout[field]));
  }
}

function mismatch(label: string, field: string, expected: number, found: number): IpcError {
  const shown = (value: number) =>
    field === 'magic' ? `0x${value.toString(16).padStart(8, '0')}` : String(value);
  return new IpcError(
    'ERR_INTERPROC_MISMATCH',
    `The channel${label === '' ? '' : ` '${label}'`} has ${field} ${shown(found)}, and ${shown(expected)} was expected`,
    { path: label === '' ? undefined : label },
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
