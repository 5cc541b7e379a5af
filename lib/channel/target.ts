/** What a channel is found by: a name in /dev/shm, or a path on any file system. */
import { basename, dirname } from 'node:path';
import { checkInteger, checkObjectName, checkOptions, checkPath, outOfRange } from '../internal/arguments.js';
import { type NativeFile, native } from '../internal/native.js';
import { layout } from './layout.js';

/** `'feed'`, or `{ path: '/mnt/huge/feed' }`. */
export type ChannelTarget =
  | string
  | {
      /** Of the file that it lies in. */
      path: string | URL;
    };

export interface Target {
  /** How errors name it. */
  label: string;
  /** How errors of the system name it: `/interproc.feed`, or the path. */
  object: string;
  /** Where its file lies. */
  path: string;
  /** The name, with its slash; null for a path. */
  name: string | null;
}

/** What names have before them in /dev/shm. */
export const prefix = 'interproc.';
const nameMax = 255; // NAME_MAX

export function checkTarget(target: ChannelTarget, syscall = 'shm_open'): Target {
  if (typeof target === 'object' && target !== null && !Array.isArray(target)) {
    const path = checkPath(target.path);
    return { label: path, object: path, path, name: null };
  }
  const name = checkObjectName(target, nameMax - prefix.length, syscall);
  const object = `/${prefix}${name.slice(1)}`;
  return { label: name, object, path: native.posixShmPath(object), name };
}

/** Follows the file system's rules of the kind of object. Throws `ENOENT`, `EACCES`, `ENODEV`. */
export function openTarget({ name, object }: Target, readOnly: boolean): NativeFile {
  return name === null ? native.mappedFileOpen(object, readOnly) : native.posixShmOpen(object, readOnly);
}

/** With a file: only if the target leads to it, else `ENOENT`. */
export function unlinkTarget({ path, object }: Target, file?: NativeFile): void {
  native.segmentUnlink(path, object, file);
}

export function isThere(target: Target): boolean {
  try {
    native.fileClose(openTarget(target, true));
    return true;
  } catch (error) {
    return (error as { code: string }).code !== 'ENOENT';
  }
}

export function folderOf({ path }: Target): string {
  return dirname(path);
}

export function fileNameOf({ path }: Target): string {
  return basename(path);
}

/** Bytes of the ring, rounded up to a power of two. */
export function checkCapacity(options: { capacity?: unknown }): number {
  const given = checkOptions(options, true);
  const capacity = checkInteger(given.capacity, 'options.capacity');
  const { capacityMin, capacityMax } = layout;
  if (capacity < 1 || capacity > capacityMax) {
    throw outOfRange('options.capacity', `>= 1 && <= ${capacityMax}`, capacity);
  }
  return Math.max(capacityMin, 2 ** Math.ceil(Math.log2(capacity)));
}
