/** Keys of System V objects (man 3 ftok). */
import { checkInteger, checkPath } from '../internal/arguments.js';
import { native } from '../internal/native.js';

export type { Key } from '../internal/keys.js';

/**
 * The key that C, Python and all others get for the same file and number: from the file's inode and device and
 * the low 8 bits of `projectId`. Different files can give the same key. Throws `ENOENT`, `EACCES`.
 */
export function ftok(path: string | URL, projectId: number): number {
  return native.ftok(checkPath(path), checkInteger(projectId, 'projectId', -0x8000_0000, 0xffff_ffff) | 0);
}
