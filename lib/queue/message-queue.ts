/**
 * POSIX message queues (man 7 mq_overview): messages with priorities, which the kernel keeps until somebody takes them.
 * A queue lives until it is unlinked and the last process has closed it, or the machine goes down.
 */
import type { Buffer } from 'node:buffer';
import { checkFd, checkObjectName } from '../internal/arguments.js';
import { checkLasting, lengthOf, type MessageData, messageBytes } from '../internal/bytes.js';
import { checkConstruct, construct, DescriptorObject } from '../internal/descriptor-object.js';
import { noNameLeadsTo, openOrCreate, undo } from '../internal/factories.js';
import { type NativeDescriptor, native } from '../internal/native.js';
import { readable, writable } from '../internal/poller.js';
import {
  checkTarget,
  keepScratch,
  type ReceiveIntoOptions,
  scratchOf,
  type Target,
  viewOf,
} from '../internal/read-memory.js';
import { seriesOf } from '../internal/series.js';
import { withHint } from '../internal/system-error.js';
import { again, neverGivesUp } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { listQueues, type MessageQueueListEntry } from './mounted.js';
import { Notices, type NotificationOptions } from './notices.js';
import {
  checkNonBlocking,
  checkPriority,
  checkSizes,
  checkUse,
  type MessageQueueCreateOptions,
  type MessageQueueOpenOptions,
  type PriorityOptions,
} from './options.js';
import { type MessageQueueStat, toQueueStat } from './stat.js';

export type { ReceiveIntoOptions } from '../internal/read-memory.js';

/** What one receive gives. */
export interface PriorityMessage {
  /** The bytes. */
  data: Buffer;
  /** 0 to 32,767; the highest comes first. */
  priority: number;
}

/** man 3 mq_getattr */
export interface MessageQueueAttributes {
  /** Messages that it holds. */
  maxMessages: number;
  /** Bytes that one has at most. */
  messageSize: number;
  /** Messages that are in it now. */
  messages: number;
  /** O_NONBLOCK of the open description: see `nonBlocking`. */
  nonBlocking: boolean;
}

interface QueueSetup {
  descriptor: NativeDescriptor;
  name: string | null;
  created: boolean;
}

const longestName = 255; // NAME_MAX
/** What native.mqReceive multiplies a priority by. */
const priorityUnit = 2 ** 25;

/**
 * POSIX message queues (man 7 mq_overview): messages with priorities, which the kernel keeps until somebody takes
 * them, or the machine goes down. docs/queues.md
 */
export class MessageQueue extends DescriptorObject implements AsyncIterable<PriorityMessage> {
  readonly #name: string | null;
  readonly #created: boolean;
  readonly #messageSize: number;
  readonly #notices: Notices;

  /** @internal Use the factories. */
  constructor(key: symbol, setup: QueueSetup) {
    checkConstruct(key, 'MessageQueue');
    const { descriptor, name, created } = setup;
    super(descriptor, name === null ? 'The message queue' : `The message queue '${name}'`);
    this.#name = name;
    this.#created = created;
    this.#messageSize = native.mqAttributes(descriptor)[1];
    this.#notices = new Notices(descriptor);
  }

  /**
   * Makes a new queue: without sizes one that fits every stock kernel, of 10 messages of 8,192 bytes or as many as this one
   * allows. man 3 mq_open. The mode and owner are exact once this returns, and stricter before.
   *
   * @param name One component of at most 255 bytes; a missing leading slash is added.
   * @throws `EEXIST`; `EINVAL`, `EMFILE`, `ENOSPC` with the limit; `EACCES`; `EPERM` (chown); `ENAMETOOLONG`;
   *   `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  static create(name: string, options?: MessageQueueCreateOptions): MessageQueue {
    const checked = checkName(name, 'mq_open');
    const use = checkUse(options);
    const nonBlocking = checkNonBlocking(options);
    const { maxMessages, messageSize, access } = checkSizes(options);
    const descriptor = native.mqCreate(checked, use, maxMessages, messageSize, ...access);
    return opened({ descriptor, name: checked, created: true }, nonBlocking);
  }

  /**
   * Opens an existing queue. man 3 mq_open.
   *
   * @throws `ENOENT`; `EACCES`; `EMFILE`; and for arguments as `create`.
   */
  static open(name: string, options?: MessageQueueOpenOptions): MessageQueue {
    const checked = checkName(name, 'mq_open');
    const use = checkUse(options);
    const nonBlocking = checkNonBlocking(options);
    return opened({ descriptor: native.mqOpen(checked, use), name: checked, created: false }, nonBlocking);
  }

  /**
   * Opens the queue, or makes it where there is none: `.created` tells which. The sizes, mode and owner of one that exists
   * are left as they are. Throws as `open` and `create` do.
   */
  static openOrCreate(name: string, options?: MessageQueueCreateOptions): MessageQueue {
    checkSizes(options);
    return openOrCreate(
      () => MessageQueue.open(name, options),
      () => MessageQueue.create(name, options),
    );
  }

