/** Giving sockets their names: files, and abstract ones. */
import { Buffer } from 'node:buffer';
import { invalidValue } from '../internal/arguments.js';
import { type NativeDescriptor, type NativeSocketFile, native } from '../internal/native.js';
import { checkAddress, isAbstract, type SocketAddressLike } from './address.js';
import { type BindOptions, checkBind } from './options.js';

export interface SocketFile {
  /** Absolute: the working directory may change later. */
  path: Uint8Array;
  identity: NativeSocketFile;
}

const slash = 0x2f;
const ofTheKernelsChoice = new Uint8Array(0);

/** Binds it; returns its file, if it has one. */
export function bindSocket(
  descriptor: NativeDescriptor,
  address: Uint8Array | undefined,
  options: BindOptions | undefined,
): SocketFile | undefined {
  const { replaceStale, access } = checkBind(options);
  if (address === undefined || isAbstract(address)) {
    native.socketBind(descriptor, address ?? ofTheKernelsChoice);
    return undefined;
  }
  const identity = native.socketBindFile(descriptor, address, replaceStale, ...access);
  return { path: absolute(address), identity };
}

export function unlinkSocket(path: SocketAddressLike): void {
  const address = checkAddress(path, 'unlink');
  if (isAbstract(address)) throw invalidValue('path', 'must be one: an abstract name has no file', path);
  native.socketUnlink(address, undefined);
}

function absolute(path: Uint8Array): Uint8Array {
  return path[0] === slash ? path : Buffer.concat([Buffer.from(`${process.cwd()}/`), path]);
}

/** Removes the file, if it is still this one: a successor's stays. What can't be removed stays, too. */
export function unlinkFile({ path, identity }: SocketFile): void {
  try {
    native.socketUnlink(path, identity);
  } catch {
    // Closing doesn't fail for that, and the next server can replace it.
  }
}
