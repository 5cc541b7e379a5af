/** Requests in the order in which they came. Any of them leaves in the same short time: a hundred thousand may wait. */
import type { PeerState } from './wait-line.js';

export abstract class Request {
  /** @internal The line that it stands in, and its neighbours there. */
  line: RequestLine | undefined;
  /** @internal */
  before: Request | undefined;
  /** @internal */
  behind: Request | undefined;

  /**
   * Serves it if that can be done now. With `peer` it is the last look before sleeping, and the state of the peer may
   * decide. Returns whether it is settled. Code of the user's runs in an attempt only when that settles.
   */
  abstract attempt(peer?: PeerState): boolean;
  /** Whether the last attempt stopped short of what could be done, to let the event loop have its turn. */
  abstract readonly yields: boolean;
  /** Settles it in an error. */
  abstract fail(error: unknown): void;
}

export class RequestLine {
  #first: Request | undefined;
  #last: Request | undefined;
  /** Told when the first one comes and when the last one goes. */
  onQueued: (queued: boolean) => void = () => {};

  get first(): Request | undefined {
    return this.#first;
  }

  add(request: Request): void {
    request.line = this;
    request.before = this.#last;
    const { before } = request;
    if (before === undefined) this.#first = request;
    else before.behind = request;
    this.#last = request;
    if (before === undefined) this.onQueued(true);
  }

  /** False if it does not stand here. */
  remove(request: Request): boolean {
    if (request.line !== this) return false;
    const { before, behind } = request;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    request.line = request.before = request.behind = undefined;
    if (this.#first === undefined) this.onQueued(false);
    return true;
  }
}
