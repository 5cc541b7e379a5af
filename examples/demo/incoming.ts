/**
 * The file as it arrives in the child. The same rule for all transports: each byte is read once, where the
 * transport put it, and the child then has no more use for it. That is what a consumer of a stream
 * does, and nobody is charged for copies that only some would have to make.
 */
import { type Algorithm, type Digest, startDigest } from './digest.js';

export class Incoming {
  readonly #bytes: number;
  readonly #digest: Digest;
  #received = 0;

  constructor(bytes: number, algorithm: Algorithm) {
    this.#bytes = bytes;
    this.#digest = startDigest(algorithm);
  }

  /** Whether all has arrived. */
  get complete(): boolean {
    return this.#received === this.#bytes;
  }

  /** Reads the next bytes of the file; afterwards their memory may be used again. */
  consume(bytes: Uint8Array): void {
    this.#digest.update(bytes);
    this.#received += bytes.length;
  }

  digest(): string {
    return this.#digest.result();
  }
}
