/** Options of POSIX message queues, and their checks. */
import { readFileSync } from 'node:fs';
import { type AccessOptions, checkAccess } from '../internal/access.js';
import { checkBoolean, checkInteger, checkOptions, invalidValue } from '../internal/arguments.js';
import type { NativeAccess } from '../internal/native.js';
import type { NativeMqUse } from '../internal/native-queues.js';

/** How a queue that exists is opened. */
export interface MessageQueueOpenOptions {
  /** Open for receiving only. */
  readOnly?: boolean;
  /** Open for sending only. */
  writeOnly?: boolean;
  /** O_NONBLOCK for those who share the descriptor: see `nonBlocking`. False by default. */
  nonBlocking?: boolean;
}

/** How a queue is made; of its `mode`, `uid` and `gid`: `AccessOptions`. */
export interface MessageQueueCreateOptions extends MessageQueueOpenOptions, AccessOptions {
  /** How many messages it holds; 10 by default, or sysctl fs.mqueue.msg_max where that is less. */
  maxMessages?: number;
  /** Bytes that a message has at most; 8,192 by default, or sysctl fs.mqueue.msgsize_max where that is less. */
  messageSize?: number;
}

/** How urgent a message is. */
export interface PriorityOptions {
  /** 0, the default, to 32,767: the highest comes first. */
  priority?: number;
}

const priorityMax = 32_767; // MQ_PRIO_MAX - 1
const stockMessages = 10;
const stockMessageSize = 8192;

export function checkPriority(options: PriorityOptions | undefined): number {
  const priority = options === undefined ? undefined : checkOptions(options).priority;
  return priority === undefined ? 0 : checkInteger(priority, 'options.priority', 0, priorityMax);
}

export function checkUse(options: MessageQueueOpenOptions | undefined): NativeMqUse {
  const given = checkOptions(options);
  const readOnly = checkBoolean(given.readOnly, 'options.readOnly', false);
  const writeOnly = checkBoolean(given.writeOnly, 'options.writeOnly', false);
  if (readOnly && writeOnly) {
    throw invalidValue('options.writeOnly', 'must not be true together with readOnly', writeOnly);
  }
  return readOnly ? 1 : writeOnly ? 2 : 0;
}

/** Undefined: as it is. */
export function checkNonBlocking(options: MessageQueueOpenOptions | undefined): boolean | undefined {
  const { nonBlocking } = checkOptions(options);
  return nonBlocking === undefined ? undefined : checkBoolean(nonBlocking, 'options.nonBlocking', false);
}

interface Sizes {
  maxMessages: number;
  messageSize: number;
  access: NativeAccess;
}

export function checkSizes(options: MessageQueueCreateOptions | undefined): Sizes {
  const given = checkOptions(options);
  const access = checkAccess(given);
  const maxMessages =
    given.maxMessages === undefined
      ? Math.min(stockMessages, setting('msg_max') ?? stockMessages)
      : checkInteger(given.maxMessages, 'options.maxMessages', 1);
  const messageSize =
    given.messageSize === undefined
      ? Math.min(stockMessageSize, setting('msgsize_max') ?? stockMessageSize)
      : checkInteger(given.messageSize, 'options.messageSize', 1);
  return { maxMessages, messageSize, access };
}

/** Of /proc/sys/fs/mqueue; undefined where that can't be read. */
function setting(name: string): number | undefined {
  try {
    const value = Number(readFileSync(`/proc/sys/fs/mqueue/${name}`, 'utf8'));
    return Number.isInteger(value) && value > 0 ? value : undefined;
  } catch {
    return undefined;
  }
}
