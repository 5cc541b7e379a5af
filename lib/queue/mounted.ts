/** The queues that the mqueue file system shows (man 7 mq_overview), where an administrator has mounted it. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { IpcError } from '../errors.js';
import { checkLoaded } from '../internal/native.js';

/** What `MessageQueue.list()` tells of each queue. */
export interface MessageQueueListEntry {
  /** With the leading slash. */
  name: string;
  /** Bytes that are in it; null where this process may not look. */
  bytes: number | null;
  /** Permission bits. */
  mode: number;
  /** Its owner. */
  uid: number;
  /** Its group. */
  gid: number;
  /** The process that gets word of the next message (mq_notify); null where there is none, or this process may not look. */
  notifyPid: number | null;
}

const permissionBits = 0o777;

/** Throws `ERR_INTERPROC_UNSUPPORTED`. */
export function listQueues(): MessageQueueListEntry[] {
  checkLoaded();
  const folder = mountPoint();
  return readdirSync(folder).flatMap((file) => {
    const path = join(folder, file);
    try {
      const { mode, uid, gid } = statSync(path);
      return [{ name: `/${file}`, ...contentOf(path), mode: mode & permissionBits, uid, gid }];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []; // unlinked a moment ago
      throw error;
    }
  });
}

function contentOf(path: string): { bytes: number | null; notifyPid: number | null } {
  try {
    const text = readFileSync(path, 'utf8');
    const field = (name: string) => Number(new RegExp(`\\b${name}:(\\d+)`).exec(text)?.[1] ?? 0);
    return { bytes: field('QSIZE'), notifyPid: field('NOTIFY_PID') || null };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    return { bytes: null, notifyPid: null };
  }
}

function mountPoint(): string {
  // man 5 proc: device, mount point, type and more, with spaces as \040
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const mounted = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'mqueue')?.[1];
  if (mounted === undefined) {
    throw new IpcError(
      'ERR_INTERPROC_UNSUPPORTED',
      'Message queues can be listed only where their file system is mounted, and it is not: ' +
        '`mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue`, as root, or `--ipc=host` and such in containers',
    );
  }
  return mounted.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}
