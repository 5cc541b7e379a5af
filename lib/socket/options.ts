/** Options of sockets, and their checks. */
import { type AccessOptions, checkAccess } from '../internal/access.js';
import {
  checkBoolean,
  checkFd,
  checkInteger,
  checkOptions,
  type HasFd,
  invalidType,
  outOfRange,
} from '../internal/arguments.js';
import type { NativeAccess } from '../internal/native.js';

/** SCM_MAX_FD of the kernel. */
const fdsMax = 253;
const backlogDefault = 511; // as node:net
const backlogMax = 0x7fff_ffff;

/** What a socket takes beside the data. */
export interface ReceiveSettings {
  /**
   * Descriptors that are taken with a message, 0 to 253. 0 by default: what others send unasked is closed by the kernel.
   */
  maxFds?: number;
  /** Each message tells who sent it (SO_PASSCRED). False by default. */
  credentials?: boolean;
}

/** What goes along with the bytes. */
export interface SendOptions {
  /** Descriptors that the receiver gets duplicates of: at most 253. man 7 unix, SCM_RIGHTS */
  fds?: readonly HasFd[];
}

/** Of the file of a socket that is bound to a path. */
export interface BindOptions extends AccessOptions {
  /**
   * Replaces a file that a dead socket has left. One that is alive keeps its path, and what is no socket stays: `EADDRINUSE`.
   * `EAGAIN` where another process keeps the folder locked (man 2 flock), which is done here meanwhile. False by default.
   */
  replaceStale?: boolean;
}

/** How a server listens. */
export interface ListenOptions extends BindOptions, ReceiveSettings {
  /** Connections that wait to be accepted; 511 by default, and no more than sysctl net.core.somaxconn. */
  backlog?: number;
}

export interface CheckedReceive {
  maxFds: number;
  credentials: boolean;
}

export function checkReceive(options: ReceiveSettings | undefined): CheckedReceive {
  const { maxFds, credentials } = checkOptions(options);
  return {
    maxFds: maxFds === undefined ? 0 : checkInteger(maxFds, 'options.maxFds', 0, fdsMax),
    credentials: checkBoolean(credentials, 'options.credentials', false),
  };
}

export function checkBind(options: BindOptions | undefined): { replaceStale: boolean; access: NativeAccess } {
  const given = checkOptions(options);
  return {
    replaceStale: checkBoolean(given.replaceStale, 'options.replaceStale', false),
    access: checkAccess(given),
  };
}

export function checkBacklog(options: ListenOptions | undefined): number {
  const { backlog } = checkOptions(options);
  return backlog === undefined ? backlogDefault : checkInteger(backlog, 'options.backlog', 1, backlogMax);
}

/** Undefined: none. */
export function checkFds(options: SendOptions | undefined): readonly number[] | undefined {
  if (options === undefined) return undefined;
  const { fds } = checkOptions(options);
  if (fds === undefined) return undefined;
  if (!Array.isArray(fds)) throw invalidType('options.fds', 'an instance of Array', fds);
  if (fds.length > fdsMax) {
    throw outOfRange('options.fds.length', `<= ${fdsMax}, what the kernel takes with a message`, fds.length);
  }
  // One by one, into a list of our own: what methods of the caller's list make may be anything.
  const checked: number[] = [];
  for (let index = 0; index < fds.length; index++) checked.push(checkFd(fds[index], `options.fds[${index}]`));
  return checked.length === 0 ? undefined : checked;
}
