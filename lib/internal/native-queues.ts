/** Message queues, as the addon has them (native/node/posix_mq.cc, sysv_mq.cc). */
import type {
  NativeAccess,
  NativeDescriptor,
  NativeFileStat,
  NativeSysvChange,
  NativeSysvFacts,
} from './native.js';

export interface NativeSysvMqStat extends NativeSysvFacts {
  messages: number;
  bytes: number;
  maxBytes: number;
  lastSendPid: number;
  lastReceivePid: number;
  sentAtMs: number;
  receivedAtMs: number;
  changedAtMs: number;
}

/** 0: both; 1: receiving; 2: sending. */
export type NativeMqUse = 0 | 1 | 2;

export interface NativeQueues {
  mqCreate(
    name: string,
    use: NativeMqUse,
    maxMessages: number,
    messageSize: number,
    ...access: NativeAccess
  ): NativeDescriptor;
  mqOpen(name: string, use: NativeMqUse): NativeDescriptor;
  mqFromFd(fd: number): NativeDescriptor;
  mqUnlink(name: string): void;
  mqLinkedAt(queue: NativeDescriptor, name: string): boolean;
  mqStat(queue: NativeDescriptor): NativeFileStat;
  mqAttributes(
    queue: NativeDescriptor,
  ): [maxMessages: number, messageSize: number, messages: number, nonBlocking: boolean];
  mqSetNonBlocking(queue: NativeDescriptor, nonBlocking: boolean): void;
  /** -1 where it is full, also at so many further looks. */
  mqSend(queue: NativeDescriptor, data: Uint8Array, priority?: number, looks?: number): number;
  /** The length + the priority * 2 ** 25; -1 where it is empty. */
  mqReceive(queue: NativeDescriptor, into: Uint8Array, looks?: number): number;
  mqNoticeOpen(): NativeDescriptor;
  mqNoticeAsk(queue: NativeDescriptor, socket: NativeDescriptor): void;
  /** 0: none; 1: a message has arrived; 2: the registration was removed. */
  mqNoticeTake(socket: NativeDescriptor): 0 | 1 | 2;
  mqNoticeWithdraw(queue: NativeDescriptor, socket: NativeDescriptor): void;

  sysvMqGet(key: number, create: boolean, mode: number): number;
  sysvMqStat(id: number): NativeSysvMqStat;
  sysvMqSet(id: number, ...change: [...NativeSysvChange, maxBytes: number | undefined]): void;
  sysvMqRemove(id: number): void;
  sysvMqList(): NativeSysvMqStat[];
  /** -1 where there is no room, also at so many further looks, and within so long. */
  sysvMqSend(
    id: number,
    type: number | bigint,
    data: Uint8Array,
    looks?: number,
    nanoseconds?: number,
  ): number;
  /**
   * Bytes, or -1. `flags`: 1 except, 2 truncate, 4 copy (`type` is a place then). `raw` gets the type, of 8 bytes, and
   * behind that the message, at most `size` bytes; `into` the message, where it fits.
   */
  sysvMqReceive(
    id: number,
    type: number | bigint,
    flags: number,
    raw: Uint8Array,
    size: number,
    into: Uint8Array | undefined,
    looks?: number,
    nanoseconds?: number,
  ): number;
  /** Gives the length. */
  sysvMqSendStart(call: number, id: number, type: number | bigint, data: Uint8Array): void;
  /** Gives the type, of 8 bytes, and behind that the message, at most `size` bytes. */
  sysvMqReceiveStart(call: number, id: number, type: number | bigint, flags: number, size: number): void;
}
