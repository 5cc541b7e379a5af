/** Requests in the order in which they came. Any of them leaves in the same short time: a hundred thousand may wait. */

/** `Look`: what an attempt may be told that is the last one before sleeping. */
export abstract class Request<Look = never> {
  /** @internal The line that it stands in, and its neighbours there. */
  line: RequestLine<Look> | undefined;
  /** @internal */
  before: Request<Look> | undefined;
  /** @internal */
  behind: Request<Look> | undefined;

  /**
   * Serves it if that can be done now. With `look` it is the last attempt before sleeping, and that may decide. Returns whether it is settled. Code of the user's runs in an attempt only when that settles.
   */
  abstract attempt(look?: Look): boolean;
  /** Whether the last attempt stopped short of what could be done, to let the event loop have its turn. */
  abstract readonly yields: boolean;
  /** Settles it in an error. */
  abstract fail(error: unknown): void;
}

export class RequestLine<Look = never> {
  #first: Request<Look> | undefined;
  #last: Request<Look> | undefined;
  /** Told when the first one comes and when the last one goes. */
  onQueued: (queued: boolean) => void = () => {};

  get first(): Request<Look> | undefined {
    return this.#first;
  }

  add(request: Request<Look>): void {
    request.line = this;
    request.before = this.#last;
    const { before } = request;
    if (before === undefined) this.#first = request;
    else before.behind = request;
    this.#last = request;
    if (before === undefined) this.onQueued(true);
  }

  /** False if it does not stand here. */
  remove(request: Request<Look>): boolean {
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
