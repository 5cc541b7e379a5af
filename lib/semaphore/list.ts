/** The named POSIX semaphores of this machine, or container. */
import { native } from '../internal/native.js';

/** What `Semaphore.list()` tells of each named semaphore. */
export interface SemaphoreListEntry {
  /** With the leading slash. */
  name: string;
  /** Permits that are there now; null where this process may not look, or the file is no semaphore. */
  value: number | null;
  /** Permission bits. */
  mode: number;
  /** Its owner. */
  uid: number;
  /** Its group. */
  gid: number;
}

export function listSemaphores(): SemaphoreListEntry[] {
  return native.posixSemList().flatMap((component) => {
    const name = `/${component}`;
    try {
      const { mode, uid, gid } = native.posixSemStat(name);
      return [{ name, value: valueOf(name), mode, uid, gid }];
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return []; // unlinked a moment ago
      throw error;
    }
  });
}

function valueOf(name: string): number | null {
  try {
    return native.posixSemValue(name);
  } catch (error) {
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EINVAL') return null;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
