/** What one can tell the kernel about how memory will be used: man 2 madvise, names without MADV_. */
import { checkOneOf } from '../internal/arguments.js';
import { native } from '../internal/native.js';

/**
 * - `normal`, `random`, `sequential`, `willneed`: how reading ahead shall go.
 * - `dontneed`: this process won't need the pages soon; their content stays with the object.
 * - `remove`: gives back the pages and their content: they read zero from then on, for everybody.
 * - `cold`, `pageout`: first, or now, to go when memory is short. Linux 5.4.
 * - `populate_read`, `populate_write`: make all pages present now. Linux 5.14.
 * - `hugepage`, `nohugepage`, `collapse`: huge pages where the file system allows them (mount option `huge=` of
 *   `/dev/shm`; for anonymous memory `/sys/kernel/mm/transparent_hugepage/shmem_enabled`). Pages taken already
 *   stay small: use `reserve: false`, or `collapse`, which does it now and here, Linux 6.1.
 * - `dontfork`, `dofork`, `dontdump`, `dodump`: not in children, not in core dumps.
 */
export type Advice =
  | 'normal'
  | 'random'
  | 'sequential'
  | 'willneed'
  | 'dontneed'
  | 'remove'
  | 'dontfork'
  | 'dofork'
  | 'dontdump'
  | 'dodump'
  | 'hugepage'
  | 'nohugepage'
  | 'collapse'
  | 'cold'
  | 'pageout'
  | 'populate_read'
  | 'populate_write';

/** Those that change the object or need write access. */
export const writingAdvices: ReadonlySet<Advice> = new Set(['remove', 'populate_write']);

export function checkAdvice(value: unknown): Advice {
  return checkOneOf(value, 'advice', Object.keys(native.advices) as Advice[]);
}
