/** Who may do what with a new object: the options, and their checks. */
import { checkInteger } from './arguments.js';
import type { NativeAccess } from './native.js';

const maxId = 0xffff_fffe; // 0xffffffff means "leave it alone" in chown(2)

/** Who may use a new object. Set exactly as given: the umask plays no part. */
export interface AccessOptions {
  /** Permission bits, 0 to 0o777; 0o600 by default. */
  mode?: number;
  /** The owner; giving away needs privilege (man 2 chown). The creator by default. */
  uid?: number;
  /** The group; the creator's by default. */
  gid?: number;
}

export function checkAccess(options: AccessOptions): NativeAccess {
  const { mode, uid, gid } = options;
  return [
    mode === undefined ? 0o600 : checkMode(mode),
    uid === undefined ? undefined : checkInteger(uid, 'options.uid', 0, maxId),
    gid === undefined ? undefined : checkInteger(gid, 'options.gid', 0, maxId),
  ];
}

export function checkMode(mode: unknown): number {
  return checkInteger(mode, 'options.mode', 0, 0o777);
}
