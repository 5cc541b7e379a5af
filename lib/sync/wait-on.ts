/**
 * Sleeping until another process changes a word of shared memory, and waking those who sleep (man 2 futex): what
 * `Atomics.wait` and `Atomics.notify` are for threads, between processes.
 *
 * Change the word, then wake: what ends a wait is that the word is not what was expected. As with every futex a
 * wait may also end for nothing: look at the word, and wait again.
 */
import { constants } from 'node:os';
import { IpcError } from '../errors.js';
import { checkInteger, invalidType, outOfRange } from '../internal/arguments.js';
import { type NativeMapping, native } from '../internal/native.js';
import { isWatchable, mappingOf, type WatchableRegion, watch } from '../internal/region.js';
import { type SyncWaitOptions, type WaitOptions, wait, waitSync } from '../internal/waiting.js';
import { addWordWait, cancelWordWait, everybody } from '../internal/word-waits.js';
import type { MappedRegion } from '../memory/mapped-region.js';

export type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';

const wordBytes = 4;
const nsPerMs = 1e6;

/**
 * Waits, without blocking the event loop or a pool thread, until the 32-bit word at `offset` is not `expected`, or
 * somebody wakes its sleepers. Resolves at once if the word differs already.
 *
 * @param memory Any shared memory, mapped file, System V segment or window; also one opened read-only.
 * @param offset Bytes from its start, a multiple of 4.
 * @param expected The value seen before: an int32 or uint32.
 * Not noticed by a wait that is asleep: that another process truncates the word away.
 *
 * @throws (rejects with) `ETIMEDOUT`; `AbortError`; `ERR_INTERPROC_CLOSED`, also when it is closed meanwhile;
 *   `ERR_INTERPROC_TRUNCATED`; `ENOSYS` past 500 waits on a kernel without futex_waitv (before Linux 5.16);
 *   `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
 */
export function waitOn(
  memory: MappedRegion<boolean>,
  offset: number,
  expected: number,
  options?: WaitOptions,
): Promise<void> {
  return wait<void>('futex', options, (settle) => {
    const region = checkRegion(memory);
    checkExpected(expected);
    let mapping: NativeMapping | undefined;
    let id = 0;
    let lateToGiveUp = false;
    const start = () => {
      mapping = checkWord(region, offset);
      const added = addWordWait(mapping, offset, expected, over);
      if (added === undefined) over();
      else id = added;
    };
    const orReject = (step: () => void) => {
      try {
        step();
      } catch (error) {
        unwatch();
        settle.reject(error);
      }
    };
    const over = () =>
      orReject(() => {
        // Closed, truncated, made smaller meanwhile? Or was it the old mapping's end that ended the wait?
        if (checkWord(region, offset) !== mapping && !lateToGiveUp) return start();
        unwatch();
        settle.resolve();
      });
    // Where it can't be cancelled it is over already, and `over` about to be called.
    const unwatch = region[watch](() => (cancelWordWait(id) ? () => orReject(start) : undefined));
    orReject(start);
    return () => {
      if (cancelWordWait(id)) {
        unwatch();
        return true;
      }
      lateToGiveUp = true;
      return false;
    };
  });
}

/**
 * As `waitOn`, blocking the calling thread; it ends when its worker is terminated or the process exits.
 * Throws as `waitOn` rejects.
 */
export function waitOnSync(
  memory: MappedRegion<boolean>,
  offset: number,
  expected: number,
  options?: SyncWaitOptions,
): void {
  const region = checkRegion(memory);
  checkExpected(expected);
  const mapping = checkWord(region, offset);
  waitSync('futex', options, (ms) => {
    // 0 would be for ever.
    const errno = native.futexSleep(mapping, offset, expected, Math.max(1, Math.round(ms * nsPerMs)));
    if (errno === constants.errno.ETIMEDOUT || errno === constants.errno.EINTR) return undefined;
    region[mappingOf]();
    if (errno === 0 || errno === constants.errno.EAGAIN) return true;
    throw new IpcError('EFAULT', 'EFAULT: bad address in system call argument, futex', {
      errno: -errno,
      syscall: 'futex',
    });
  });
}

/**
 * Wakes sleepers on the 32-bit word at `offset`, in any process: at most `count`, all by default. Change the word
 * before.
 *
 * @returns How many were asleep and are woken.
 * @throws `ERR_INTERPROC_CLOSED`, `ERR_INTERPROC_TRUNCATED`, `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`.
 */
export function wake(
  memory: MappedRegion<boolean>,
  offset: number,
  count: number = Number.POSITIVE_INFINITY,
): number {
  const region = checkRegion(memory);
  const mapping = checkWord(region, offset);
  const most = count === Number.POSITIVE_INFINITY ? everybody : checkInteger(count, 'count', 0, everybody);
  try {
    return native.futexWake(mapping, offset, most);
  } catch (error) {
    region[mappingOf](); // the call may have found that the object was truncated
    throw error;
  }
}

function checkRegion(memory: unknown): WatchableRegion {
  if (!isWatchable(memory))
    throw invalidType('memory', 'shared memory, a mapped file or a window of one', memory);
  return memory;
}

function checkWord(region: WatchableRegion, offset: unknown): NativeMapping {
  const mapping = region[mappingOf]();
  const length = mapping === undefined ? 0 : native.mappingLength(mapping);
  const start = checkInteger(offset, 'offset', 0);
  if (mapping === undefined || start + wordBytes > length) {
    throw outOfRange(
      'offset',
      `at least ${wordBytes} bytes before the end of the memory, at ${length}`,
      offset,
    );
  }
  if (start % wordBytes !== 0) throw outOfRange('offset', `a multiple of ${wordBytes}`, offset);
  return mapping;
}

function checkExpected(expected: unknown): void {
  checkInteger(expected, 'expected', -0x8000_0000, 0xffff_ffff);
}