  /**
   * The queue behind a descriptor from elsewhere, which is duplicated: the caller keeps his own.
   *
   * @throws `EBADF` where it is of no queue; `EMFILE`.
   */
  static fromFd(fd: number): MessageQueue {
    return opened({ descriptor: native.mqFromFd(checkFd(fd)), name: null, created: false }, undefined);
  }

  /** Removes the name; who has the queue open keeps it. man 3 mq_unlink. Throws `ENOENT`, `EACCES`, `EPERM`. */
  static unlink(name: string): void {
    native.mqUnlink(checkName(name, 'mq_unlink'));
  }

  /**
   * All queues, whoever made them, as the mqueue file system shows them: those of the IPC namespace of who mounted it. Names
   * that are no UTF-8 are left out. Throws `ERR_INTERPROC_UNSUPPORTED` where it isn't mounted.
   */
  static list(): MessageQueueListEntry[] {
    return listQueues();
  }

  /** With its leading slash; null for one that came as a descriptor. */
  get name(): string | null {
    return this.#name;
  }

  /** Whether the factory made the queue; false where it was there already. */
  get created(): boolean {
    return this.#created;
  }

  /** Its sizes, and how many messages are in it now. man 3 mq_getattr. Throws `ERR_INTERPROC_CLOSED`. */
  attributes(): MessageQueueAttributes {
    const [maxMessages, messageSize, messages, nonBlocking] = native.mqAttributes(this.descriptor);
    return { maxMessages, messageSize, messages, nonBlocking };
  }

  /**
   * O_NONBLOCK of the open description. It concerns those who share that: a child that was handed `.fd`. The calls of this
   * object wait, or don't, whatever it says. man 3 mq_setattr. Throws `ERR_INTERPROC_CLOSED`.
   */
  get nonBlocking(): boolean {
    return this.attributes().nonBlocking;
  }

  /** As reading it. man 3 mq_setattr. Throws `ERR_INTERPROC_CLOSED`, `ERR_INVALID_ARG_TYPE`. */
  set nonBlocking(nonBlocking: boolean) {
    native.mqSetNonBlocking(this.descriptor, checkNonBlocking({ nonBlocking }) ?? false);
  }

  /** Its owner, its mode and when it was used. man 2 statx. Throws `ERR_INTERPROC_CLOSED`. */
  stat(): MessageQueueStat {
    return toQueueStat(native.mqStat(this.descriptor));
  }

  /** Whether the name still leads to this very queue; false also where its mode lets this process not look. */
  get linked(): boolean {
    const { descriptor } = this;
    return this.#name !== null && native.mqLinkedAt(descriptor, this.#name);
  }

