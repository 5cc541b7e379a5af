/** The file that is moved, as the parent reads it: from its start to its end, once for each run. */
import { constants } from 'node:buffer';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { DemoError } from './demo-error.js';
import { type Algorithm, startDigest } from './digest.js';
import { inMegabytes } from './units.js';

export class SourceFile {
  readonly path: string;
  readonly bytes: number;
  readonly #handle: FileHandle;
  #position = 0;

  private constructor(path: string, bytes: number, handle: FileHandle) {
    this.path = path;
    this.bytes = bytes;
    this.#handle = handle;
  }

  /** Throws a DemoError, or a system error with its path, for what can't be moved. */
  static async open(path: string): Promise<SourceFile> {
    // Before opening: to open a FIFO would wait for its writer.
    const stats = await stat(path);
    if (!stats.isFile()) throw new DemoError(`'${path}' is not a regular file`);
    if (stats.size === 0) throw new DemoError(`'${path}' is empty: there is nothing to move`);
    checkFits(path, stats.size);
    return new SourceFile(path, stats.size, await open(path));
  }

  /** Bytes read since the start. */
  get position(): number {
    return this.#position;
  }

  /** Whether all of it has been read. */
  get ended(): boolean {
    return this.#position === this.bytes;
  }

  rewind(): void {
    this.#position = 0;
  }

  /** Reads the next bytes, at most as many as fit, and returns their number. */
  async read(into: Uint8Array): Promise<number> {
    const length = Math.min(into.byteLength, this.bytes - this.#position);
    const { bytesRead } = await this.#handle.read(into, 0, length, this.#position);
    if (bytesRead === 0 && length > 0) throw new DemoError(`'${this.path}' became shorter while it was read`);
    this.#position += bytesRead;
    return bytesRead;
  }

  /** Reads all of it from its start. */
  async digest(algorithm: Algorithm): Promise<string> {
    const digest = startDigest(algorithm);
    const chunk = Buffer.allocUnsafe(1 << 20);
    for (this.rewind(); !this.ended; ) digest.update(chunk.subarray(0, await this.read(chunk)));
    return digest.result();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** One of the transports holds all of the file, in one buffer. */
function checkFits(path: string, bytes: number): void {
  const most = Math.min(constants.MAX_LENGTH, process.availableMemory());
  if (bytes < most) return;
  throw new DemoError(
    `'${path}' has ${inMegabytes(bytes)} MB: this demo holds all of it in memory, and here that is less than ` +
      `${inMegabytes(most)} MB`,
  );
}
