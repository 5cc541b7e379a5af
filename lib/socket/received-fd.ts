/** A descriptor that came over a socket. */
import { IpcError } from '../errors.js';
import { checkConstruct, construct } from '../internal/descriptor-object.js';
import { type NativeDescriptor, native } from '../internal/native.js';

/**
 * It is closed with its message, by `close()` or when it is collected, unless somebody takes it: with `detach()`, or by
 * making something of its `fd` that duplicates it, as `SharedMemory.fromFd`, `PipeReader.fromFd` and all `fromFd` here do.
 */
export class ReceivedFd {
  readonly #descriptor: NativeDescriptor;
  #closed = false;

  /** @internal */
  constructor(key: symbol, descriptor: NativeDescriptor) {
    checkConstruct(key, 'ReceivedFd');
    this.#descriptor = descriptor;
  }

  /** Close-on-exec. Throws `ERR_INTERPROC_CLOSED`. */
  get fd(): number {
    this.#checkOpen();
    return native.descriptorFd(this.#descriptor);
  }

  /** Whether it was closed, or somebody has taken it. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The descriptor is the caller's now, to use and to close. Throws `ERR_INTERPROC_CLOSED`. */
  detach(): number {
    this.#checkOpen();
    this.#closed = true;
    return native.descriptorDetach(this.#descriptor);
  }

  /** Closes it, unless somebody has taken it. Again does nothing. */
  close(): void {
    this.#closed = true;
    native.descriptorClose(this.#descriptor);
  }

  /** As `close()`: `using` calls it. */
  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new IpcError('ERR_INTERPROC_CLOSED', 'The received descriptor is closed');
  }
}

export function receivedFd(descriptor: NativeDescriptor): ReceivedFd {
  return new ReceivedFd(construct, descriptor);
}
