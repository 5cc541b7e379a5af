/** Messages of System V queues: which ones a receive asks for, and how one is taken (man 2 msgrcv). */
import type { Buffer } from 'node:buffer';
import { checkBoolean, checkInteger, checkOptions, outOfRange } from '../internal/arguments.js';
import type { Blocking } from '../internal/blocking-lines.js';
import { checkLasting, lengthOf } from '../internal/bytes.js';
import { native } from '../internal/native.js';
import {
  checkTarget,
  keepScratch,
  type ReceiveIntoOptions,
  readSize,
  scratchOf,
  type Target,
  viewOf,
} from '../internal/read-memory.js';
import { again } from '../internal/turns.js';

/** `Type` is bigint where that was asked for. */
export interface SysvMessage<Type extends number | bigint = number> {
  /** As its sender gave it; a number tells those above 2 ** 53 only roughly. */
  type: Type;
  /** The bytes. */
  data: Buffer;
}

/** How the type of a message is told. */
export interface SysvTypeOptions<Big extends boolean = boolean> {
  /** The type is given as a bigint: exact for all 64 bits. False by default. */
  bigint?: Big;
}

/** Which message a receive takes, and how much of it (man 2 msgrcv). */
export interface SysvReceiveOptions<Big extends boolean = boolean>
  extends ReceiveIntoOptions,
    SysvTypeOptions<Big> {
  /** 0, the default: the oldest message. Above 0: the oldest of that type. Below: of the lowest type up to `-type`. */
  type?: number | bigint;
  /** The oldest of any type but `type` (MSG_EXCEPT). False by default. */
  except?: boolean;
  /** Takes at most so many bytes: a longer message is `E2BIG` and stays. By default messages come whole. */
  size?: number;
  /** What is longer than `size`, or than `into`, is cut, and the rest is lost (MSG_NOERROR). False by default. */
  truncate?: boolean;
}

export interface Wanted {
  type: number | bigint;
  /** Bits of `flag`. */
  flags: number;
  target: Target;
  /** At most so many bytes. */
  most: number;
  big: boolean;
}

const typeBytes = 8;
const maxType = 0x7fff_ffff_ffff_ffffn;
const maxSize = 0x7fff_ffff;
/** What stock kernels allow (kernel.msgmax). */
const usualSize = 8192;
/** As native/node/sysv_mq.cc knows them. */
const flag = { except: 1, truncate: 2, copy: 4 } as const;
const anything: Wanted = {
  type: 0,
  flags: 0,
  target: checkTarget(undefined),
  most: maxSize,
  big: false,
};

/** Of one that is sent. */
export function checkType(type: unknown): number | bigint {
  return checkTypeFrom(type, 'type', 1n);
}

function checkTypeFrom(type: unknown, name: string, least: bigint): number | bigint {
  if (typeof type !== 'bigint') {
    return checkInteger(type, name, least < 0n ? undefined : Number(least));
  }
  if (type < least || type > maxType) throw outOfRange(name, `>= ${least} && <= ${maxType}`, type);
  return type;
}

export function checkWanted(options: SysvReceiveOptions | undefined): Wanted {
  if (options === undefined) return anything;
  const given = checkOptions(options);
  const type = given.type === undefined ? 0 : checkTypeFrom(given.type, 'options.type', -maxType);
  const except = checkBoolean(given.except, 'options.except', false);
  const truncate = checkBoolean(given.truncate, 'options.truncate', false);
  const size = given.size === undefined ? maxSize : checkInteger(given.size, 'options.size', 0, maxSize);
  const target = checkTarget(given.into === undefined ? undefined : { into: given.into });
  if (except && type <= 0) throw outOfRange('options.type', '> 0 where except is true', type);
  return {
    type,
    flags: (except ? flag.except : 0) | (truncate ? flag.truncate : 0),
    target,
    most: truncate && target.into !== undefined ? Math.min(size, target.size) : size,
    big: checkBoolean(given.bigint, 'options.bigint', false),
  };
}

/** Bytes of a message, as long as there are no longer ones. */
let expected = usualSize;

/** Which line it stands in. */
export function lineOf({ type, flags }: Wanted): string {
  return `${type} ${flags & flag.except}`;
}

/** A receive of the queue with that id. */
export function receiving(id: number, wanted: Wanted): Blocking<Buffer, SysvMessage<any>> {
  const { type, flags, target, most, big } = wanted;
  return {
    call: 'msgrcv',
    now: (looks, nanoseconds) => receiveNow(id, wanted, looks, nanoseconds),
    start: (call) => native.sysvMqReceiveStart(call, id, type, flags, most),
    made: (raw) => {
      const { into, size } = target;
      const length = raw.length - typeBytes;
      // It is taken: where `into` was moved away meanwhile, it comes in memory of its own.
      const fits = into !== undefined && length <= Math.min(size, lengthOf(into));
      const data = raw.subarray(typeBytes);
      return { type: typeOf(raw, big), data: fits ? placed(into, data) : data };
    },
  };
}

/** A copy of the message at that place, or null. */
export function peeked(id: number, index: number, big: boolean): SysvMessage<any> | null {
  const copying: Wanted = { ...anything, type: index, flags: flag.copy, big };
  const message = receiveNow(id, copying, 0, 0);
  return message === again ? null : message;
}

/** Within so long, or now (0), also at so many further looks. */
export function receiveNow(
  id: number,
  { type, flags, target, most, big }: Wanted,
  looks: number,
  nanoseconds: number,
): SysvMessage<any> | typeof again {
  const { into, size } = target;
  if (into !== undefined) checkLasting(into, size, 'options.into');
  for (let room = Math.min(most, expected); ; room = Math.min(most, 2 * room)) {
    const raw = scratchOf(typeBytes + room);
    // What is longer than expected is not to be cut for that.
    const now = room < most ? flags & ~flag.truncate : flags;
    try {
      // Each argument that the addon reads costs some nanoseconds.
      const length =
        looks === 0 && nanoseconds === 0
          ? native.sysvMqReceive(id, type, now, raw, room, into)
          : native.sysvMqReceive(id, type, now, raw, room, into, looks, nanoseconds);
      if (length < 0) return again;
      const given = typeOf(raw, big);
      const fits = into !== undefined && length <= size;
      const data = fits ? viewOf(into, length) : keepScratch(length, typeBytes);
      return { type: given, data };
    } catch (error) {
      if (room === most || (error as { code?: string }).code !== 'E2BIG') throw error;
      if (room < readSize / 2) expected = 2 * room;
    }
  }
}

function placed(into: Uint8Array, data: Buffer): Buffer {
  into.set(data);
  return viewOf(into, data.length);
}

function typeOf(raw: Buffer, big: boolean): number | bigint {
  return big ? raw.readBigInt64LE(0) : raw.readInt32LE(4) * 2 ** 32 + raw.readUInt32LE(0);
}
