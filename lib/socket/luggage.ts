/**
 * Descriptors that are to go with a message. Where that has to wait they are duplicated: the caller may have closed his
 * before it goes, and their numbers may be others' by then.
 */
import { type NativeDescriptor, native } from '../internal/native.js';

export class Luggage {
  #fds: readonly number[] | undefined;
  #held: NativeDescriptor[] = [];

  constructor(fds: readonly number[] | undefined) {
    this.#fds = fds;
  }

  get fds(): readonly number[] | undefined {
    return this.#fds;
  }

  get held(): boolean {
    return this.#held.length > 0;
  }

  /** Throws `EBADF`, `EMFILE`. */
  hold(): void {
    if (this.#fds === undefined || this.#held.length > 0) return;
    try {
      for (const fd of this.#fds) this.#held.push(native.descriptorDuplicate(fd));
    } catch (error) {
      this.release();
      throw error;
    }
    this.#fds = this.#held.map((each) => native.descriptorFd(each));
  }

  release(): void {
    for (const each of this.#held.splice(0)) native.descriptorClose(each);
  }
}
