/**
 * Files mapped into memory (man 2 mmap): reading and writing a file is reading and writing memory, and
 * all who map it share one copy. A file appears complete (owner, mode, size) or not at all.
 */
import { checkPath, illegalConstructor } from '../internal/arguments.js';
import { openOrCreate, undo, withFile } from '../internal/factories.js';
import { type NativeFile, native } from '../internal/native.js';
import { reserveHint } from '../internal/space.js';
import { explained } from '../internal/system-error.js';
import { FileMemory, type FileMemorySettings } from './file-memory.js';
import {
  type CreateOptions,
  checkCreate,
  checkOpen,
  type MemoryStat,
  type OpenOptions,
  toMemoryStat,
} from './options.js';

const construct = Symbol('construct');

/**
 * A file mapped into memory (man 2 mmap): who stores into its `.buffer` has written the file, for all who map or read
 * it. docs/memory.md
 */
export class MappedFile<Shared extends boolean = false> extends FileMemory<Shared> {
  readonly #path: string;

  /** @internal Use the factories. */
  constructor(key: symbol, file: NativeFile, settings: FileMemorySettings) {
    if (key !== construct) throw illegalConstructor('MappedFile');
    super(file, settings);
    this.#path = settings.path;
  }

  /**
   * Makes a new file of `size` bytes, all zero, and maps it. man 2 open, man 2 fallocate.
   *
   * @throws `EEXIST`; `ENOENT` where the folder is missing; `ENOSPC` with the file system's size; `EROFS`; `EACCES`;
   *   `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`.
   */
  static create<Shared extends boolean = false>(
    path: string | URL,
    options: CreateOptions<Shared>,
  ): MappedFile<Shared> {
    const checked = checkPath(path);
    const { size, reserve, shared, access } = checkCreate(options);
    const file = explained(
      () => native.mappedFileCreate(checked, size, reserve, ...access),
      reserveHint(checked),
    );
    try {
      return mapped(file, checked, shared, true);
    } catch (error) {
      undo(() => native.mappedFileUnlink(checked));
      throw error;
    }
  }

  /**
   * Maps an existing file at its present size. Throws `ENOENT`, `EACCES`, `ENODEV` (a folder: `EISDIR`) for what is no
   * regular file.
   */
  static open<Shared extends boolean = false>(
    path: string | URL,
    options?: OpenOptions<Shared>,
  ): MappedFile<Shared> {
    const checked = checkPath(path);
    const { readOnly, shared } = checkOpen(options);
    return mapped(native.mappedFileOpen(checked, readOnly), checked, shared, false);
  }

  /**
   * Maps the file, or makes it where there is none: `.created` tells which. The size, mode and owner of one
   * that exists are left as they are. Throws as `open` and `create` do.
   */
  static openOrCreate<Shared extends boolean = false>(
    path: string | URL,
    options: CreateOptions<Shared>,
  ): MappedFile<Shared> {
    const { shared } = checkCreate(options);
    return openOrCreate(
      () => MappedFile.open<Shared>(path, { sharedArrayBuffer: shared }),
      () => MappedFile.create(path, options),
    );
  }

  /** Removes the file's name; who has it mapped keeps it. man 2 unlink. Throws `ENOENT`, `EACCES`. */
  static unlink(path: string | URL): void {
    native.mappedFileUnlink(checkPath(path));
  }

  /** How the file is now, without opening it; a symbolic link is not followed. Throws `ENOENT`. */
  static stat(path: string | URL): MemoryStat {
    return toMemoryStat(native.mappedFileStat(checkPath(path)));
  }

  /** Absolute. */
  get path(): string {
    return this.#path;
  }

  /** Removes the name of this file; who has it mapped keeps it. Throws `ENOENT` where the path leads elsewhere by now. */
  unlink(): void {
    native.mappedFileUnlink(this.checkLinked('unlink'));
  }

  protected override describe(): object {
    return { path: this.#path, ...super.describe() };
  }
}

function mapped<Shared extends boolean>(file: NativeFile, path: string, shared: Shared, created: boolean) {
  return withFile(
    file,
    () => new MappedFile<Shared>(construct, file, { label: path, path, shared, created }),
  );
}
