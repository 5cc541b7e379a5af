/**
 * The one error class of the package and the codes that are its own. Test `.code`: `instanceof` fails
 * where two copies of the package are loaded. Misuse (a wrong type, a number out of range) is no
 * `IpcError` but a `TypeError` or `RangeError` with Node's own codes. docs/errors.md lists them all.
 */

/** Codes of life cycle and protocol; errors of the operating system carry its own (`'ENOENT'`). */
export type IpcErrorCode =
  | 'ERR_INTERPROC_BROKEN'
  | 'ERR_INTERPROC_BUSY'
  | 'ERR_INTERPROC_CLOSED'
  | 'ERR_INTERPROC_CORRUPT'
  | 'ERR_INTERPROC_DEADLOCK'
  | 'ERR_INTERPROC_LOAD'
  | 'ERR_INTERPROC_MISMATCH'
  | 'ERR_INTERPROC_NO_LIVENESS'
  | 'ERR_INTERPROC_NO_SPACE'
  | 'ERR_INTERPROC_NOT_CLAIMED'
  | 'ERR_INTERPROC_NOT_HELD'
  | 'ERR_INTERPROC_NOT_RECOVERABLE'
  | 'ERR_INTERPROC_OVERLAP'
  | 'ERR_INTERPROC_PEER_CLOSED'
  | 'ERR_INTERPROC_PEER_DIED'
  | 'ERR_INTERPROC_READ_ONLY'
  | 'ERR_INTERPROC_TORN'
  | 'ERR_INTERPROC_TRUNCATED'
  | 'ERR_INTERPROC_UNLINKED'
  | 'ERR_INTERPROC_UNSUPPORTED'
  | 'ERR_INTERPROC_UNSUPPORTED_PLATFORM';

/** The facts of a failure, beside its message. */
export interface IpcErrorDetails {
  /** Negative, as in Node's own system errors. */
  errno?: number | undefined;
  /** The system call that failed, as its manual page names it. */
  syscall?: string | undefined;
  /** The object's name, path or id. */
  path?: string | undefined;
  /** What it comes from, where that is another error. */
  cause?: unknown;
}

/**
 * What the operating system refused, and errors of life cycle and protocol. Test `.code`: `instanceof` fails where
 * two copies of the package are loaded. docs/errors.md lists all codes.
 */
export class IpcError extends Error {
  static {
    // On the prototype, as Node's own errors have it: an own property would show in each printed error.
    Object.defineProperty(IpcError.prototype, 'name', {
      value: 'IpcError',
      configurable: true,
      writable: true,
    });
  }

  /** `'ENOENT'` and its like for what the operating system refused, else `'ERR_INTERPROC_…'`. */
  readonly code: string;
  /** The error number, negative; only where the operating system refused. */
  declare readonly errno?: number;
  /** The system call that failed (`'shm_open'`); only where the operating system refused. */
  declare readonly syscall?: string;
  /** The object's name, path or id, where it has one. */
  declare readonly path?: string;

  /** Made by this package; public for tests that need one. */
  constructor(code: IpcErrorCode | (string & {}), message: string, details: IpcErrorDetails = {}) {
    const { cause, ...facts } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    for (const [key, value] of Object.entries(facts)) {
      if (value !== undefined) Object.assign(this, { [key]: value });
    }
  }
}
