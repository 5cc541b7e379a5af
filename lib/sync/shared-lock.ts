/** What all kinds of locks are: some bytes of a region, and a line of those who wait for them. */

import { checkConstruct } from '../internal/descriptor-object.js';
import { native } from '../internal/native.js';
import { LockLine } from './lock-line.js';
import type { LockObject, LockSite } from './lock-memory.js';

export abstract class SharedLock implements LockObject {
  /** @internal */
  protected readonly site: LockSite;
  /** @internal */
  protected readonly line: LockLine;

  /** @internal Use `at`. */
  constructor(key: symbol, site: LockSite) {
    checkConstruct(key, new.target.name);
    this.site = site;
    this.line = new LockLine(site);
  }

  /** Bytes from the start of its memory. */
  get offset(): number {
    return this.site.offset;
  }

  /** Whether its memory was closed. */
  get closed(): boolean {
    return this.line.closed;
  }

  /** Pending waits let the process end, as an unref()ed timer does. */
  unref(): this {
    this.line.keep(false);
    return this;
  }

  /** Pending waits keep the process alive, as a timer does: so it is by default. */
  ref(): this {
    this.line.keep(true);
    return this;
  }

  /** @internal */
  get isHeld(): boolean {
    return false;
  }

  /** @internal */
  end(): void {
    this.line.close();
    native.lockPlaceFree(this.site.place);
  }
}
