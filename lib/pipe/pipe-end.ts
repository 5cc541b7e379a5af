/** What both ends of a pipe have in common (man 7 pipe). */
import { checkFd, checkInteger, type HasFd } from '../internal/arguments.js';
import { DescriptorObject } from '../internal/descriptor-object.js';
import { type NativeDescriptor, native } from '../internal/native.js';
import type { Turns } from '../internal/turns.js';
import type { SyncWaitOptions, WaitOptions } from '../internal/waiting.js';
import { type Move, Moving } from './moving.js';

export type { HasFd } from '../internal/arguments.js';

const capacityMax = 0x7fff_ffff;

export function checkCapacity(value: unknown, name: string): number {
  return checkInteger(value, name, 1, capacityMax);
}

export interface PipeEndSetup {
  descriptor: NativeDescriptor;
  packet: boolean;
  /** Of a FIFO; '' for a pipe without a name. */
  path: string;
}

/** What an end asks to be moved. */
type Asked = Pick<Move, 'length' | 'start' | 'tear' | 'into'>;

/** What both ends of a pipe have in common (man 7 pipe). */
export abstract class PipeEnd extends DescriptorObject {
  readonly #packet: boolean;
  readonly #moving = new Set<Moving>();

  /** @internal */
  protected constructor(name: 'reader' | 'writer', { descriptor, packet, path }: PipeEndSetup) {
    super(descriptor, path === '' ? `The ${name} of a pipe` : `The ${name} of the FIFO '${path}'`);
    this.#packet = packet;
  }

  /** Whether each write of at most 4,096 bytes is read as one. */
  get packet(): boolean {
    return this.#packet;
  }

  /** Bytes that the pipe holds: 65,536 at first. man 2 fcntl, F_GETPIPE_SZ. Throws `ERR_INTERPROC_CLOSED`. */
  get capacity(): number {
    return native.pipeCapacity(this.descriptor);
  }

  /**
   * Rounded up to a power of two of pages. man 2 fcntl, F_SETPIPE_SZ.
   *
   * @throws `EPERM` above `/proc/sys/fs/pipe-max-size`, or past the pages that a user may have in pipes; `EBUSY` below what
   *   is in the pipe; `ERR_OUT_OF_RANGE`; `ERR_INTERPROC_CLOSED`.
   */
  set capacity(bytes: number) {
    const capacity = checkCapacity(bytes, 'capacity');
    native.pipeSetCapacity(this.descriptor, capacity);
  }

  /** Bytes that are in the pipe now. man 2 ioctl, FIONREAD. Throws `ERR_INTERPROC_CLOSED`. */
  get bytesAvailable(): number {
    return native.pipeBytes(this.descriptor);
  }

  /** @internal */
  protected override onKeep(kept: boolean): void {
    for (const moving of this.#moving) moving.keep(kept);
  }

  /** @internal Has the kernel move bytes on a thread, when it is this call's turn. */
  protected async move(
    call: string,
    turns: Turns,
    move: Asked,
    options: WaitOptions | undefined,
  ): Promise<number> {
    const moving = new Moving({ ...move, over: () => turns.serve(), kept: this.kept });
    this.#moving.add(moving);
    move.into?.add(moving);
    try {
      return await turns.run(call, options, moving.work);
    } catch (error) {
      throw moving.failed(error);
    } finally {
      this.#moving.delete(moving);
      move.into?.delete(moving);
    }
  }

  /** @internal */
  protected moveSync(call: string, turns: Turns, move: Asked, options: SyncWaitOptions | undefined): number {
    const moving = new Moving({ ...move, kept: false });
    try {
      return turns.runSync(call, options, moving.work, (nanoseconds) => moving.sleep(nanoseconds));
    } catch (error) {
      throw moving.failed(error);
    }
  }

  /** @internal Between this end and another descriptor, which may be a file whose disk has to be waited for. */
  protected splicing(fd: HasFd, length: number): Pick<Move, 'length' | 'start'> {
    const other = checkFd(fd);
    return {
      length: checkInteger(length, 'length', 0),
      start: (id) => native.pipeSpliceStart(id, this.descriptor, other, length),
    };
  }

  /** @internal What can be moved at once; -1 for nothing. */
  protected trySplice(turns: Turns, fd: HasFd, length: number): number {
    const other = checkFd(fd);
    const most = checkInteger(length, 'length', 0);
    const { descriptor } = this;
    return turns.idle ? native.pipeSplice(descriptor, other, most) : -1;
  }
}
