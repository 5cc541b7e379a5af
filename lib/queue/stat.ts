/** What the kernel tells of a POSIX message queue beside its sizes. */
import type { NativeFileStat } from '../internal/native.js';

export interface MessageQueueStat {
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  ino: number;
  /** When a message was last sent or received. */
  mtime: Date;
  ctime: Date;
}

export function toQueueStat({ mode, uid, gid, ino, mtimeMs, ctimeMs }: NativeFileStat): MessageQueueStat {
  return { mode, uid, gid, ino, mtime: new Date(mtimeMs), ctime: new Date(ctimeMs) };
}
