/** What the kernel tells of a POSIX message queue beside its sizes. */
import type { NativeFileStat } from '../internal/native.js';

/** What `queue.stat()` tells (man 2 statx). */
export interface MessageQueueStat {
  /** Permission bits. */
  mode: number;
  /** Its owner. */
  uid: number;
  /** Its group. */
  gid: number;
  /** The number of its inode. */
  ino: number;
  /** When a message was last sent or received. */
  mtime: Date;
  /** When its owner or mode last changed, or a message was sent or received. */
  ctime: Date;
}

export function toQueueStat({ mode, uid, gid, ino, mtimeMs, ctimeMs }: NativeFileStat): MessageQueueStat {
  return { mode, uid, gid, ino, mtime: new Date(mtimeMs), ctime: new Date(ctimeMs) };
}
