/**
 * What POSIX shared memory, memfds and mapped files have in common: a descriptor with a size, which can
 * be mapped in windows, resized, sealed and looked at.
 */
import { checkInteger, checkOneOf, checkOptions, invalidType, outOfRange } from '../internal/arguments.js';
import { noNameLeadsTo } from '../internal/factories.js';
import { type NativeFile, native } from '../internal/native.js';
import { reserveHint } from '../internal/space.js';
import { explained } from '../internal/system-error.js';
import { MappedRegion } from './mapped-region.js';
import { constructWindow, MemoryWindow, type WindowOptions } from './memory-window.js';
import { checkFlag, checkSize, type MemoryStat, toMemoryStat } from './options.js';

/**
 * What nobody can do to the object any more, not even its owner. man 2 fcntl, "File Sealing".
 * `future-write` leaves present writable mappings and allows no new ones; `seal` allows no further seals.
 */
export type Seal = 'seal' | 'shrink' | 'grow' | 'write' | 'future-write' | 'exec';

export interface FileMemorySettings {
  /** How errors name the object; '' if it has no name. */
  label: string;
  /** Where its file lies, or '' where it has none. */
  path: string;
  shared: boolean;
  /** Whether it is new: made by this call. */
  created: boolean;
}

// Views are aligned for every typed array.
const windowAlignment = 8;

export abstract class FileMemory<Shared extends boolean = false> extends MappedRegion<Shared> {
  readonly #file: NativeFile;
  readonly #settings: FileMemorySettings;

  /** @internal Takes over `file`. */
  protected constructor(file: NativeFile, settings: FileMemorySettings) {
    const { label, shared } = settings;
    const { size } = native.fileStat(file);
    super(size === 0 ? undefined : native.mapFile(file, 0, size, label), {
      label,
      shared,
      readOnly: native.fileReadOnly(file),
      afterTruncation: 'remap() shows what is left',
    });
    this.#file = file;
    this.#settings = settings;
  }

  /** Whether the factory made the object; false where it was there already. */
  get created(): boolean {
    return this.#settings.created;
  }

  /**
   * The descriptor (close-on-exec), for handing the object to a child through `stdio` or over a socket. It stays
   * this object's: `close()` closes it.
   */
  get fd(): number {
    this.checkOpen();
    return native.fileDescriptor(this.#file);
  }

  /** Whether the name or path still leads to this very object; false for one without a name. */
  get linked(): boolean {
    this.checkOpen();
    return this.#settings.path !== '' && native.fileLinkedAt(this.#file, this.#settings.path);
  }

  /** The seals it carries; none where the file system knows no seals. */
  get seals(): Seal[] {
    this.checkOpen();
    const mask = native.fileSeals(this.#file) ?? 0;
    return (Object.keys(native.seals) as Seal[]).filter((seal) => (mask & sealBit(seal)) !== 0);
  }

  /**
   * Adds seals, for good. Throws `EPERM` where it is sealed against seals, `EBUSY` for `write` while it is mapped
   * for writing, `EINVAL` where it knows no seals.
   */
  seal(seals: readonly Seal[]): void {
    this.checkOpen();
    native.fileAddSeals(this.#file, checkSeals(seals, 'seals'), this.#settings.label);
  }

  /** How the object is now: its size may differ from `.size` when another process has resized it. */
  stat(): MemoryStat {
    this.checkOpen();
    return toMemoryStat(native.fileStat(this.#file));
  }

  /**
   * Maps a window of the object, also beyond what `.buffer` can hold. It lives until its own `close()`.
   * Throws `ERR_OUT_OF_RANGE` outside the object's present size or for an offset that is no multiple of 8,
   * `ENOMEM` when the addresses are used up.
   */
  map(options?: WindowOptions): MemoryWindow<Shared> {
    this.checkOpen();
    const { offset = 0, length } = checkOptions(options);
    const { size } = native.fileStat(this.#file);
    const start = checkInteger(offset, 'options.offset', 0, size);
    if (start % windowAlignment !== 0) {
      throw outOfRange('options.offset', `a multiple of ${windowAlignment}`, offset);
    }
    const left = size - start;
    const checked = length === undefined ? left : checkInteger(length, 'options.length', 0, left);
    const { label, shared } = this.#settings;
    const range = { offset: start, length: checked };
    return new MemoryWindow<Shared>(constructWindow, this.#file, range, {
      label,
      shared,
      readOnly: this.readOnly,
    });
  }

  /**
   * Changes the size of the object, for everybody who has it open; `.buffer` is a new one afterwards and
   * views of the old one read zeros. Windows stay as they are. With `reserve` (the default) new pages are taken
   * now, all or none. man 2 ftruncate, man 2 fallocate.
   *
   * Throws `ENOSPC` or `ENOMEM` with the limit, `EPERM` where seals forbid it, `ERR_INTERPROC_READ_ONLY`,
   * `ERR_INTERPROC_CLOSED`.
   */
  resize(size: number, options?: { reserve?: boolean }): void {
    this.checkOpen();
    const bytes = checkSize(size, 'size');
    const reserve = checkFlag(checkOptions(options), 'reserve', true);
    this.checkWritable();
    const { label, path } = this.#settings;
    // Mapped first: a size that can't be mapped must not become the object's. Beyond its end a mapping is allowed.
    const mapping = native.mapFile(this.#file, 0, bytes, label);
    try {
      explained(() => native.fileResize(this.#file, bytes, reserve, label), reserveHint(path));
    } catch (error) {
      native.mappingClose(mapping);
      throw error;
    }
    this.replaceMapping(mapping);
  }

  /**
   * Maps the object at its present size, after another process has resized or truncated it. `.buffer` is a
   * new one afterwards, views of the old one read zeros.
   */
  remap(): void {
    this.checkOpen();
    const { size } = native.fileStat(this.#file);
    this.replaceMapping(size === 0 ? undefined : native.mapFile(this.#file, 0, size, this.#settings.label));
  }

  /** Returns the name by which it can be unlinked; ENOENT if that leads elsewhere by now, or there is none. */
  protected checkLinked(syscall: string): string {
    const { label } = this.#settings;
    if (this.linked) return label;
    throw noNameLeadsTo(label, syscall);
  }

  protected override release(): void {
    native.fileClose(this.#file);
  }
}

function sealBit(seal: Seal): number {
  return native.seals[seal] as number;
}

/** The mask of a list of seals. */
export function checkSeals(seals: unknown, name: string): number {
  if (!Array.isArray(seals)) throw invalidType(name, 'an instance of Array', seals);
  const known = Object.keys(native.seals) as Seal[];
  return seals.reduce((mask: number, seal) => mask | sealBit(checkOneOf(seal, name, known)), 0);
}
