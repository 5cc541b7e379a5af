/** What factories have in common: opening or creating, taking back what was made, and names that are gone. */
import { constants } from 'node:os';
import { IpcError } from '../errors.js';
import { type NativeFile, native } from './native.js';

/** Takes back what a failed call has done; how that goes must not hide why it failed. */
export function undo(takeBack: () => void): void {
  try {
    takeBack();
  } catch {
    // Somebody else was faster.
  }
}

// More often than any race lasts: a dangling symbolic link is missing to `open` and there to `create`, for ever.
const openOrCreateTries = 100;

/** `openOrCreate` without a race: never `O_CREAT` alone, which `fs.protected_regular` may refuse. */
export function openOrCreate<T>(open: () => T, create: () => T): T {
  for (let left = openOrCreateTries; ; left--) {
    try {
      return open();
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    }
    try {
      return create();
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST' || left === 0) throw error;
    }
  }
}

/** `build` takes over `file`; when it throws, `file` is closed. */
export function withFile<T>(file: NativeFile, build: (file: NativeFile) => T): T {
  try {
    return build(file);
  } catch (error) {
    native.fileClose(file);
    throw error;
  }
}

/** ENOENT of an object whose name leads elsewhere by now, or that has none: ''. */
export function noNameLeadsTo(name: string, syscall: string): IpcError {
  const about = name === '' ? '' : ` '${name}'`;
  return new IpcError(
    'ENOENT',
    `ENOENT: no such file or directory, ${syscall}${about}: no name leads to this object`,
    { errno: -constants.errno.ENOENT, syscall, path: name === '' ? undefined : name },
  );
}