  /** Removes the name of this queue. Throws `ENOENT` where it leads elsewhere by now; `EACCES`, `EPERM`. man 3 mq_unlink */
  unlink(): void {
    if (!this.linked) throw noNameLeadsTo(this.#name ?? '', 'mq_unlink');
    native.mqUnlink(this.#name as string);
  }

  /**
   * Sends a message, unless the queue is full: then returns false. An empty message is one, too. man 3 mq_send.
   *
   * @throws `EMSGSIZE` for one above the queue's message size; `EBADF` where the queue is open for receiving only;
   *   `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
   */
  trySend(data: MessageData, options?: PriorityOptions): boolean {
    this.checkOpen();
    const bytes = messageBytes(data);
    const priority = checkPriority(options);
    const { descriptor } = this; // asked again: the getter of an option may have closed it
    return this.writing.idle && this.#send(descriptor, bytes, priority, 0);
  }

  /**
   * As `trySend`, waiting until there is room. Don't change `data` before it resolves. man 3 mq_timedsend.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `trySend` throws.
   */
  send(data: MessageData, options?: PriorityOptions & WaitOptions): Promise<void> {
    try {
      return this.writing.run('mq_send', options, { step: this.#sendingOf(data, options) });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `send`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  sendSync(data: MessageData, options?: PriorityOptions & SyncWaitOptions): void {
    const step = this.#sendingOf(data, options);
    this.writing.runSync('mq_send', options, { step }, (ns) => this.sleep(writable, ns));
  }

  /**
   * The next message, of those with the highest priority the oldest; null when there is none now. man 3 mq_receive.
   *
   * @throws `EBADF` where the queue is open for sending only; `ERR_INTERPROC_CLOSED`; `ERR_INVALID_ARG_TYPE`,
   *   `ERR_INVALID_ARG_VALUE`.
   */
  tryReceive(options?: ReceiveIntoOptions): PriorityMessage | null {
    this.checkOpen();
    const target = checkTarget(options);
    if (!this.reading.idle) return null;
    const message = this.#take(target, 0);
    return message === again ? null : message;
  }

  /**
   * As `tryReceive`, waiting for a message. man 3 mq_timedreceive.
   *
   * @throws (rejects with) `ETIMEDOUT`; `AbortError`; and as `tryReceive` throws.
   */
  receive(options?: ReceiveIntoOptions & WaitOptions): Promise<PriorityMessage> {
    try {
      const target = checkTarget(options);
      const { reading } = this;
      const atOnce = neverGivesUp(options) && reading.servesAtOnce;
      if (atOnce) {
        const { looks } = reading;
        const message = this.#take(target, looks);
        reading.looked(looks, message !== again);
        if (message !== again) return Promise.resolve(message);
      }
      return reading.run('mq_receive', options, { step: (looks) => this.#take(target, looks) }, atOnce);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `receive`, blocking the calling thread. `ERR_INTERPROC_BUSY` while asynchronous calls wait. */
  receiveSync(options?: ReceiveIntoOptions & SyncWaitOptions): PriorityMessage {
    const target = checkTarget(options);
    const step = (looks: number) => this.#take(target, looks);
    return this.reading.runSync('mq_receive', options, { step }, (ns) => this.sleep(readable, ns));
  }

  /** Messages as they come. Leaving the loop closes nothing; closing the queue ends it. */
  [Symbol.asyncIterator](): AsyncIterableIterator<PriorityMessage> {
    return seriesOf({ next: () => this.receive(), isClosed: () => this.closed });
  }

  /**
   * Word of each message that comes into the empty queue, without taking it: how many are there then, for a process that
   * empties the queue each time. First of all, if some are there already. Several that come while nobody asks for the next
   * word make one. Of a message that a blocked receiver takes at once nobody is told. man 3 mq_notify.
   *
   * A queue has one registration, of one process: the loop rejects with `EBUSY` where somebody has it. Leaving the loop, an
   * abort of `signal` (which rejects with an `AbortError`) and closing the queue give it up.
   */
  notifications(options?: NotificationOptions): AsyncIterableIterator<number> {
    this.checkOpen();
    return this.#notices.series(options);
  }

  /** @internal */
  protected override onEnd(): void {
    this.#notices.close();
  }

  /** @internal */
  protected override onKeep(kept: boolean): void {
    this.#notices.keep(kept);
  }

  #sendingOf(data: MessageData, options: PriorityOptions | undefined) {
    const bytes = messageBytes(data);
    const length = lengthOf(bytes);
    const priority = checkPriority(options);
    return (looks: number): undefined | typeof again => {
      checkLasting(bytes, length, 'data');
      return this.#send(this.descriptor, bytes, priority, looks) ? undefined : again;
    };
  }

  #send(descriptor: NativeDescriptor, bytes: Uint8Array, priority: number, looks: number): boolean {
    try {
      // Each argument that the addon reads costs some nanoseconds.
      const sent =
        priority === 0 && looks === 0
          ? native.mqSend(descriptor, bytes)
          : native.mqSend(descriptor, bytes, priority, looks);
      return sent >= 0;
    } catch (error) {
      throw withHint(error, ({ code }) => (code === 'EMSGSIZE' ? this.#tooLong(lengthOf(bytes)) : undefined));
    }
  }

  #tooLong(length: number): string {
    return `it has ${length} bytes, and the queue takes ${this.#messageSize} (messageSize, when it is created)`;
  }

  #take({ into, size }: Target, looks: number): PriorityMessage | typeof again {
    const { descriptor } = this;
    // The kernel wants room for the longest message. One that doesn't fit comes in memory of its own.
    const direct = into !== undefined && size >= this.#messageSize;
    if (into !== undefined) checkLasting(into, size, 'options.into');
    const memory = direct ? into : scratchOf(this.#messageSize);
    const received =
      looks === 0 ? native.mqReceive(descriptor, memory) : native.mqReceive(descriptor, memory, looks);
    if (received < 0) return again;
    const priority = Math.floor(received / priorityUnit);
    const length = received - priority * priorityUnit;
    if (into === undefined || length > size) return { data: keepScratch(length), priority };
    if (!direct) into.set(memory.subarray(0, length));
    return { data: viewOf(into, length), priority };
  }
}

function opened(setup: QueueSetup, nonBlocking: boolean | undefined): MessageQueue {
  const { descriptor, name, created } = setup;
  try {
    if (nonBlocking !== undefined) native.mqSetNonBlocking(descriptor, nonBlocking);
    return new MessageQueue(construct, setup);
  } catch (error) {
    if (created && name !== null) undo(() => native.mqUnlink(name));
    native.descriptorClose(descriptor);
    throw error;
  }
}

function checkName(name: unknown, syscall: string): string {
  return checkObjectName(name, longestName, syscall);
}
